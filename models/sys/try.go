package sys

import (
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
