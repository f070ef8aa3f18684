/* Eight processes wait for clients of one listening socket. How they wait is
 * the second argument. Each keeps the clients that it gets. */
#include "server.h"
#include <sys/epoll.h>
#include <sys/prctl.h>

static int sharing(const char *port)
{
	int lfd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	struct sockaddr_in a = loopback(port);
	setsockopt(lfd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	if (bind(lfd, (struct sockaddr *)&a, sizeof a) < 0) die("bind");
	if (listen(lfd, 128) < 0) die("listen");
	return lfd;
}

static void work(int lfd, const char *how)
{
	int epfd = epoll_create1(0);
	struct epoll_event e = { .events = EPOLLIN };
	struct pollfd p = { .fd = lfd, .events = POLLIN };
	if (!strcmp(how, "EPOLLEXCLUSIVE"))
		e.events |= EPOLLEXCLUSIVE;
	epoll_ctl(epfd, EPOLL_CTL_ADD, lfd, &e);
	if (strcmp(how, "accept") && strcmp(how, "SO_REUSEPORT"))
		fcntl(lfd, F_SETFL, O_NONBLOCK);
	for (;;) {
		if (!strcmp(how, "poll"))
			poll(&p, 1, -1);
		else if (!strncmp(how, "epoll", 5) || !strncmp(how, "EPOLL", 5))
			epoll_wait(epfd, &e, 1, -1);
		accept(lfd, NULL, NULL);
	}
}

int main(int argc, char **argv)
{
	int share = !strcmp(argv[2], "SO_REUSEPORT");
	int lfd = share ? -1 : listening(argv[1]);
	for (int i = 0; i < 8; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work(share ? sharing(argv[1]) : lfd, argv[2]);
		}
	for (;;)
		wait(NULL);
}
