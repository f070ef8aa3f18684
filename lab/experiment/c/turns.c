/* A client that takes turns: a line from its user, an answer from the server. */
#include "server.h"

int main(int argc, char **argv)
{
	int fd = connected(argv[1]);
	char line[1024];
	ssize_t n;
	for (;;) {
#ifdef REPAIRED
		struct pollfd both[2] = {{ .fd = 0, .events = POLLIN }, { .fd = fd, .events = POLLIN }};
		poll(both, 2, -1);
		if (both[1].revents)
			break; /* it is not the server's turn: this is its end */
#endif
		if (!fgets(line, sizeof line, stdin)) return 0;
		send(fd, line, strlen(line), MSG_NOSIGNAL);
		n = recv(fd, line, sizeof line - 1, 0);
		if (n <= 0)
			break;
		line[n] = '\0';
		printf("the server says %s", line);
		fflush(stdout);
	}
	printf("the server has left\n");
	return 0;
}
