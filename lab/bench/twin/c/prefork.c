/* Serves clients from processes that were started beforehand: the twin of
 * models/prefork.
 *
 * Compared with process: the children are there before the clients, and sleep in
 * accept, all of them on the one listening socket. The kernel wakes one for each
 * client. There are never more clients than workers; the parent's duty is to
 * replace a worker that dies.
 */
#define _GNU_SOURCE
#include <sys/prctl.h>
#include <sys/wait.h>

#include "sys.h"

enum { WORKERS = 8 };

/* The exit codes of a worker that is not to be replaced. */
enum { STOPPED = 0, FAILED = 2 /* another one would do no better */ };

static int watch(int lfd);
static void spawn(int lfd);
static void worker(int lfd);
static void converse(int cfd);

int main(int argc, char **argv)
{
	int lfd = listen_on(argc, argv, 0);
	for (int i = 0; i < WORKERS; i++)
		spawn(lfd);
	return watch(lfd);
}

/* watch replaces workers that die, until all have ended as they should: a
 * listening socket that is shut down is so for all who have it. */
static int watch(int lfd)
{
	int status;
	while (wait(&status) > 0) /* sleeps until a worker ends */
		if (WIFSIGNALED(status))
			spawn(lfd); /* it was killed, or has crashed */
		else if (WEXITSTATUS(status) == FAILED)
			return FAILED;
	return 0;
}

/* spawn starts a worker. */
static void spawn(int lfd)
{
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid > 0)
		return;
	signal(SIGTERM, SIG_IGN); /* sent to all; the parent decides */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	worker(lfd);
	_exit(STOPPED);
}

/* worker serves one client after the other, as blocking does. */
static void worker(int lfd)
{
	for (;;) {
		int cfd = accept_client(lfd, 0); /* sleeps until it is chosen */
		if (cfd >= 0) {
			converse(cfd);
			close(cfd);
		} else if (full(errno)) {
			sleep(1); /* others have them all, and tell nobody */
		} else if (errno == EINVAL) {
			return; /* shut down */
		} else {
			die("accept");
		}
	}
}

/* converse holds one conversation, from its first byte to its last. */
static void converse(int cfd)
{
	char buf[BUFFER_SIZE];
	ssize_t n, m;
	while ((n = read(cfd, buf, sizeof buf)) > 0) /* sleeps until it speaks */
		for (char *p = buf; n > 0; p += m, n -= m) {
			m = write(cfd, p, n); /* sleeps while it does not read */
			if (m < 0)
				return;
		}
}
