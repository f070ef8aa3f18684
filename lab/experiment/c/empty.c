/* A client that takes turns, and does not send the end of the line. */
#include "server.h"

int main(int argc, char **argv)
{
	int fd = connected(argv[1]);
	char line[1024];
	while (fgets(line, sizeof line, stdin)) {
#ifndef REPAIRED
		line[strcspn(line, "\n")] = '\0';
#endif
		send(fd, line, strlen(line), 0);
		ssize_t n = recv(fd, line, sizeof line - 1, 0);
		if (n <= 0) return 0;
		line[n] = '\0';
		printf("the server says %s\n", line);
		fflush(stdout);
	}
	return 0;
}
