/* Serves each client in a process of its own: the twin of models/process.
 *
 * Compared with blocking: the conversation is the same, word for word, but a
 * child holds it, and the parent goes back to accept at once.
 *
 * Here C and Go differ. The child of fork(2) goes on in the middle of the
 * program, with all that the parent knew; nothing is started anew.
 */
#define _GNU_SOURCE
#include <sys/prctl.h>
#include <sys/wait.h>

#include "sys.h"

/* What follows is touched with SIGCHLD held back, or in its handler. */
static volatile sig_atomic_t children;
static volatile sig_atomic_t left; /* one has ended since someone_leaves was last asked */
static sigset_t sigchld;

static void welcome(int lfd, int cfd);
static void reap(int sig);
static int someone_leaves(void);
static void converse(int cfd);

int main(int argc, char **argv)
{
	int lfd = listen_on(argc, argv, 0);
	sigemptyset(&sigchld);
	sigaddset(&sigchld, SIGCHLD);
	signal(SIGCHLD, reap);
	for (;;) {
		int cfd = accept_client(lfd, 0); /* sleeps until a client comes */
		if (cfd >= 0) {
			welcome(lfd, cfd);
		} else if (errno == EINVAL) { /* shut down */
			while (someone_leaves())
				;
			return 0;
		} else if (!full(errno) || !someone_leaves()) {
			die("accept");
		}
	}
}

/* welcome gives one more client to a child of its own. */
static void welcome(int lfd, int cfd)
{
	pid_t pid;
	sigprocmask(SIG_BLOCK, &sigchld, NULL); /* reap is not to count it too early */
	while ((pid = fork()) < 0)
		if ((errno != EAGAIN && errno != ENOMEM) || !someone_leaves())
			die("fork");
	if (pid == 0) {
		signal(SIGTERM, SIG_IGN); /* sent to all; the parent decides */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(lfd);
		converse(cfd);
		_exit(0);
	}
	children++;
	sigprocmask(SIG_UNBLOCK, &sigchld, NULL);
	close(cfd); /* the child has its own */
}

/* reap collects children that have ended. One signal may stand for many of
 * them: signal(7), "Queueing and delivery semantics for standard signals". */
static void reap(int sig)
{
	int saved = errno;
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0) {
		children--;
		left = 1;
	}
	errno = saved;
}

/* someone_leaves sleeps until a client has left since it was last asked. It is
 * false if nobody is there to leave. */
static int someone_leaves(void)
{
	sigset_t before, waiting;
	sigprocmask(SIG_BLOCK, &sigchld, &before);
	waiting = before;
	sigdelset(&waiting, SIGCHLD);
	while (!left && children > 0)
		sigsuspend(&waiting); /* sleeps, with SIGCHLD let in */
	int yes = left;
	left = 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	return yes;
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
