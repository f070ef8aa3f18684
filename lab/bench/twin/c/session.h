/* What is said, and with whom: the twin of models/session, an echo.
 *
 * Bytes in, bytes out; nothing here can wait. While the kernel takes all it is
 * offered, nothing is copied: pending is the loop's own read buffer. Only what
 * it left behind is kept, and until that is sent the client is not read. So a
 * client who does not read costs one read of memory at most, and one who is
 * owed nothing holds none.
 */
#ifndef SESSION_H
#define SESSION_H

#include <string.h>

#include "sys.h"

struct client {
	int fd;
	char *pending; /* what is to be sent: lent by feed, or kept */
	size_t len;    /* how much that is */
	char *kept;    /* what the kernel did not take, or NULL */
	int ended;     /* it has finished sending, or is gone */
	int away;      /* a worker has it: offload.c */
};

/* The clients are their loop's, and so its thread's: reactors.c has many. */
static _Thread_local struct client **clients; /* by descriptor; NULL: it is none */
static _Thread_local int room;                /* for so many */
static _Thread_local int here;                /* and so many there are */

/* new_client begins the session of one more. */
static inline struct client *new_client(int cfd)
{
	if (cfd >= room) {
		int more = 2 * cfd + 64;
		clients = realloc(clients, more * sizeof *clients);
		if (clients == NULL)
			die("realloc");
		memset(clients + room, 0, (more - room) * sizeof *clients);
		room = more;
	}
	struct client *c = calloc(1, sizeof *c);
	if (c == NULL)
		die("calloc");
	c->fd = cfd;
	clients[cfd] = c;
	here++;
	return c;
}

static inline struct client *client_of(int fd)
{
	return fd < room ? clients[fd] : NULL;
}

/* feed takes what the client sent. It is only lent until sent is called. */
static inline void feed(struct client *c, char *p, size_t n)
{
	c->pending = p;
	c->len = n;
}

/* sent reports that the kernel took the first n bytes of what is pending. What
 * it did not take becomes the session's own. */
static inline void sent(struct client *c, size_t n)
{
	c->pending += n;
	c->len -= n;
	if (c->len == 0) {
		free(c->kept);
		c->kept = NULL;
	} else if (c->kept == NULL) {
		c->kept = malloc(c->len);
		if (c->kept == NULL)
			die("malloc");
		c->pending = memcpy(c->kept, c->pending, c->len);
	}
}

/* abandon ends the session of a client that is gone: it is owed nothing. */
static inline void abandon(struct client *c)
{
	c->ended = 1;
	c->len = 0;
}

/* end_client frees a session. */
static inline void end_client(struct client *c)
{
	clients[c->fd] = NULL;
	here--;
	free(c->kept);
	free(c);
}

#endif
