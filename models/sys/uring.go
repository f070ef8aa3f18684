package sys

import (
	"iter"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Ring is two queues in memory that the program shares with the kernel:
// io_uring(7). Operations go into one, their results come out of the other.
//
// Accept, Read and Write only write down what is wanted; Enter hands it over,
// and is the one call that can wait. One side stores the end of a queue
// atomically, and the other side loads it atomically: then it also sees all
// that was written before the store.
//
// A Ring is for one goroutine. When a thread ends, the kernel cancels what that
// thread has asked for; the Go runtime's threads stay.
type Ring struct {
	fd       int
	wanted   []sqe // not in the queue yet: there is always room for one more here
	inFlight int   // wanted, and not Done

	rings          []byte  // the mapping of both queues
	sqes           []byte  // and of the entries of the first
	sqHead, sqTail *uint32 // the kernel takes here, and we put here
	cqHead, cqTail *uint32 // we take here, and the kernel puts here
	submissions    []sqe   // a power of two of them
	completions    []cqe

	pool    []byte   // the memory of the buffers, and of their ring
	lending []buffer // to the kernel: an operation that reads takes the next
	lent    uint16   // how many have been, so far
}

// A Result is the result of an operation.
type Result struct {
	Op   Op
	FD   int    // on which it was
	N    int    // what accept returned, or how many bytes were read or written
	Data []byte // what was read; the kernel gets the buffer back with the next Result
	Err  error
}

// Silent clients hold no buffer: the kernel takes one when there is something
// to put in. A page of memory that was never used costs nothing.
const (
	buffers    = 256 // a power of two
	bufferSize = 16 << 10
	bufferRoom = buffers * bufferSize
	entrySize  = int(unsafe.Sizeof(buffer{}))
)

// NewRing makes a ring whose submission queue has a number of entries, a power
// of two: io_uring_setup(2). The error says what the machine lacks.
func NewRing(entries int) (*Ring, error) {
	call := watch("io_uring_setup", -1)
	p := ringParams{flags: setupSubmitAll | setupCoopTaskrun}
	fd, err := call.done(ringSetup(entries, &p))
	if err != nil {
		return nil, refused(err)
	}
	r := &Ring{fd: fd}
	if err := r.share(&p); err != nil {
		r.unmap()
		return nil, refused(err)
	}
	return r, nil
}

// share maps the queues, and lends the kernel all buffers.
func (r *Ring) share(p *ringParams) (err error) {
	const readWrite = unix.PROT_READ | unix.PROT_WRITE
	const shared = unix.MAP_SHARED | unix.MAP_POPULATE
	size := max(p.sq.array+4*p.sqEntries, p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(cqe{})))
	if r.rings, err = unix.Mmap(r.fd, offSQRing, int(size), readWrite, shared); err != nil {
		return err
	}
	size = p.sqEntries * uint32(unsafe.Sizeof(sqe{}))
	if r.sqes, err = unix.Mmap(r.fd, offSQEs, int(size), readWrite, shared); err != nil {
		return err
	}
	r.sqHead, r.sqTail = &at[uint32](r.rings, p.sq.head, 1)[0], &at[uint32](r.rings, p.sq.tail, 1)[0]
	r.cqHead, r.cqTail = &at[uint32](r.rings, p.cq.head, 1)[0], &at[uint32](r.rings, p.cq.tail, 1)[0]
	r.submissions = at[sqe](r.sqes, 0, p.sqEntries)
	r.completions = at[cqe](r.rings, p.cq.cqes, p.cqEntries)
	for i := range p.sqEntries { // the queue holds indices of entries: each its own
		at[uint32](r.rings, p.sq.array, p.sqEntries)[i] = i
	}

	r.pool, err = unix.Mmap(-1, 0, bufferRoom+buffers*entrySize, readWrite, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	r.lending = at[buffer](r.pool, bufferRoom, buffers)
	for id := range buffers {
		r.lend(uint16(id))
	}
	where := uint64(uintptr(unsafe.Pointer(&r.lending[0])))
	return ringRegister(r.fd, &bufferRing{addr: where, entries: buffers})
}

// buffer is the memory of one of them.
func (r *Ring) buffer(id uint16) []byte {
	return r.pool[int(id)*bufferSize:][:bufferSize]
}

// lend gives the kernel a buffer that it may put something in.
func (r *Ring) lend(id uint16) {
	b := &r.lending[r.lent%buffers]
	b.addr = uint64(uintptr(unsafe.Pointer(&r.buffer(id)[0])))
	b.len = bufferSize
	b.last.id = id
	r.lent++
	setTail(&r.lending[0], r.lent)
}

// Accept wants the next client of lfd: accept4(2).
func (r *Ring) Accept(lfd int) {
	r.want(sqe{op: OpAccept, fd: int32(lfd), opFlags: unix.SOCK_CLOEXEC})
}

// Read wants what comes next from fd, in a buffer that the kernel chooses:
// read(2). Only the end is 0 bytes. For -1 it does nothing.
func (r *Ring) Read(fd int) {
	if fd < 0 {
		return
	}
	r.want(sqe{op: OpRead, fd: int32(fd), off: noOffset, len: bufferSize, flags: bufferSelect})
}

// Write wants p written to fd, or as much as the kernel takes: write(2). Until
// its Result the memory is the kernel's: it reads it without knowing of Go, so
// the caller must hold on to p, and not change it.
func (r *Ring) Write(fd int, p []byte) {
	address := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p))))
	r.want(sqe{op: OpWrite, fd: int32(fd), off: noOffset, addr: address, len: uint32(len(p))})
}

