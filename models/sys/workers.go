package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Wait sleeps until a child of this process has ended, and collects it:
// waitpid(2). The code is its exit code, or -1 if a signal ended it.
func Wait() (pid, code int, err error) {
	call := watch("waitpid", -1)
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == nil {
			call.gotStatus(pid, status).done(pid, nil)
			return pid, status.ExitStatus(), nil
		}
		if err != unix.EINTR {
			_, err = call.done(0, failed("waitpid", -1, err))
			return 0, 0, err
		}
	}
}

// Share makes a T that processes have in common, all zero, and its descriptor,
// closed on exec: memfd_create(2). A child that is given the descriptor calls
// Shared. T has no pointers: they mean nothing to another process.
func Share[T any]() (fd int, shared *T, err error) {
	fd, err = unix.MemfdCreate("shared", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, nil, failed("memfd_create", -1, err)
	}
	if err := unix.Ftruncate(fd, int64(unsafe.Sizeof(*shared))); err != nil {
		Close(fd)
		return -1, nil, failed("ftruncate", fd, err)
	}
	if shared, err = Shared[T](fd); err != nil {
		Close(fd)
		return -1, nil, err
	}
	return fd, shared, nil
}

// Shared is what Share has made: mmap(2), MAP_SHARED. It is there until the
// process ends.
func Shared[T any](fd int) (shared *T, err error) {
	size := int(unsafe.Sizeof(*shared))
	memory, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, failed("mmap", fd, err)
	}
	return (*T)(unsafe.Pointer(&memory[0])), nil
}
