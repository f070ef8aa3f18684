/* What the pages share beside the conversation: the twin of models/sys.
 *
 * No call here sleeps but accept_client, and that has the name of what it waits
 * for. Signals interrupt no read, write or accept: signal(2) of glibc has them go on
 * (SA_RESTART). select, poll and epoll_wait never do: signal(7), "Interruption
 * of system calls and library functions by signal handlers".
 */
#ifndef SYS_H
#define SYS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_SIZE = 64 << 10 };

static int listening; /* the same as a page's lfd, and never forgotten */

/* die ends the server: the failure is its own, not a client's. */
static inline void die(const char *call)
{
	perror(call);
	exit(2);
}

/* stop, at SIGTERM, only shuts the listening socket down. A page sees it as
 * accept's EINVAL, serves the clients that are left, and returns. They have a
 * second: no handler is set for SIGALRM but cut_off. */
static inline void stop(int sig)
{
	int saved = errno;
	(void)sig;
	shutdown(listening, SHUT_RDWR);
	alarm(1);
	errno = saved;
}

static inline void cut_off(int sig)
{
	(void)sig;
	_exit(0);
}

/* listen_on opens the listening socket on the port that the command line names:
 * socket(2), bind(2), listen(2). Connected sockets inherit TCP_NODELAY. */
static inline int listen_on(int argc, char **argv, int flags)
{
	int port = argc == 2 ? atoi(argv[1]) : 0;
	if (port < 1 || port > 65535) {
		fprintf(stderr, "usage: %s PORT\n", argv[0]);
		exit(80);
	}
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max; /* as the Go runtime does */
	setrlimit(RLIMIT_NOFILE, &limit);

	int one = 1;
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
		die("setsockopt");
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		die("bind");
	if (listen(fd, 20) < 0)
		die("listen");
	listening = fd;
	signal(SIGPIPE, SIG_IGN); /* a client that has gone is EPIPE */
	signal(SIGALRM, cut_off);
	signal(SIGTERM, stop);
	return fd;
}

/* died_in_queue asks whether accept failed because of one client, who is gone:
 * accept(2), "Error handling". */
static inline int died_in_queue(int err)
{
	switch (err) {
	case EINTR: case ECONNABORTED: case EPROTO: case ENOPROTOOPT: case EPERM:
	case ENETDOWN: case ENETUNREACH: case ENONET: case EHOSTDOWN: case EHOSTUNREACH:
		return 1;
	}
	return 0;
}

/* accept_client takes the next client from the queue: accept4(2). */
static inline int accept_client(int lfd, int flags)
{
	int cfd;
	do
		cfd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC | flags);
	while (cfd < 0 && died_in_queue(errno));
	return cfd;
}

/* full asks whether there was no room for one more client. The client is not
 * lost by that, it waits in the accept queue. */
static inline int full(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

#endif
