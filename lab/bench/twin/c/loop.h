/* A list of descriptors in the kernel for one thread, epoll(7), and a queue of
 * clients between threads: the twin of models/sys/loop.go.
 */
#ifndef LOOP_H
#define LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

#include "session.h"

static _Thread_local int epfd;        /* the list */
static _Thread_local uint32_t *asked; /* what is on it, by descriptor; 0: not this one */
static _Thread_local int top;         /* how many those are */

static inline void open_list(void)
{
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll_create1");
}

static inline void change(int fd, uint32_t events)
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
	if (events == asked[fd])
		return; /* the kernel knows */
	struct epoll_event ev = { .events = events, .data.fd = fd };
	int op = asked[fd] == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	if (events == 0) /* off the list, or epoll goes on telling of HUP: epoll_ctl(2) */
		op = EPOLL_CTL_DEL;
	if (epoll_ctl(epfd, op, fd, &ev) < 0)
		die("epoll_ctl");
	asked[fd] = events;
}

/* ask has epoll tell when fd is readable or writable, or neither. */
static inline void ask(int fd, int in, int out)
{
	change(fd, (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0));
}

/* ask_once is ask, but epoll tells once, and then not until it is asked again. */
static inline void ask_once(int fd, int in, int out)
{
	if (fd < top && asked[fd] != 0)
		asked[fd] = EPOLLONESHOT; /* it is on the list, and may have been told of */
	change(fd, in || out ? (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0) | EPOLLONESHOT : 0);
}

enum { LIMIT = 20000 /* places in a queue: one for each client */ };

struct queue {
	struct client *at[LIMIT];
	int first, many;
};

static inline void put(struct queue *q, struct client *c)
{
	q->at[(q->first + q->many++) % LIMIT] = c;
}

static inline struct client *take(struct queue *q)
{
	struct client *c = q->at[q->first];
	q->first = (q->first + 1) % LIMIT;
	q->many--;
	return c;
}

#endif
