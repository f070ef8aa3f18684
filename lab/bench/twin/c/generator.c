/* Loads an echo server: the twin of lab bench's echo mode.
 *
 * A closed loop: each client sends a message, waits until all of it is back, and
 * sends the next. One thread with epoll(7) is all of them. Each byte that
 * comes back is compared with the one that was sent; messages are pieces of one
 * pattern, each client's and each request's at another place, so a byte of
 * somebody else's is a wrong one.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "sys.h"

enum { PLACES = 64 << 10, STRIDE = 61, APART = 977 };

struct client {
	int fd;
	size_t at;           /* where in the pattern its message begins */
	size_t unsent, owed; /* bytes of it: still here, and not yet back */
	int full;            /* epoll is to tell when there is room for more */
};

static size_t size; /* of a message */
static char *pattern;
static char buf[BUFFER_SIZE];
static int epfd;

static void wrong(const char *what)
{
	fprintf(stderr, "generator: %s\n", what);
	exit(1);
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void watch(struct client *c, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };
	if (epoll_ctl(epfd, op, c->fd, &ev) < 0)
		die("epoll_ctl");
}

/* dial connects a client, and has one byte come back before the next client is
 * connected: so the accept queue, however short, has room for each. */
static void dial(struct client *c, int port)
{
	int one = 1;
	struct timeval patience = { .tv_sec = 5 };
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (send(c->fd, "!", 1, 0) != 1 || recv(c->fd, buf, 1, 0) != 1 || buf[0] != '!')
		wrong("a client is not served");
	watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

/* on_writable sends what the kernel takes of the message. */
static void on_writable(struct client *c)
{
	ssize_t n = send(c->fd, pattern + c->at + size - c->unsent, c->unsent, MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN)
		die("send");
	c->unsent -= n > 0 ? n : 0;
	if (c->full != (c->unsent > 0)) {
		c->full = c->unsent > 0;
		watch(c, EPOLL_CTL_MOD, EPOLLIN | (c->full ? EPOLLOUT : 0));
	}
}

/* begin sends the next message. */
static void begin(struct client *c)
{
	c->at = (c->at + STRIDE) % PLACES;
	c->unsent = c->owed = size;
	on_writable(c);
}

/* on_readable holds what has come to what was sent, and reports whether the
 * whole message is back. */
static int on_readable(struct client *c)
{
	ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		die("recv");
	if (n == 0)
		wrong("the server closed a connection");
	if ((size_t)n > c->owed - c->unsent)
		wrong("more came back than was sent");
	if (memcmp(buf, pattern + c->at + size - c->owed, n) != 0)
		wrong("a wrong byte came back");
	c->owed -= n;
	return c->owed == 0;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: %s PORT CLIENTS SIZE SECONDS\n", argv[0]);
		return 80;
	}
	int n = atoi(argv[2]);
	size = atoi(argv[3]);
	struct client *clients = calloc(n, sizeof *clients);
	pattern = malloc(PLACES + size);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (clients == NULL || pattern == NULL || epfd < 0)
		die("begin");
	for (size_t i = 0; i < PLACES + size; i++)
		pattern[i] = random();
	for (int i = 0; i < n; i++) {
		clients[i].at = (size_t)i * APART % PLACES;
		dial(&clients[i], atoi(argv[1]));
	}

	long requests = 0;
	int busy = n;
	double start = seconds(), now = start, end = start + atof(argv[4]);
	for (int i = 0; i < n; i++)
		begin(&clients[i]);
	while (busy > 0) { /* those who began in time are waited for */
		struct epoll_event ready[128];
		int m = epoll_wait(epfd, ready, 128, 5000);
		if (m == 0)
			wrong("no answer for 5 s");
		now = seconds();
		for (int i = 0; i < m; i++) {
			struct client *c = ready[i].data.ptr;
			if (ready[i].events & EPOLLOUT)
				on_writable(c);
			if (!(ready[i].events & ~EPOLLOUT) || !on_readable(c))
				continue;
			requests++;
			if (now < end)
				begin(c);
			else
				busy--;
		}
	}
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec +
		     (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
	printf("{\"clients\":%d,\"size\":%zu,\"seconds\":%.3f,\"requests\":%ld,"
	       "\"requests_per_second\":%.0f,\"cpu_us_per_request\":%.3f}\n",
	       n, size, now - start, requests, requests / (now - start), cpu * 1e6 / requests);
	return 0;
}
