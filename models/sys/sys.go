// Package sys has one thin wrapper for each system call that a page makes,
// under the call's own name.
//
// A wrapper does three things for its page. It repeats a call that a signal
// interrupted (EINTR): the Go runtime sends itself signals all the time, and
// Ctrl-Z followed by fg interrupts every poll(2). It turns a failure into an
// error that says call, object and cause, "read fd 7: connection reset by
// peer". And it leaves everything else as the man page has it: a call that
// sleeps in C sleeps here.
package sys

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An Error is a system call that failed.
type Error struct {
	Call  string     // "read"
	FD    int        // the descriptor it was made on; -1: on none
	Errno unix.Errno // why
}

func (e *Error) Error() string {
	if e.FD < 0 {
		return e.Call + ": " + e.Errno.Error()
	}
	return e.Call + " fd " + strconv.Itoa(e.FD) + ": " + e.Errno.Error()
}

func (e *Error) Unwrap() error { return e.Errno }

func failed(call string, fd int, err error) error {
	if errno, ok := err.(unix.Errno); ok {
		return &Error{call, fd, errno}
	}
	return err
}

// Again asks whether the call would have had to wait: the descriptor is
// non-blocking and not ready (EAGAIN).
func Again(err error) bool { return errors.Is(err, unix.EAGAIN) }

// Stopped asks whether accept failed because the listening socket was shut
// down (EINVAL).
func Stopped(err error) bool { return errors.Is(err, unix.EINVAL) }

// Full asks whether there was no room for one more client: out of descriptors
// (EMFILE, ENFILE), memory (ENOBUFS, ENOMEM) or processes (EAGAIN of fork). The
// client is not lost: it waits in the accept queue.
func Full(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
	}
	switch e.Errno {
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		return true
	}
	return e.Call == "fork" && e.Errno == unix.EAGAIN
}

// Accept takes the next client from the queue of lfd: accept4(2). The new
// descriptor is closed on exec, and also has the flags (unix.SOCK_NONBLOCK).
//
// A connection may die while it waits in the queue. Linux reports its error
// from accept: accept(2), "Error handling". Accept skips it: the page does not
// see it.
func Accept(lfd, flags int) (cfd int, err error) {
	call := watch("accept", lfd)
	for {
		cfd, client, err := accept4(lfd, unix.SOCK_CLOEXEC|flags)
		if err == nil {
			return call.gotClient(client).done(cfd, nil)
		}
		if !diedInQueue(err) {
			return call.done(-1, failed("accept", lfd, err))
		}
	}
}

// accept4 asks for the client's address only if there is a probe. No one else
// uses it, and to make it allocates more than a page keeps for a client.
func accept4(lfd, flags int) (cfd int, client unix.Sockaddr, err error) {
	if probe != nil {
		return unix.Accept4(lfd, flags)
	}
	n, _, errno := syscall.Syscall6(unix.SYS_ACCEPT4, uintptr(lfd), 0, 0, uintptr(flags), 0, 0)
	if errno != 0 {
		return -1, nil, errno
	}
	return int(n), nil, nil
}

// diedInQueue asks whether accept is to be tried again: it failed because of
// one client, or was interrupted.
func diedInQueue(err error) bool {
	switch err {
	case unix.EINTR,
		unix.ECONNABORTED, unix.EPROTO, unix.ENOPROTOOPT, unix.EPERM,
		unix.ENETDOWN, unix.ENETUNREACH, unix.ENONET,
		unix.EHOSTDOWN, unix.EHOSTUNREACH:
		return true
	}
	return false
}

// Read reads what is there, up to len(p) bytes: read(2). 0 is the end.
func Read(fd int, p []byte) (int, error) {
	yield()
	call := watch("read", fd)
	for {
		n, err := unix.Read(fd, p)
		if err == nil {
			return call.gotBytes(p[:n]).done(n, nil)
		}
		if err != unix.EINTR {
			return call.done(0, failed("read", fd, err))
		}
	}
}

// WaitRead is Read on a descriptor that somebody else may have made
// non-blocking, as the operator's may be: it sleeps all the same, in poll(2).
func WaitRead(fd int, p []byte) (int, error) {
	for {
		n, err := Read(fd, p)
		if !Again(err) {
			return n, err
		}
		Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
	}
}

// Write writes what the kernel takes of p, which may be less than all:
// write(2). Go ignores SIGPIPE, so a peer that has gone is the error EPIPE.
func Write(fd int, p []byte) (int, error) {
	call := watchWrite(fd, p)
	for {
		n, err := unix.Write(fd, p)
		if err == nil {
			return call.done(n, nil)
		}
		if err != unix.EINTR {
			return call.done(0, failed("write", fd, err))
		}
	}
}

// Show writes text to the operator's screen, all of it, if there is any. It
// sleeps while the screen has no room.
func Show(screen int, text []byte) {
	if screen < 0 {
		return // there is none
	}
	for len(text) > 0 {
		n, err := Write(screen, text)
		switch {
		case Again(err): // somebody has made it non-blocking
			Poll([]unix.PollFd{{Fd: int32(screen), Events: unix.POLLOUT}}, -1)
		case err != nil:
			return
		}
		text = text[n:]
	}
}

// Close gives the descriptor back: close(2). It is not repeated when
// interrupted, since Linux has released the descriptor by then. -1 is none.
func Close(fd int) {
	if fd >= 0 {
		call := watch("close", fd)
		unix.Close(fd)
		call.done(0, nil)
	}
}

