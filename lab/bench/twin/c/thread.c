/* Serves each client in a thread of its own: the twin of models/thread.
 *
 * Compared with process: the conversation is the same, word for word, but it
 * shares its memory with all others. So what two threads touch needs a lock, and
 * one mistake ends them all.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <string.h>

#include "guests.h"
#include "sys.h"

static void welcome(int cfd);
static void *thread(void *cfd);
static void converse(int cfd);

int main(int argc, char **argv)
{
	int lfd = listen_on(argc, argv, 0);
	for (;;) {
		int cfd = accept_client(lfd, 0); /* sleeps until a client comes */
		if (cfd >= 0) {
			welcome(cfd);
		} else if (errno == EINVAL) { /* shut down */
			while (someone_leaves())
				;
			return 0;
		} else if (!full(errno) || !someone_leaves()) {
			die("accept");
		}
	}
}

/* welcome gives one more client to a thread of its own. */
static void welcome(int cfd)
{
	pthread_t id;
	int err; /* not errno: pthread_create(3) returns it, and it is positive */
	pthread_mutex_lock(&mu);
	while ((err = pthread_create(&id, NULL, thread, (void *)(intptr_t)cfd)) != 0) {
		pthread_mutex_unlock(&mu);
		if (err != EAGAIN || !someone_leaves()) {
			fprintf(stderr, "pthread_create: %s\n", strerror(err));
			exit(2);
		}
		pthread_mutex_lock(&mu);
	}
	guests++; /* before its thread can end: that takes the lock */
	pthread_mutex_unlock(&mu);
	pthread_detach(id); /* nobody waits for it */
}

/* thread is all that one thread does. */
static void *thread(void *cfd)
{
	converse((intptr_t)cfd);
	close((intptr_t)cfd);
	leave();
	return NULL;
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
