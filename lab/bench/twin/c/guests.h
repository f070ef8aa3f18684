/* Who is here, for servers with many threads: the twin of models/guests. */
#ifndef GUESTS_H
#define GUESTS_H

#include <pthread.h>

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;    /* guards what follows */
static int guests;                                        /* clients */
static int left;                                          /* see someone_leaves */
static pthread_cond_t leaving = PTHREAD_COND_INITIALIZER; /* tells of that */

static inline void come(void)
{
	pthread_mutex_lock(&mu);
	guests++;
	pthread_mutex_unlock(&mu);
}

static inline void leave(void)
{
	pthread_mutex_lock(&mu);
	guests--;
	left = 1;
	pthread_cond_signal(&leaving);
	pthread_mutex_unlock(&mu);
}

/* someone_leaves sleeps until a client has left since it was last asked. It is
 * false if nobody is there to leave. */
static inline int someone_leaves(void)
{
	pthread_mutex_lock(&mu);
	while (!left && guests > 0)
		pthread_cond_wait(&leaving, &mu);
	int yes = left;
	left = 0;
	pthread_mutex_unlock(&mu);
	return yes;
}

#endif
