/* A process for each client, and a parent that collects those that ended. */
#include "server.h"

static void ended(int sig)
{
	(void)sig;
#ifdef REPAIRED
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
#else
	wait(NULL);
#endif
}

int main(int argc, char **argv)
{
	int lfd = listening(argv[1]);
#if defined(NOBODY_WAITS)
#elif defined(IGNORED)
	signal(SIGCHLD, SIG_IGN);
#else
	signal(SIGCHLD, ended);
#endif
	for (;;) {
		int cfd = accept(lfd, NULL, NULL);
		if (cfd < 0) continue;
		if (fork() == 0) {
			close(lfd);
			echo(cfd);
			exit(0);
		}
		close(cfd);
	}
}
