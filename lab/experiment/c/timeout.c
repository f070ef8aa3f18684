/* A server that says "waiting…" when nothing happened for a while. */
#include "server.h"

int main(int argc, char **argv)
{
	int lfd = listening(argv[1]), ms = atoi(argv[2]);
	struct timeval left = { .tv_usec = ms * 1000 }; /* microseconds, not milliseconds */
	for (;;) {
		fd_set ready;
#ifdef REPAIRED
		left = (struct timeval){ .tv_usec = ms * 1000 };
#endif
		FD_ZERO(&ready);
		FD_SET(lfd, &ready);
		int n = select(lfd + 1, &ready, NULL, NULL, &left);
		if (n == 0) printf("waiting…\n");
		if (n > 0) {
			close(accept(lfd, NULL, NULL));
			printf("left %ld ms\n", left.tv_usec / 1000);
		}
		fflush(stdout);
	}
}
