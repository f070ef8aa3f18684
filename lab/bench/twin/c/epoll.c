/* Serves every client from one thread with epoll(7): the twin of
 * models/epollloop.
 *
 * Compared with poll: the list stays in the kernel. So each change of it is a
 * call of its own, the answer names only those who are ready, and a silent
 * client costs no time at all.
 */
#define _GNU_SOURCE
#include <sys/epoll.h>

#include "session.h"

static int lfd; /* -1: no new clients */
static char buf[BUFFER_SIZE];

static int epfd;        /* the list */
static uint32_t *asked; /* what is on it, by descriptor; 0: not this one */
static int top;         /* how many those are */

static void ask(int fd, int in, int out);
static void on_ready(int fd);
static void on_connection(void);
static void on_readable(struct client *c);
static void on_writable(struct client *c);
static void settle(struct client *c);

int main(int argc, char **argv)
{
	struct epoll_event ready[64]; /* who does not fit in is in the next answer */
	lfd = listen_on(argc, argv, SOCK_NONBLOCK);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll_create1");
	ask(lfd, 1, 0);
	while (lfd >= 0 || here > 0) {
		int n = epoll_wait(epfd, ready, 64, -1); /* sleeps */
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++)
			on_ready(ready[i].data.fd);
	}
	return 0;
}

/* ask has epoll tell when fd is readable or writable, or neither. */
static void ask(int fd, int in, int out)
{
	if (fd < 0)
		return;
	if (fd >= top) {
		asked = realloc(asked, (fd + 1) * sizeof *asked);
		if (asked == NULL)
			die("realloc");
		while (top <= fd)
			asked[top++] = 0;
	}
	struct epoll_event ev = { .data.fd = fd };
	ev.events = (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0);
	if (ev.events == asked[fd])
		return; /* the kernel knows */
	int op = asked[fd] == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	if (ev.events == 0) /* off the list, or epoll goes on telling of HUP: epoll_ctl(2) */
		op = EPOLL_CTL_DEL;
	if (epoll_ctl(epfd, op, fd, &ev) < 0)
		die("epoll_ctl");
	asked[fd] = ev.events;
}

/* on_ready does what a ready descriptor is for. */
static void on_ready(int fd)
{
	struct client *c = client_of(fd);
	if (fd == lfd)
		on_connection();
	else if (c == NULL)
		; /* gone since the question was asked */
	else if (c->len == 0)
		on_readable(c);
	else
		on_writable(c); /* who is owed something is not read */
}

/* on_connection accepts who waits; if 64 are not all, the kernel will say so. */
static void on_connection(void)
{
	int cfd = accept_client(lfd, SOCK_NONBLOCK);
	for (int n = 1; cfd >= 0; n++) {
		settle(new_client(cfd));
		if (n == 64)
			return; /* the other clients have waited long enough */
		cfd = accept_client(lfd, SOCK_NONBLOCK);
	}
	if (errno == EAGAIN) {
		; /* nobody waits any more */
	} else if (full(errno) && here > 0) {
		ask(lfd, 0, 0); /* until a client leaves */
	} else if (errno == EINVAL) {
		ask(lfd, 0, 0);
		lfd = -1; /* no new clients; serve those who are left */
	} else {
		die("accept");
	}
}

/* on_readable takes what the client sent, and answers at once. */
static void on_readable(struct client *c)
{
	ssize_t n = read(c->fd, buf, sizeof buf);
	if (n < 0 && errno == EAGAIN)
		return; /* readiness is only a hint: select(2), BUGS */
	if (n <= 0)
		abandon(c); /* it is gone, or has finished and is owed nothing */
	else
		feed(c, buf, n);
	on_writable(c);
}

/* on_writable sends what the kernel takes now; the rest waits for its turn. */
static void on_writable(struct client *c)
{
	if (c->len > 0) {
		ssize_t n = write(c->fd, c->pending, c->len);
		if (n < 0 && errno != EAGAIN)
			abandon(c);
		else
			sent(c, n > 0 ? n : 0);
	}
	settle(c);
}

/* settle asks for what the client wants, or closes. */
static void settle(struct client *c)
{
	ask(c->fd, !c->ended && c->len == 0, c->len > 0);
	if (c->ended) {
		close(c->fd);
		end_client(c);
		ask(lfd, 1, 0); /* there is room for one more */
	}
}
