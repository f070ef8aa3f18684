package sys_test

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

func TestAcceptFlags(t *testing.T) {
	nothingLeaks(t)
	lfd, addr := listen(t)
	for _, flags := range []int{0, unix.SOCK_NONBLOCK} {
		client := must[int](t)(sys.Connect(addr))
		cfd := must[int](t)(sys.Accept(lfd, flags))
		if got := must[int](t)(unix.FcntlInt(uintptr(cfd), unix.F_GETFD, 0)); got&unix.FD_CLOEXEC == 0 {
			t.Error("the new descriptor is not closed on exec")
		}
		got := must[int](t)(unix.FcntlInt(uintptr(cfd), unix.F_GETFL, 0))
		if got&unix.O_NONBLOCK != flags {
			t.Errorf("asked for flags %#x, accept gives %#x", flags, got&unix.O_NONBLOCK)
		}
		sys.Close(cfd)
		sys.Close(client)
	}
	if err := sys.SetNonblock(lfd); err != nil {
		t.Fatal(err)
	}
	_, err := sys.Accept(lfd, 0)
	says(t, err, fmt.Sprintf("accept fd %d: resource temporarily unavailable", lfd), unix.EAGAIN)
}

func TestShutdownStopsASleepingAccept(t *testing.T) {
	nothingLeaks(t)
	lfd, _ := listen(t)
	s := asleep(t, func() error {
		cfd, err := sys.Accept(lfd, 0)
		sys.Close(cfd)
		return err
	})
	if err := sys.Shutdown(lfd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	err := s.returned(t)
	says(t, err, fmt.Sprintf("accept fd %d: invalid argument", lfd), unix.EINVAL)
	if !sys.Stopped(err) {
		t.Errorf("%v: it is not Stopped", err)
	}
	if _, err := sys.Accept(lfd, 0); !sys.Stopped(err) {
		t.Errorf("the next accept: %v; want that it is Stopped still", err)
	}
}

// A client that was reset in the queue costs the next one nothing.
func TestAcceptAfterReset(t *testing.T) {
	nothingLeaks(t)
	lfd, addr := listen(t)
	dead := must[int](t)(sys.Connect(addr))
	own(t, dead)
	reset(t, dead)
	client := must[int](t)(sys.Connect(addr))
	defer sys.Close(client)
	must[int](t)(sys.Write(client, []byte("hello\n")))
	for range 2 { // Linux hands out the dead one too
		cfd := must[int](t)(sys.Accept(lfd, 0))
		var buf [8]byte
		n, _ := sys.Read(cfd, buf[:])
		sys.Close(cfd)
		if string(buf[:n]) == "hello\n" {
			return
		}
	}
	t.Error("the client after the one that was reset was not accepted")
}

// The errors of a connection that died in the queue are no errors of the
// server: accept(2), "Error handling".
func TestAcceptPassesOver(t *testing.T) {
	lfd, addr := listen(t)
	for _, errno := range []unix.Errno{
		unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.ENOPROTOOPT, unix.EPERM,
		unix.ENETDOWN, unix.ENETUNREACH, unix.ENONET, unix.EHOSTDOWN, unix.EHOSTUNREACH,
	} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			nothingLeaks(t)
			client := must[int](t)(sys.Connect(addr))
			defer sys.Close(client)
			cfd, err := acceptFailing(t, lfd, errno, errno, 0)
			if err != nil {
				t.Fatalf("after two dead connections, accept of a living one: %v", err)
			}
			sys.Close(cfd)
		})
	}
}

func TestAcceptReports(t *testing.T) {
	lfd, _ := listen(t)
	for _, errno := range []unix.Errno{
		unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EINVAL, unix.EAGAIN,
	} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			nothingLeaks(t)
			cfd, err := acceptFailing(t, lfd, errno)
			if cfd != -1 {
				t.Errorf("beside its error accept returns descriptor %d", cfd)
			}
			says(t, err, fmt.Sprintf("accept fd %d: %v", lfd, errno), errno)
		})
	}
}

// acceptFailing calls Accept on a thread whose accept4(2) fails with the errnos
// in turn, by a filter in the kernel, since a dead connection cannot be had for
// the asking: seccomp_unotify(2). 0 lets the call go on.
func acceptFailing(t *testing.T, lfd int, errnos ...unix.Errno) (cfd int, err error) {
	t.Helper()
	filter, done := make(chan int, 1), make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // the filter ends with this thread
		fd, failed := filterAccept()
		if failed != nil {
			err = fmt.Errorf("seccomp: %w", failed)
			filter <- -1
			return
		}
		filter <- fd
		cfd, err = sys.Accept(lfd, 0)
	}()
	fd := <-filter
	if fd < 0 {
		lacking(t, "cannot make a system call fail: "+err.Error())
	}
	defer sys.Close(fd)
	for _, errno := range errnos {
		answerAccept(t, fd, errno)
	}
	receive(t, "accept returns", done)
	return cfd, err
}

// filterAccept has every accept4(2) of this thread ask the returned descriptor
// what to do: seccomp(2).
func filterAccept() (fd int, err error) {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_ACCEPT4, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, err
	}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

// answerAccept waits for one call and has it fail with errno, or go on.
func answerAccept(t *testing.T, fd int, errno unix.Errno) {
	t.Helper()
	type question struct { // struct seccomp_notif
		id   uint64
		_, _ uint32
		_, _ uint32
		_    uint64
		_    [6]uint64
	}
	type answer struct { // struct seccomp_notif_resp
		id    uint64
		val   int64
		errno int32
		flags uint32
	}
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := sys.Poll(fds, int(patience.Milliseconds())); n != 1 {
		t.Fatalf("accept does not try again: %v", err)
	}
	var q question
	ioctl(t, fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&q))
	a := answer{id: q.id, errno: -int32(errno)}
	if errno == 0 {
		a.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	ioctl(t, fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a))
}

func ioctl(t *testing.T, fd int, request uintptr, arg unsafe.Pointer) {
	t.Helper()
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
	if errno != 0 {
		t.Fatalf("ioctl %#x: %v", request, errno)
	}
}
