/* A server that asks recv for as much as is in its buffer already. */
#include "server.h"

static struct {
	char buf[1024];
	char behind[4096]; /* whatever lies behind the buffer */
} s;

int main(int argc, char **argv)
{
	int lfd = listening(argv[1]);
	int cfd = accept(lfd, NULL, NULL);
	size_t hurt = 0;
	s.buf[0] = '\0';
#ifdef REPAIRED
	ssize_t n = recv(cfd, s.buf, sizeof s.buf - 1, 0);
#else
	ssize_t n = recv(cfd, s.buf, strlen(s.buf) - 1, 0);
#endif
	for (size_t i = 0; i < sizeof s.behind; i++)
		hurt += s.behind[i] != 0;
	printf("recv %zd behind %zu\n", n, hurt);
	fflush(stdout);
	pause();
}
