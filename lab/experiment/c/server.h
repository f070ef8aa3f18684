/* What every program of this folder needs and none of them is about. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) { perror(what); exit(1); }

static struct sockaddr_in loopback(const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int listening(const char *port)
{
	int lfd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	struct sockaddr_in a = loopback(port);
	setsockopt(lfd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(lfd, (struct sockaddr *)&a, sizeof a) < 0) die("bind");
	if (listen(lfd, 128) < 0) die("listen");
	return lfd;
}

static int connected(const char *port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = loopback(port);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0) die("connect");
	return fd;
}

/* echo returns what the client says, until it has finished or is gone. */
static void echo(int cfd)
{
	char buf[4096];
	ssize_t n;
	while ((n = recv(cfd, buf, sizeof buf, 0)) > 0)
		send(cfd, buf, n, MSG_NOSIGNAL);
}
