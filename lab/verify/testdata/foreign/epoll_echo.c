/* An echo server on epoll(7): one thread, level-triggered. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
	int fd;
	size_t from, to; /* what is owed: buf[from] up to buf[to] */
	char buf[16384];
};

static int epfd, lfd;

static void die(const char *call)
{
	perror(call);
	exit(1);
}

static void watch(int op, int fd, uint32_t events, void *what)
{
	struct epoll_event ev = { .events = events, .data.ptr = what };
	if (epoll_ctl(epfd, op, fd, &ev) < 0)
		die("epoll_ctl");
}

static void on_connection(void)
{
	int cfd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (cfd < 0) {
		if (errno == EMFILE) /* until a client leaves */
			watch(EPOLL_CTL_MOD, lfd, 0, NULL);
		else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			die("accept4");
		return;
	}
	struct client *c = malloc(sizeof *c);
	if (c == NULL)
		die("malloc");
	c->fd = cfd;
	c->from = c->to = 0;
	watch(EPOLL_CTL_ADD, cfd, EPOLLIN, c);
}

static void leave(struct client *c)
{
	close(c->fd);
	free(c);
	watch(EPOLL_CTL_MOD, lfd, EPOLLIN, NULL); /* there is room for one more */
}

/* Reads if nothing is owed, and writes what is: so at most one read is owed,
 * and a client that does not read is not read either. */
static void on_client(struct client *c)
{
	if (c->from == c->to) {
		ssize_t n = recv(c->fd, c->buf, sizeof c->buf, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) { /* FIN, and nothing is owed; or an error, and nobody is there */
			leave(c);
			return;
		}
		c->from = 0;
		c->to = n;
	}
	ssize_t n = send(c->fd, c->buf + c->from, c->to - c->from, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		leave(c);
		return;
	}
	if (n > 0)
		c->from += n;
	watch(EPOLL_CTL_MOD, c->fd, c->from < c->to ? EPOLLOUT : EPOLLIN, c);
}

static void on_term(int sig)
{
	(void)sig;
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s PORT\n", argv[0]);
		return 2;
	}
	signal(SIGTERM, on_term);
	int one = 1;
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(atoi(argv[1])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	lfd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (lfd < 0)
		die("socket");
	if (setsockopt(lfd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0)
		die("setsockopt");
	if (bind(lfd, (struct sockaddr *)&addr, sizeof addr) < 0)
		die("bind");
	if (listen(lfd, 1024) < 0)
		die("listen");
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll_create1");
	watch(EPOLL_CTL_ADD, lfd, EPOLLIN, NULL);
	for (;;) {
		struct epoll_event ready[64];
		int n = epoll_wait(epfd, ready, 64, -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			if (ready[i].data.ptr == NULL)
				on_connection();
			else
				on_client(ready[i].data.ptr);
		}
	}
}
