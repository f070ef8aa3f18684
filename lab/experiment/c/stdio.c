/* A client that waits for two things: its user's lines, and the server. */
#include "server.h"

int main(int argc, char **argv)
{
	int fd = connected(argv[1]);
	char line[256];
#ifdef REPAIRED
	setvbuf(stdin, NULL, _IONBF, 0);
#endif
	for (;;) {
		fd_set ready;
		FD_ZERO(&ready);
		FD_SET(0, &ready);
		FD_SET(fd, &ready);
		select(fd + 1, &ready, NULL, NULL, NULL);
		if (FD_ISSET(0, &ready)) {
			if (!fgets(line, sizeof line, stdin)) return 0;
			send(fd, line, strlen(line), 0);
		}
		if (FD_ISSET(fd, &ready) && recv(fd, line, sizeof line, 0) <= 0)
			return 0;
	}
}
