/* Serves one client after the other: the twin of models/blocking.
 *
 * Accept, talk until the client leaves, accept the next. Each call sleeps until
 * it is done. A second client is connected all the same, by the kernel, and may
 * send; nobody reads it before the first has left.
 */
#define _GNU_SOURCE
#include "sys.h"

static void converse(int cfd);

int main(int argc, char **argv)
{
	int lfd = listen_on(argc, argv, 0);
	for (;;) {
		int cfd = accept_client(lfd, 0); /* sleeps until a client comes */
		if (cfd < 0 && errno == EINVAL)
			return 0; /* shut down */
		if (cfd < 0)
			die("accept");
		converse(cfd);
		close(cfd);
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
