package sys

import (
	"sync/atomic"
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

// Share makes memory for n numbers that processes have in common, all 0, and
// its descriptor, closed on exec: memfd_create(2). A child that is given the
// descriptor calls Shared.
func Share(n int) (fd int, numbers []atomic.Int32, err error) {
	fd, err = unix.MemfdCreate("shared", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, nil, failed("memfd_create", -1, err)
	}
	if err := unix.Ftruncate(fd, int64(n)*int64(unsafe.Sizeof(atomic.Int32{}))); err != nil {
		Close(fd)
		return -1, nil, failed("ftruncate", fd, err)
	}
	if numbers, err = Shared(fd, n); err != nil {
		Close(fd)
		return -1, nil, err
	}
	return fd, numbers, nil
}

// Shared is the memory that Share has made: mmap(2), MAP_SHARED. It is there
// until the process ends.
func Shared(fd, n int) ([]atomic.Int32, error) {
	size := n * int(unsafe.Sizeof(atomic.Int32{}))
	memory, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, failed("mmap", fd, err)
	}
	return unsafe.Slice((*atomic.Int32)(unsafe.Pointer(&memory[0])), n), nil
}
