/* A process for each client. fork returns twice: in the child, too, the program
 * goes on at the next line. */
#include "server.h"

int main(int argc, char **argv)
{
	int lfd = listening(argv[1]);
	long failed = 0;
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int cfd = accept(lfd, NULL, NULL);
		if (cfd < 0) {
			if (++failed % 100000 == 0) {
				printf("100000 times %s\n", strerror(errno));
				fflush(stdout);
			}
			continue;
		}
		if (fork() == 0) {
			close(lfd);
			echo(cfd);
#ifdef REPAIRED
			exit(0);
#endif
		}
		close(cfd);
	}
}
