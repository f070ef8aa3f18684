/* select(2) and the descriptors behind the end of its set. */
#include "server.h"

static struct {
	fd_set all;
	unsigned char guard[16]; /* whatever lies behind the set */
} s;

int main(int argc, char **argv)
{
	struct rlimit many;
	getrlimit(RLIMIT_NOFILE, &many);
	many.rlim_cur = many.rlim_max;
	setrlimit(RLIMIT_NOFILE, &many);
	int lfd = listening(argv[1]), first = atoi(argv[2]);
	while (dup(lfd) < first - 1) /* the next one is first */
		;
	for (;;) {
		int cfd = accept(lfd, NULL, NULL), hurt = 0;
		if (cfd < 0) die("accept");
#ifdef REPAIRED
		if (cfd >= FD_SETSIZE) {
			printf("descriptor %d refused\n", cfd);
			fflush(stdout);
			close(cfd);
			continue;
		}
#endif
		FD_SET(cfd, &s.all);
		for (size_t i = 0; i < sizeof s.guard; i++)
			hurt += __builtin_popcount(s.guard[i]);
		printf("descriptor %d guard %d\n", cfd, hurt);
		fflush(stdout);
	}
}
