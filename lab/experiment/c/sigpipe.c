/* A thread for each client; each request is answered with five lines. */
#include "server.h"

static void *answer(void *client)
{
	int cfd = (long)client;
	char buf[64];
	while (recv(cfd, buf, sizeof buf, 0) > 0)
		for (int i = 0; i < 5; i++) {
#ifdef REPAIRED
			if (send(cfd, "answer\n", 7, MSG_NOSIGNAL) < 0)
				break;
#else
			send(cfd, "answer\n", 7, 0);
#endif
			usleep(20 * 1000);
		}
	close(cfd);
	return NULL;
}

int main(int argc, char **argv)
{
	int lfd = listening(argv[1]);
	for (;;) {
		pthread_t t;
		long cfd = accept(lfd, NULL, NULL);
		if (cfd >= 0) pthread_create(&t, NULL, answer, (void *)cfd);
	}
}
