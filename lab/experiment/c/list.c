/* Three threads and one list of clients: one accepts, one takes out those who
 * left, one says the operator's lines to all. */
#include "server.h"

static int clients[4096], n;
#ifdef REPAIRED
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
#define LOCK pthread_mutex_lock(&lock)
#define UNLOCK pthread_mutex_unlock(&lock)
#else
#define LOCK
#define UNLOCK
#endif

static void *take_in(void *lfd)
{
	for (;;) {
		int cfd = accept(*(int *)lfd, NULL, NULL);
		if (cfd < 0) continue;
		LOCK;
		memmove(clients + 1, clients, n * sizeof clients[0]);
		clients[0] = cfd; /* the newest comes first */
		n++;
		UNLOCK;
	}
}

static void *take_out(void *unused)
{
	for (;;) {
		usleep(200);
		LOCK;
		for (int i = 0; i < n; i++) {
			char c;
			int cfd = clients[i];
			if (recv(cfd, &c, 1, MSG_DONTWAIT | MSG_PEEK) != 0)
				continue;
			n--;
			memmove(clients + i, clients + i + 1, (n - i) * sizeof clients[0]);
			close(cfd);
			break;
		}
		UNLOCK;
	}
}

int main(int argc, char **argv)
{
	pthread_t t;
	char line[64];
	int lfd = listening(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	pthread_create(&t, NULL, take_in, &lfd);
	pthread_create(&t, NULL, take_out, NULL);
	while (fgets(line, sizeof line, stdin)) {
		LOCK;
		for (int i = 0; i < n; i++)
			send(clients[i], line, strlen(line), 0);
		UNLOCK;
	}
	pause();
}
