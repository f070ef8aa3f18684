/* Serves clients from threads that were started beforehand: the twin of
 * models/pool.
 *
 * Compared with thread: the threads are there before the clients, and there are
 * never more of them. One thread accepts and puts each client into a queue; the
 * next thread that is free takes it out. Nobody is accepted while all are busy.
 */
#define _GNU_SOURCE
#include <string.h>

#include "guests.h"
#include "sys.h"

enum { THREADS = 8 };

/* mu guards these too. */
static int queue[THREADS], first, many;                /* many of them, from first on */
static pthread_cond_t some = PTHREAD_COND_INITIALIZER; /* tells of one in the queue */

static void welcome(int cfd);
static void *thread(void *unused);
static int next(void);
static void converse(int cfd);

int main(int argc, char **argv)
{
	int lfd = listen_on(argc, argv, 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_t id;
		int err = pthread_create(&id, NULL, thread, NULL);
		if (err != 0) { /* not errno: pthread_create(3) returns it */
			fprintf(stderr, "pthread_create: %s\n", strerror(err));
			exit(2);
		}
	}
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

/* welcome puts one more client into the queue, and waits if it was the last
 * for whom there is a thread. */
static void welcome(int cfd)
{
	pthread_mutex_lock(&mu);
	guests++;
	queue[(first + many++) % THREADS] = cfd;
	pthread_cond_signal(&some);
	while (guests == THREADS)
		pthread_cond_wait(&leaving, &mu); /* sleeps until one is free */
	pthread_mutex_unlock(&mu);
}

/* thread is all that one thread does, for one client after the other. */
static void *thread(void *unused)
{
	(void)unused;
	for (;;) {
		int cfd = next();
		converse(cfd);
		close(cfd);
		leave();
	}
	return NULL;
}

/* next takes a client out of the queue. */
static int next(void)
{
	pthread_mutex_lock(&mu);
	while (many == 0)
		pthread_cond_wait(&some, &mu); /* sleeps until there is a client */
	int cfd = queue[first];
	first = (first + 1) % THREADS;
	many--;
	pthread_mutex_unlock(&mu);
	return cfd;
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
