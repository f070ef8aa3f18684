/* A process for each client. fork copies the table of descriptors: each
 * connection is open twice. */
#include "server.h"

int main(int argc, char **argv)
{
	int lfd = listening(argv[1]);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int cfd = accept(lfd, NULL, NULL);
		if (cfd < 0) continue;
		if (fork() == 0) {
			close(lfd);
			echo(cfd);
			close(cfd);
			exit(0);
		}
#ifdef REPAIRED
		close(cfd);
#endif
	}
}
