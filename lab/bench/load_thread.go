package bench

import (
	"context"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A thread is one of the generator's, with the clients that are its own.
type thread struct {
	ctx        stopper
	number, of int // among the threads
	to         unix.Sockaddr
	size       int
	patience   time.Duration
	jobs       chan func()
	gone       chan struct{}

	// What follows is for its jobs only.
	epoll   int
	clients []client
	pattern []byte
	buf     []byte
	start   time.Time
	busy    int // clients that connect or wait
	source  int
	events  [128]unix.EpollEvent
	tally
}

func newThread(ctx stopper, c crowd, pattern []byte, number int) (*thread, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &thread{
		ctx: ctx, number: number, of: c.threads, to: sockaddr(c.to), size: c.size, patience: c.patience,
		jobs: make(chan func()), gone: make(chan struct{}),
		epoll: epoll, pattern: pattern, buf: make([]byte, 64<<10), start: time.Now(),
		tally: newTally(),
	}, nil
}

// leave closes what is open.
func (t *thread) leave() {
	for _, c := range t.clients {
		if c.state != absent {
			unix.Close(c.fd)
		}
	}
	unix.Close(t.epoll)
}

// now is in ns since the thread was made. Go reads the clock in user space.
func (t *thread) now() int64 { return int64(time.Since(t.start)) }

// turns say what a phase does in each turn of the thread's loop.
type turns struct {
	wake     func(now int64) (next int64, err error) // begins what is due; wakes again at next
	answered func(i int, now int64) error            // client i has all that it waited for
	over     func(now int64) bool                    // nothing more is to be begun
}

const forever = int64(1) << 62

// turn is the loop that all phases share: it returns when the phase is over and
// nothing is on its way.
func (t *thread) turn(phase turns) error {
	looked := t.now() // for a client who has waited too long
	for {
		now := t.now()
		next, err := phase.wake(now)
		if err != nil {
			return err
		}
		if t.busy == 0 && phase.over(now) {
			return nil
		}
		n, err := t.wait(min(next-now, int64(100*time.Millisecond)))
		if err != nil {
			return err
		}
		now = t.now()
		for _, event := range t.events[:n] {
			if err := t.ready(int(event.Fd), event.Events, phase.answered); err != nil {
				return err
			}
		}
		if now-looked > int64(100*time.Millisecond) {
			looked = now
			if err := t.impatient(now); err != nil {
				return err
			}
		}
		if t.ctx.Err() != nil {
			return context.Canceled
		}
	}
}

// impatient blames the first client that has waited for too long. An answer
// that comes byte by byte is too late, too.
func (t *thread) impatient(now int64) error {
	for i, c := range t.clients {
		switch late := now-c.sent > int64(t.patience); {
		case late && c.state == connecting:
			return t.blame(i, "could not connect within %v; is the server's accept queue full?", t.patience)
		case late && c.state == waiting:
			return t.blame(i, "has waited %v for %d bytes of %d; for a slow server raise --timeout", t.patience, c.owed, t.size)
		}
	}
	return nil
}

// ready serves client i, of whom epoll has told.
func (t *thread) ready(i int, events uint32, answered func(int, int64) error) error {
	c := &t.clients[i]
	if c.state == connecting {
		if errno, _ := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); errno != 0 {
			return t.blame(i, "could not connect: %v", unix.Errno(errno))
		}
		t.busy-- // begin counts it again
		began := c.intended
		if err := t.listen(i); err != nil {
			return err
		}
		return t.begin(i, began, began)
	}
	if events&unix.EPOLLOUT != 0 && c.unsent > 0 {
		if err := t.send(i); err != nil {
			return err
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return nil
	}
	whole, err := t.receive(i)
	if err != nil || !whole || c.state != waiting {
		return err
	}
	t.busy--
	c.state = silent
	return answered(i, t.now())
}

// wait waits for events, for at most so many ns: epoll_pwait2(2), the one that
// does not round the time to milliseconds.
//
// All calls of the generator are raw system calls: the Go runtime does not know
// that the thread may sleep. If it knew, it would give the thread's processor (P)
// to another thread and take it back, at each call. The price: a sleeping thread
// keeps its processor, so Bench raises GOMAXPROCS. When the runtime wants to stop
// the thread, its signal ends the wait.
func (t *thread) wait(ns int64) (int, error) {
	timeout := unix.NsecToTimespec(max(0, ns))
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(t.epoll),
		uintptr(unsafe.Pointer(&t.events[0])), uintptr(len(t.events)),
		uintptr(unsafe.Pointer(&timeout)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	case unix.ENOSYS: // before Linux 5.11
		n, err := unix.EpollWait(t.epoll, t.events[:], int((ns+999999)/1e6))
		if err == unix.EINTR {
			return 0, nil
		}
		return n, err
	}
	return 0, errno
}

func read(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

func write(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}
