/* Serves every client from one thread with poll(2): the twin of
 * models/pollloop.
 *
 * Compared with select: the kernel gets a list instead of two bitmaps. So there
 * is no limit at descriptor 1023, the question survives the answer, and finding
 * out who is ready is still a walk over all clients.
 */
#define _GNU_SOURCE
#include <poll.h>

#include "session.h"

static int lfd; /* -1: no new clients */
static char buf[BUFFER_SIZE];

static struct pollfd *fds; /* whom to ask about, by descriptor; -1: not this one */
static int top;            /* how many that are */

static void ask(int fd, int in, int out);
static void on_ready(int fd);
static void on_connection(void);
static void on_readable(struct client *c);
static void on_writable(struct client *c);
static void settle(struct client *c);

int main(int argc, char **argv)
{
	lfd = listen_on(argc, argv, SOCK_NONBLOCK);
	ask(lfd, 1, 0);
	while (lfd >= 0 || here > 0) {
		int n = poll(fds, top, -1); /* sleeps */
		if (n < 0 && errno != EINTR)
			die("poll");
		for (int fd = 0; n > 0 && fd < top; fd++)
			if (fds[fd].revents != 0) /* it says how many are ready, not which */
				on_ready(fd);
	}
	return 0;
}

/* ask has the next poll tell when fd is readable or writable, or neither. */
static void ask(int fd, int in, int out)
{
	if (fd < 0)
		return;
	if (fd >= top) {
		fds = realloc(fds, (fd + 1) * sizeof *fds);
		if (fds == NULL)
			die("realloc");
		while (top <= fd)
			fds[top++] = (struct pollfd){ .fd = -1 };
	}
	fds[fd].fd = in || out ? fd : -1; /* the kernel skips -1: poll(2) */
	fds[fd].events = (in ? POLLIN : 0) | (out ? POLLOUT : 0);
	fds[fd].revents = 0;
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
