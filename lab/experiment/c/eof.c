/* A server for one client: it waits for the client and for its operator. */
#include "server.h"

int main(int argc, char **argv)
{
	int lfd = listening(argv[1]), operator = 1;
	int cfd = accept(lfd, NULL, NULL);
	char line[1024] = "";
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdin, NULL, _IONBF, 0);
	for (;;) {
		fd_set ready;
		FD_ZERO(&ready);
		if (operator) FD_SET(0, &ready);
		FD_SET(cfd, &ready);
		select(cfd + 1, &ready, NULL, NULL, NULL);
		if (FD_ISSET(0, &ready)) {
#ifdef REPAIRED
			if (!fgets(line, sizeof line, stdin)) {
				operator = 0;
				continue;
			}
			send(cfd, line, strlen(line), 0);
#else
			fgets(line, sizeof line, stdin);
			send(cfd, line, sizeof line, 0);
#endif
		}
		if (FD_ISSET(cfd, &ready) && recv(cfd, line, sizeof line, 0) <= 0)
			return 0;
	}
}