const noOffset = 1<<64 - 1 // -1: where the file is, as read(2) and write(2)

func (r *Ring) want(s sqe) {
	s.userData = uint64(s.op)<<32 | uint64(uint32(s.fd)) // comes back with the result
	r.wanted = append(r.wanted, s)
	r.inFlight++
}

// Enter hands over what is wanted, and waits until something is Done:
// io_uring_enter(2).
func (r *Ring) Enter() error {
	yield()
	call := watchRing(r)
	err := failed("io_uring_enter", r.fd, r.enter())
	_, err = call.gotResults(r).done(0, err)
	return err
}

func (r *Ring) enter() error {
	for {
		submit, wait := r.submit(), uint32(1)
		if len(r.wanted) > 0 { // the queue was too short: first this much
			wait = 0
		}
		if submit == 0 && !r.empty() {
			return nil
		}
		err := ringEnter(r.fd, submit, wait, enterGetEvents)
		full := err == unix.EAGAIN || err == unix.EBUSY // until results are taken
		switch {
		case full && !r.empty():
			return nil
		case err != nil && err != unix.EINTR:
			return err
		}
	}
}

// submit puts what is wanted into the queue, as far as it goes, and counts what
// is in it.
func (r *Ring) submit() uint32 {
	head, tail := atomic.LoadUint32(r.sqHead), *r.sqTail
	size := uint32(len(r.submissions))
	n := min(len(r.wanted), int(size-(tail-head)))
	for _, s := range r.wanted[:n] {
		r.submissions[tail%size] = s
		tail++
	}
	atomic.StoreUint32(r.sqTail, tail)
	r.wanted = append(r.wanted[:0], r.wanted[n:]...)
	return tail - head
}

func (r *Ring) empty() bool { return *r.cqHead == atomic.LoadUint32(r.cqTail) }

// take takes the next completion; there is one.
func (r *Ring) take() cqe {
	c := r.completions[*r.cqHead%uint32(len(r.completions))]
	atomic.StoreUint32(r.cqHead, *r.cqHead+1)
	r.inFlight--
	return c
}

// Done yields the results of operations. An operation that was interrupted, or
// found a dead client or no buffer, is started again and not yielded.
func (r *Ring) Done() iter.Seq[Result] {
	return func(yield func(Result) bool) {
		for more := true; more && !r.empty(); {
			c := r.take()
			d := c.result()
			switch {
			case c.again() && d.Op == OpAccept:
				r.Accept(d.FD)
				continue
			case c.again() && d.Op == OpRead:
				r.Read(d.FD)
				continue
			}
			id := uint16(c.flags >> cqeBufferShift)
			if d.Op == OpRead && d.N > 0 {
				d.Data = r.buffer(id)[:d.N]
			}
			more = yield(d)
			if c.flags&cqeHasBuffer != 0 {
				r.lend(id)
			}
		}
	}
}

// result is a completion as wrappers have it: the number or the error.
func (c cqe) result() Result {
	d := Result{Op: Op(c.userData >> 32), FD: int(int32(c.userData)), N: int(c.res)}
	if c.res < 0 {
		d.N, d.Err = 0, failed(d.Op.String(), d.FD, unix.Errno(-c.res))
	}
	return d
}

// again asks whether it is as if it had not been tried.
func (c cqe) again() bool {
	errno := unix.Errno(-c.res)
	switch Op(c.userData >> 32) {
	case OpAccept:
		return diedInQueue(errno)
	case OpRead:
		return errno == unix.EINTR || errno == unix.ENOBUFS // all buffers are lent
	}
	return false
}

// Close closes the ring. It cancels what is in flight and waits for it: after
// close(2) alone the kernel would go on for a while, and write into our
// memory.
func (r *Ring) Close() {
	if r.inFlight > 0 {
		r.want(sqe{op: OpCancel, fd: -1, opFlags: cancelAny | cancelAll})
	}
	for r.inFlight > 0 && r.enter() == nil {
		for !r.empty() {
			if c := r.take(); c.res >= 0 && Op(c.userData>>32) == OpAccept {
				Close(int(c.res)) // it came in the last moment
			}
		}
	}
	r.unmap()
}

func (r *Ring) unmap() {
	for _, mapping := range [][]byte{r.rings, r.sqes, r.pool} {
		if mapping != nil {
			unix.Munmap(mapping)
		}
	}
	Close(r.fd)
}
