/* Serves every client from one thread with io_uring(7): the twin of
 * models/uringloop.
 *
 * Compared with epoll: the kernel is not asked who is ready, it is told what to
 * do, and says when it is done. Operations go out and results come back in two
 * queues that both see, so one call serves for all of them.
 *
 * One operation is in flight for each client, reading or writing. Until its
 * result the buffer is the kernel's, so each client has one of its own; the part
 * of it that was never used costs no memory.
 */
#define _GNU_SOURCE
#include "ring.h"

struct client {
	int fd;
	size_t len, sent; /* buf[sent] up to buf[len] is owed; 0, 0: it is read */
	char buf[BUFFER_SIZE];
};

static int lfd;       /* -1: no new clients */
static int here;      /* clients */
static int accepting; /* or no more, until a client leaves */

static void ask(void);
static void on_done(struct client *c, int n);
static void on_connection(int cfd);
static void on_read(struct client *c, int n);
static void on_written(struct client *c, int n);
static void drop(struct client *c);
static void settle(struct client *c);

int main(int argc, char **argv)
{
	void *what;
	int n;
	lfd = listen_on(argc, argv, 0);
	open_ring();
	ask();
	while (lfd >= 0 || here > 0) {
		enter(1); /* sleeps */
		while (done(&what, &n))
			on_done(what, n);
	}
	return 0;
}

/* ask has the kernel accept the next client. */
static void ask(void)
{
	accepting = 1;
	want(IORING_OP_ACCEPT, lfd, NULL, 0, NULL);
}

/* on_done does what a result is for. */
static void on_done(struct client *c, int n)
{
	if (c == NULL)
		on_connection(n);
	else if (c->len == 0)
		on_read(c, n);
	else
		on_written(c, n);
}

/* on_connection has a new client, and wants the next one. */
static void on_connection(int cfd)
{
	accepting = 0;
	if (cfd >= 0) {
		struct client *c = malloc(sizeof *c);
		if (c == NULL)
			die("malloc");
		c->fd = cfd;
		c->len = c->sent = 0;
		here++;
		settle(c);
		ask();
	} else if (died_in_queue(-cfd)) {
		ask();
	} else if (full(-cfd) && here > 0) {
		; /* until a client leaves */
	} else if (cfd == -EINVAL) {
		lfd = -1; /* no new clients; serve those who are left */
	} else {
		errno = -cfd;
		die("accept");
	}
}

/* on_read has what the client sent, and answers. */
static void on_read(struct client *c, int n)
{
	if (n <= 0 && n != -EINTR) {
		drop(c); /* it is gone, or has finished and is owed nothing */
		return;
	}
	c->len = n > 0 ? n : 0;
	settle(c);
}

/* on_written has sent what the kernel took; the rest is next. */
static void on_written(struct client *c, int n)
{
	if (n < 0 && n != -EINTR) {
		drop(c);
		return;
	}
	c->sent += n > 0 ? n : 0;
	if (c->sent == c->len)
		c->len = c->sent = 0;
	settle(c);
}

/* drop closes a client that is gone, or has had all it is owed. */
static void drop(struct client *c)
{
	close(c->fd);
	free(c);
	here--;
	if (lfd >= 0 && !accepting)
		ask(); /* there is room for one more */
}

/* settle has the kernel do what the client wants next. */
static void settle(struct client *c)
{
	if (c->len == 0)
		want(IORING_OP_RECV, c->fd, c->buf, sizeof c->buf, c);
	else
		want(IORING_OP_SEND, c->fd, c->buf + c->sent, c->len - c->sent, c);
}