// Select waits until a descriptor below nfd is ready, and leaves only those in
// the sets: select(2). A nil timeout waits for ever.
func Select(nfd int, read, write *unix.FdSet, timeout *unix.Timeval) (int, error) {
	yield()
	call := watchSelect(nfd, read, write)
	var end time.Time
	if timeout != nil {
		end = time.Now().Add(time.Duration(timeout.Nano()))
	}
	for {
		n, err := unix.Select(nfd, read, write, nil, timeout)
		if err == nil {
			return call.gotSets(nfd, read, write).done(n, nil)
		}
		if err != unix.EINTR {
			return call.done(0, failed("select", -1, err))
		}
		if timeout != nil { // an interrupted select leaves the sets as they were
			left := unix.NsecToTimeval(int64(max(0, time.Until(end))))
			timeout = &left
		}
	}
}

// Mark puts fd into each set for Select, or takes it out of the set: FD_SET and
// FD_CLR. It does nothing for -1.
func Mark(fd int, in bool, readers *unix.FdSet, out bool, writers *unix.FdSet) {
	if fd < 0 {
		return
	}
	readers.Clear(fd)
	writers.Clear(fd)
	if in {
		readers.Set(fd)
	}
	if out {
		writers.Set(fd)
	}
}

// Events are the events that Poll or EpollWait reports: readable, writable, both
// or neither. POLLIN and EPOLLIN are the same, and so are POLLOUT and
// EPOLLOUT.
func Events(in, out bool) (events uint32) {
	if in {
		events |= unix.EPOLLIN
	}
	if out {
		events |= unix.EPOLLOUT
	}
	return events
}

// Poll waits until one of the descriptors is ready and says how many are:
// poll(2). The timeout is in milliseconds, negative for ever.
func Poll(fds []unix.PollFd, timeout int) (int, error) {
	yield()
	call := watchPoll(fds)
	var end time.Time
	if timeout >= 0 {
		end = time.Now().Add(time.Duration(timeout) * time.Millisecond)
	}
	for {
		n, err := unix.Poll(fds, timeout)
		if err == nil {
			return call.gotList(fds).done(n, nil)
		}
		if err != unix.EINTR {
			return call.done(0, failed("poll", -1, err))
		}
		if timeout >= 0 {
			timeout = milliseconds(time.Until(end))
		}
	}
}

// PollTwo sleeps until one of two descriptors has something to read, and says
// which, or both: poll(2).
func PollTwo(a, b int) (readyA, readyB bool) {
	fds := []unix.PollFd{
		{Fd: int32(a), Events: unix.POLLIN},
		{Fd: int32(b), Events: unix.POLLIN},
	}
	Poll(fds, -1)
	return fds[0].Revents != 0, fds[1].Revents != 0
}

// milliseconds is the time until a deadline, rounded up as the kernel does.
func milliseconds(left time.Duration) int {
	return max(0, int((left + time.Millisecond - 1).Milliseconds()))
}

// Pipe makes a pipe of two descriptors that are closed on exec: pipe2(2). Its
// writer never waits: a full pipe is EAGAIN, and a line of at most MaxLine
// bytes goes in whole or not at all: pipe(7).
func Pipe() (reader, writer int, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, failed("pipe", -1, err)
	}
	if err := unix.SetNonblock(fds[1], true); err != nil {
		Close(fds[0])
		Close(fds[1])
		return -1, -1, failed("fcntl", fds[1], err)
	}
	return fds[0], fds[1], nil
}

// Start starts a command in a child process, as fork(2) and execve(2) do, and
// returns its pid. The child's descriptors are fds in order: 0, 1, 2 and so on.
// -1 is a descriptor that the child does not have. It inherits none of the
// others that are closed on exec. The kernel kills it when this process ends,
// however that happens: PR_SET_PDEATHSIG in prctl(2).
//
// Start releases cmd.Process, because a Wait for each child would cost a thread
// each; Reap or Wait collects it. The child is told that one thread for Go code
// is enough: it then starts sooner, with fewer threads and less memory.
func Start(cmd *exec.Cmd, fds ...int) (pid int, err error) {
	call := watch("fork", -1)
	if pid, err = start(cmd, fds); err != nil {
		return call.done(0, failed("fork", -1, err))
	}
	return call.done(pid, nil)
}

func start(cmd *exec.Cmd, fds []int) (pid int, err error) {
	files := make([]*os.File, max(3, len(fds))) // nil: closed
	for i, fd := range fds {
		if fd < 0 {
			continue
		}
		// A File closes its descriptor, and this one is the caller's.
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		files[i] = os.NewFile(uintptr(copied), "")
		defer files[i].Close()
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = files[0], files[1], files[2], files[3:]
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	// The kernel sends it when the thread that started the child ends. The Go
	// runtime keeps its threads until the process ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		var errno unix.Errno
		if errors.As(err, &errno) {
			return 0, errno
		}
		return 0, err
	}
	pid = cmd.Process.Pid // before Release forgets it
	return pid, cmd.Process.Release()
}

// Reap collects a child that has ended, without waiting: waitpid(2) with
// WNOHANG. The pid is 0 when none is left to collect.
func Reap() (pid int) {
	call := watchPrompt("waitpid", -1)
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == nil {
			call.gotStatus(pid, status).done(pid, nil)
			return pid
		}
		if err != unix.EINTR { // ECHILD: there are no children at all
			call.done(0, failed("waitpid", -1, err))
			return 0
		}
	}
}
