/* Two queues in memory that the program shares with the kernel, io_uring(7),
 * by raw system calls: the twin of models/sys/uring.go.
 *
 * want only writes down an operation; enter hands all of them over, and is the
 * one call that can wait. Where a queue ends is an atomic store by one side and
 * an atomic load by the other: what was written before it is then seen behind it.
 */
#ifndef RING_H
#define RING_H

#include <linux/io_uring.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "sys.h"

enum { ENTRIES = 256 }; /* of the submission queue; a power of two */

static struct {
	int fd;
	unsigned *sq_head, *sq_tail; /* the kernel takes here, and we put here */
	unsigned *cq_head, *cq_tail; /* we take here, and the kernel puts here */
	unsigned cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
} ring;

static inline void *map_ring(size_t size, off_t what)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, ring.fd, what);
	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

/* open_ring makes the queues: io_uring_setup(2). */
static inline void open_ring(void)
{
	struct io_uring_params p = { .flags = IORING_SETUP_COOP_TASKRUN };
	ring.fd = syscall(SYS_io_uring_setup, ENTRIES, &p);
	if (ring.fd < 0)
		die("io_uring_setup (sysctl kernel.io_uring_disabled=0 allows it)");
	char *sq = map_ring(p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	char *cq = map_ring(p.cq_off.cqes + p.cq_entries * sizeof *ring.cqes, IORING_OFF_CQ_RING);
	ring.sqes = map_ring(p.sq_entries * sizeof *ring.sqes, IORING_OFF_SQES);
	ring.sq_head = (unsigned *)(sq + p.sq_off.head);
	ring.sq_tail = (unsigned *)(sq + p.sq_off.tail);
	ring.cq_head = (unsigned *)(cq + p.cq_off.head);
	ring.cq_tail = (unsigned *)(cq + p.cq_off.tail);
	ring.cq_mask = p.cq_entries - 1;
	ring.cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	for (unsigned i = 0; i < p.sq_entries; i++) /* each index means its own entry */
		((unsigned *)(sq + p.sq_off.array))[i] = i;
}

/* enter hands over what is wanted, and waits until something is done:
 * io_uring_enter(2). With wait 0 it only makes room. */
static inline void enter(unsigned wait)
{
	unsigned n = *ring.sq_tail - __atomic_load_n(ring.sq_head, __ATOMIC_ACQUIRE);
	if (syscall(SYS_io_uring_enter, ring.fd, n, wait, IORING_ENTER_GETEVENTS, NULL, 0) < 0 &&
	    errno != EINTR && errno != EAGAIN && errno != EBUSY) /* results are to be taken first */
		die("io_uring_enter");
}

/* want writes down an operation; what comes back with its result. */
static inline void want(int op, int fd, void *p, size_t n, void *what)
{
	unsigned tail = *ring.sq_tail;
	while (tail - __atomic_load_n(ring.sq_head, __ATOMIC_ACQUIRE) == ENTRIES)
		enter(0);
	struct io_uring_sqe *sqe = &ring.sqes[tail % ENTRIES];
	memset(sqe, 0, sizeof *sqe);
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)p;
	sqe->len = n;
	sqe->user_data = (uintptr_t)what;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
}

/* done takes the next result: what an operation was for, and the number that it
 * returned, or -errno. It is false if there is none. */
static inline int done(void **what, int *n)
{
	unsigned head = *ring.cq_head;
	if (head == __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE))
		return 0;
	struct io_uring_cqe *cqe = &ring.cqes[head & ring.cq_mask];
	*what = (void *)(uintptr_t)cqe->user_data;
	*n = cqe->res;
	__atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
	return 1;
}

#endif
