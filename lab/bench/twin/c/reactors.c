/* Serves clients from an epoll(7) loop for each processor: the twin of
 * models/reactors.
 *
 * Compared with epoll: there are many loops, each in a thread of its own and
 * with its own clients, whom no other thread touches: what was the program's is
 * the thread's, _Thread_local. One thread accepts for all, and deals out the
 * clients in turn, each through the pipe of its loop.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>

#include "guests.h"
#include "loop.h"

static _Thread_local int door; /* new clients come out of it; -1: no more */
static _Thread_local char buf[BUFFER_SIZE];

static void *react(void *pipe);
static void on_ready(int fd);
static void on_connection(void);
static void on_readable(struct client *c);
static void on_writable(struct client *c);
static void settle(struct client *c);

int main(int argc, char **argv)
{
	int lfd = listen_on(argc, argv, 0);
	cpu_set_t processors;
	sched_getaffinity(0, sizeof processors, &processors);
	int loops = CPU_COUNT(&processors), doors[CPU_SETSIZE], served = 0, cfd;
	pthread_t threads[CPU_SETSIZE];
	for (int i = 0; i < loops; i++) {
		int pipe[2];
		if (pipe2(pipe, O_CLOEXEC) < 0)
			die("pipe2");
		doors[i] = pipe[1];
		if (pthread_create(&threads[i], NULL, react, (void *)(intptr_t)pipe[0]) != 0)
			die("pthread_create");
	}
	/* sleeps until a client comes */
	while ((cfd = accept_client(lfd, SOCK_NONBLOCK)) >= 0 || errno != EINVAL) {
		if (cfd < 0 && (!full(errno) || !someone_leaves()))
			die("accept");
		if (cfd < 0)
			continue;
		come();
		if (write(doors[served++ % loops], &cfd, sizeof cfd) < 0)
			die("write");
	}
	for (int i = 0; i < loops; i++)
		close(doors[i]); /* no new clients; the loops serve those who are left */
	for (int i = 0; i < loops; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* react is all that the loop's thread does. */
static void *react(void *pipe)
{
	struct epoll_event ready[64]; /* who does not fit in is in the next answer */
	door = (intptr_t)pipe;
	open_list();
	ask(door, 1, 0);
	while (door >= 0 || here > 0) {
		int n = epoll_wait(epfd, ready, 64, -1); /* sleeps */
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++)
			on_ready(ready[i].data.fd);
	}
	return NULL;
}

/* on_ready does what a ready descriptor is for. */
static void on_ready(int fd)
{
	struct client *c = client_of(fd);
	if (fd == door)
		on_connection();
	else if (c == NULL)
		; /* gone since the question was asked */
	else if (c->len == 0)
		on_readable(c);
	else
		on_writable(c); /* who is owed something is not read */
}

/* on_connection takes one client in; the kernel will say if there are more. */
static void on_connection(void)
{
	int cfd;
	if (read(door, &cfd, sizeof cfd) > 0) {
		settle(new_client(cfd));
	} else {
		ask(door, 0, 0);
		close(door);
		door = -1; /* no new clients; serve those who are left */
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
		leave(); /* there is room for one more */
	}
}
