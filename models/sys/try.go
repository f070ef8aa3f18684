package sys

import (
	"iter"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TryRead is Read on a non-blocking descriptor: it cannot wait, and so it does
// not tell the Go runtime that this thread may be about to sleep. In an event
// loop, whose calls all return at once but one, that is a few percent of a
// request. On a descriptor that can wait it would hold up the whole program.
func TryRead(fd int, p []byte) (int, error) {
	call := watch("read", fd)
	for {
		n, err := try(unix.SYS_READ, fd, p)
		if err == 0 {
			return call.gotBytes(p[:n]).done(n, nil)
		}
		if err != unix.EINTR {
			return call.done(0, failed("read", fd, err))
		}
	}
}

// TryWrite is Write on a non-blocking descriptor, as TryRead is Read.
func TryWrite(fd int, p []byte) (int, error) {
	call := watchWrite(fd, p)
	for {
		n, err := try(unix.SYS_WRITE, fd, p)
		if err == 0 {
			return call.done(n, nil)
		}
		if err != unix.EINTR {
			return call.done(0, failed("write", fd, err))
		}
	}
}

func try(call uintptr, fd int, p []byte) (int, unix.Errno) {
	n, _, err := syscall.RawSyscall(call, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), err
}

// TryAccept accepts those who wait for lfd, which is non-blocking: accept4(2).
// After 64 it stops: the clients who are here have waited long enough. The last
// may be an error; that nobody waits any more is none.
func TryAccept(lfd int) iter.Seq2[int, error] {
	return func(yield func(cfd int, err error) bool) {
		for range 64 {
			cfd, err := Accept(lfd, unix.SOCK_NONBLOCK)
			if Again(err) || !yield(cfd, err) || err != nil {
				return
			}
		}
	}
}
