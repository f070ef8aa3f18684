/* Has one thread for the sockets, and others for the work: the twin of
 * models/offload.
 *
 * Compared with epoll: the loop reads and writes, but does not do what a message
 * asks for. It puts the client into a queue, a worker does the work, and a bell
 * tells that the client is back. Until then it is not read: its messages stay in
 * order, and TCP slows down who sends too many.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>

#include "loop.h"

enum { WORKERS = 8 };

static int lfd; /* -1: no new clients */
static char buf[BUFFER_SIZE];
static int bell[2]; /* a byte in it ends the sleep in epoll_wait */

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct queue work, done;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER; /* tells of work */

static void *worker(void *unused);
static void on_ready(int fd);
static void on_connection(void);
static void on_bell(void);
static void on_readable(struct client *c);
static void on_writable(struct client *c);
static void settle(struct client *c);

int main(int argc, char **argv)
{
	struct epoll_event ready[64]; /* who does not fit in is in the next answer */
	lfd = listen_on(argc, argv, SOCK_NONBLOCK);
	open_list();
	if (pipe2(bell, O_CLOEXEC | O_NONBLOCK) < 0)
		die("pipe2");
	for (int i = 0; i < WORKERS; i++) {
		pthread_t id;
		if (pthread_create(&id, NULL, worker, NULL) != 0)
			die("pthread_create");
	}
	ask(lfd, 1, 0);
	ask(bell[0], 1, 0);
	while (lfd >= 0 || here > 0) {
		int n = epoll_wait(epfd, ready, 64, -1); /* sleeps */
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++)
			on_ready(ready[i].data.fd);
	}
	return 0;
}

/* worker is all that a worker does. It touches no socket. */
static void *worker(void *unused)
{
	(void)unused;
	for (;;) {
		pthread_mutex_lock(&mu);
		while (work.many == 0)
			pthread_cond_wait(&some, &mu); /* sleeps until there is work */
		struct client *c = take(&work);
		pthread_mutex_unlock(&mu);
		feed(c, c->kept, c->len); /* takes as long as it takes */
		pthread_mutex_lock(&mu);
		put(&done, c);
		if (done.many == 1 && write(bell[1], "", 1) < 0)
			die("write");
		pthread_mutex_unlock(&mu);
	}
	return NULL;
}

/* on_ready does what a ready descriptor is for. */
static void on_ready(int fd)
{
	struct client *c = client_of(fd);
	if (fd == lfd)
		on_connection();
	else if (fd == bell[0])
		on_bell();
	else if (c == NULL || c->away)
		; /* since the question was asked */
	else if (c->len == 0)
		on_readable(c);
	else
		on_writable(c); /* who is owed something is not read */
}

/* on_connection accepts one client; the kernel will say if there are more. */
static void on_connection(void)
{
	int cfd = accept_client(lfd, SOCK_NONBLOCK);
	if (cfd >= 0) {
		settle(new_client(cfd));
		ask(lfd, here < LIMIT, 0);
	} else if (errno == EAGAIN) {
		; /* it left before we came: accept(2), NOTES */
	} else if (full(errno) && here > 0) {
		ask(lfd, 0, 0); /* until a client leaves */
	} else if (errno == EINVAL) {
		ask(lfd, 0, 0);
		lfd = -1; /* no new clients; serve those who are left */
	} else {
		die("accept");
	}
}

/* on_bell has clients back: what they are owed can be sent. */
static void on_bell(void)
{
	if (read(bell[0], buf, sizeof buf) < 0 && errno != EAGAIN)
		die("read");
	pthread_mutex_lock(&mu);
	while (done.many > 0) {
		struct client *c = take(&done);
		c->away = 0;
		on_writable(c); /* cannot wait, so the workers wait a moment only */
	}
	pthread_mutex_unlock(&mu);
}

/* on_readable takes what the client sent, and has a worker answer it. */
static void on_readable(struct client *c)
{
	ssize_t n = read(c->fd, buf, sizeof buf);
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			abandon(c); /* it is gone, or has finished and is owed nothing */
		settle(c);
		return;
	}
	c->away = 1;
	c->len = n;
	c->kept = malloc(n);
	if (c->kept == NULL)
		die("malloc");
	memcpy(c->kept, buf, n);
	pthread_mutex_lock(&mu);
	put(&work, c);
	pthread_cond_signal(&some);
	pthread_mutex_unlock(&mu);
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
	ask_once(c->fd, !c->ended && c->len == 0, c->len > 0);
	if (c->ended) {
		close(c->fd);
		end_client(c);
		ask(lfd, 1, 0); /* there is room for one more */
	}
}
