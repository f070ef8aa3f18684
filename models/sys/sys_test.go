package sys_test

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/session"
	"socketlab/models/sys"
)

func TestErrorsAskedByQuestion(t *testing.T) {
	for _, test := range []struct {
		err                  error
		again, stopped, full bool
	}{
		{err: nil},
		{err: &sys.Error{Call: "read", FD: 7, Errno: unix.EAGAIN}, again: true},
		{err: &sys.Error{Call: "read", FD: 7, Errno: unix.ECONNRESET}},
		{err: &sys.Error{Call: "accept", FD: 3, Errno: unix.EINVAL}, stopped: true},
		{err: &sys.Error{Call: "accept", FD: 3, Errno: unix.EMFILE}, full: true},
		{err: &sys.Error{Call: "accept", FD: 3, Errno: unix.ENFILE}, full: true},
		{err: &sys.Error{Call: "accept", FD: 3, Errno: unix.ENOBUFS}, full: true},
		{err: &sys.Error{Call: "accept", FD: 3, Errno: unix.ENOMEM}, full: true},
		{err: &sys.Error{Call: "accept", FD: 3, Errno: unix.EBADF}},
		{err: &sys.Error{Call: "fork", FD: -1, Errno: unix.EAGAIN}, again: true, full: true},
		{err: fmt.Errorf("accept: %w", syscall.EMFILE), full: true}, // net's
		{err: fmt.Errorf("accept: %w", syscall.ENFILE), full: true},
		{err: fmt.Errorf("accept: %w", syscall.EINVAL), stopped: true},
	} {
		t.Run(fmt.Sprint(test.err), func(t *testing.T) {
			if sys.Again(test.err) != test.again {
				t.Errorf("Again is %v", !test.again)
			}
			if sys.Stopped(test.err) != test.stopped {
				t.Errorf("Stopped is %v", !test.stopped)
			}
			if sys.Full(test.err) != test.full {
				t.Errorf("Full is %v", !test.full)
			}
		})
	}
}

func TestReset(t *testing.T) {
	nothingLeaks(t)
	client, server := connection(t)
	reset(t, client)
	var buf [8]byte
	_, err := sys.Read(server, buf[:]) // RST is there at once on loopback
	says(t, err, fmt.Sprintf("read fd %d: connection reset by peer", server), unix.ECONNRESET)
	if n, err := sys.Read(server, buf[:]); n != 0 || err != nil {
		t.Errorf("after the error read returns %d, %v; want the end", n, err)
	}
	_, err = sys.Write(server, []byte("hello\n")) // SIGPIPE would end the test
	says(t, err, fmt.Sprintf("write fd %d: broken pipe", server), unix.EPIPE)
}

func TestErrorsNameTheCall(t *testing.T) {
	var closed [2]int // two numbers that are no descriptors now
	if err := unix.Pipe2(closed[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	sys.Close(closed[0])
	sys.Close(closed[1])
	fd := closed[0]
	for call, do := range map[string]func() error{
		"accept":      func() error { _, err := sys.Accept(fd, 0); return err },
		"read":        func() error { _, err := sys.Read(fd, make([]byte, 1)); return err },
		"write":       func() error { _, err := sys.Write(fd, []byte("x")); return err },
		"shutdown":    func() error { return sys.Shutdown(fd, unix.SHUT_WR) },
		"fcntl":       func() error { return sys.SetNonblock(fd) },
		"getsockname": func() error { _, err := sys.LocalAddr(fd); return err },
		"dup":         func() error { _, err := sys.NetListener(fd); return err },
	} {
		t.Run(call, func(t *testing.T) {
			says(t, do(), fmt.Sprintf("%s fd %d: bad file descriptor", call, fd), unix.EBADF)
		})
	}
	t.Run("select", func(t *testing.T) {
		var set unix.FdSet
		set.Set(fd)
		_, err := sys.Select(fd+1, &set, nil, nil)
		says(t, err, "select: bad file descriptor", unix.EBADF)
	})
	sys.Close(-1) // is nothing
}

// A signal ends a sleeping call with EINTR, and nobody should notice. Where
// the kernel would restart the call by itself (SA_RESTART, signal(7)), a
// timeout on the socket makes it report the signal.
func TestSignalsAreNotNoticed(t *testing.T) {
	for name, story := range map[string]func(t *testing.T){
		"accept": func(t *testing.T) {
			lfd, addr := listen(t)
			notRestarted(t, lfd)
			s := asleep(t, func() error {
				cfd, err := sys.Accept(lfd, 0)
				sys.Close(cfd)
				return err
			})
			s.interrupt(t)
			sys.Close(must[int](t)(sys.Connect(addr)))
			if err := s.returned(t); err != nil {
				t.Error(err)
			}
		},
		"read": func(t *testing.T) {
			client, server := connection(t)
			notRestarted(t, server)
			var buf [100]byte
			n := 0
			s := asleep(t, func() (err error) {
				n, err = sys.Read(server, buf[:])
				return err
			})
			s.interrupt(t)
			must[int](t)(sys.Write(client, []byte("hello\n")))
			if err := s.returned(t); err != nil || string(buf[:n]) != "hello\n" {
				t.Errorf("read %q, %v; want what came", buf[:n], err)
			}
		},
		"write": func(t *testing.T) {
			fd, peer := full(t)
			notRestarted(t, fd)
			n := 0
			s := asleep(t, func() (err error) {
				n, err = sys.Write(fd, []byte("hello\n"))
				return err
			})
			s.interrupt(t)
			must[int](t)(sys.Read(peer, make([]byte, 1<<20)))
			if err := s.returned(t); err != nil || n != 6 {
				t.Errorf("wrote %d bytes, %v; want 6", n, err)
			}
		},
		"select": func(t *testing.T) {
			quiet, _ := pipe(t)
			reader, writer := pipe(t)
			full, _ := full(t)
			var read, write unix.FdSet
			read.Set(quiet)
			read.Set(reader)
			write.Set(full)
			n := 0
			s := asleep(t, func() (err error) {
				n, err = sys.Select(max(reader, full)+1, &read, &write, nil)
				return err
			})
			s.interrupt(t)
			must[int](t)(sys.Write(writer, []byte("x")))
			if err := s.returned(t); err != nil || n != 1 {
				t.Errorf("%d are ready, %v; want 1", n, err)
			}
			if !read.IsSet(reader) || read.IsSet(quiet) || write.IsSet(full) {
				t.Error("the sets hold others than the one that is ready")
			}
		},
		"poll": func(t *testing.T) {
			quiet, _ := pipe(t)
			reader, writer := pipe(t)
			fds := []unix.PollFd{
				{Fd: int32(quiet), Events: unix.POLLIN},
				{Fd: -1, Events: unix.POLLIN},
				{Fd: int32(reader), Events: unix.POLLIN},
			}
			n := 0
			s := asleep(t, func() (err error) {
				n, err = sys.Poll(fds, -1)
				return err
			})
			s.interrupt(t)
			must[int](t)(sys.Write(writer, []byte("x")))
			if err := s.returned(t); err != nil || n != 1 {
				t.Errorf("%d are ready, %v; want 1", n, err)
			}
			if fds[0].Revents != 0 || fds[1].Revents != 0 || fds[2].Revents != unix.POLLIN {
				t.Errorf("poll answers %+v, want only the last one ready", fds)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			nothingLeaks(t)
			story(t)
		})
	}
}

// notRestarted gives the socket a timeout that never passes: signal(7),
// "Interruption of system calls and library functions by signal handlers".
func notRestarted(t *testing.T, fd int) {
	t.Helper()
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		hour := unix.Timeval{Sec: 3600}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &hour); err != nil {
			t.Fatal(err)
		}
	}
}

// full is a local socket that takes no more, until its peer is read.
func full(t *testing.T) (fd, peer int) {
	t.Helper()
	fds := must[[2]int](t)(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	own(t, fds[0], fds[1])
	if err := sys.SetNonblock(fds[0]); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1 << 16, 1} { // a byte may fit where many do not
		var err error
		for p := make([]byte, size); err == nil; {
			_, err = sys.Write(fds[0], p)
		}
		if !sys.Again(err) {
			t.Fatal(err)
		}
	}
	if err := unix.SetNonblock(fds[0], false); err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

// A timeout passes all the same, however many signals come.
func TestSignalsDoNotExtendTimeouts(t *testing.T) {
	const timeout = 50 * time.Millisecond
	epfd := list(t)
	for name, call := range map[string]func() (int, error){
		"poll": func() (int, error) { return sys.Poll(nil, int(timeout.Milliseconds())) },
		"epoll": func() (int, error) {
			return sys.EpollWait(epfd, make([]unix.EpollEvent, 1), int(timeout.Milliseconds()))
		},
		"select": func() (int, error) {
			left := unix.NsecToTimeval(timeout.Nanoseconds())
			return sys.Select(0, nil, nil, &left)
		},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			n := -1
			s := asleep(t, func() (err error) {
				n, err = call()
				return err
			})
			tick := time.NewTicker(timeout / 5)
			defer tick.Stop()
			within(t, "the timeout passes", func() bool {
				select {
				case <-tick.C:
					unix.Tgkill(unix.Getpid(), s.tid, unix.SIGURG) // Go's own, and harmless
				case err := <-s.done:
					s.done <- err
				}
				return len(s.done) > 0
			})
			if err := s.returned(t); n != 0 || err != nil {
				t.Errorf("%d are ready, %v; want none", n, err)
			}
			if took := time.Since(start); took < timeout {
				t.Errorf("it returned after %v, before the timeout", took)
			}
		})
	}
}

func TestReadyNow(t *testing.T) {
	nothingLeaks(t)
	quiet, writer := pipe(t)
	var read, write unix.FdSet
	read.Set(quiet)
	write.Set(writer)
	if n, err := sys.Select(max(quiet, writer)+1, &read, &write, nil); n != 1 || err != nil {
		t.Errorf("select: %d are ready, %v; want 1", n, err)
	}
	if read.IsSet(quiet) || !write.IsSet(writer) {
		t.Error("select leaves others in its sets than the writer")
	}
	fds := []unix.PollFd{{Fd: int32(quiet), Events: unix.POLLIN}}
	if n, err := sys.Poll(fds, 0); n != 0 || err != nil || fds[0].Revents != 0 {
		t.Errorf("poll: %d are ready, %v; want none", n, err)
	}
	var buf [8]byte
	if err := sys.SetNonblock(quiet); err != nil {
		t.Fatal(err)
	}
	if _, err := sys.Read(quiet, buf[:]); !sys.Again(err) {
		t.Errorf("read of an empty pipe: %v, want that it would wait", err)
	}
}

// The writer of a pipe never waits, and a line of MaxLine bytes goes in whole
// or not at all.
func TestPipe(t *testing.T) {
	for _, size := range []int{1, 100, session.MaxLine - 1, session.MaxLine} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			nothingLeaks(t)
			reader, writer := pipe(t)
			wrote := 0
			put := func() bool {
				line := bytes.Repeat([]byte{byte('a' + wrote%26)}, size)
				n, err := sys.Write(writer, line)
				if err != nil && !sys.Again(err) {
					t.Fatal(err)
				}
				if n != 0 && n != size {
					t.Fatalf("the pipe took %d bytes of a line of %d", n, size)
				}
				if n > 0 {
					wrote++
				}
				return n > 0
			}
			for put() {
			}
			lines, buf := wrote, make([]byte, size)
			must[int](t)(sys.Read(reader, buf[:size/2])) // makes no room for a whole line
			put()
			got := size / 2
			for got < wrote*size { // in several reads: some may make room
				got += must[int](t)(sys.Read(reader, buf))
			}
			if !put() {
				t.Errorf("an empty pipe takes no line of %d bytes", size)
			}
			if lines*size < session.MaxLine {
				t.Errorf("the pipe was full with %d bytes", lines*size)
			}
		})
	}
}

func TestPipeEnds(t *testing.T) {
	nothingLeaks(t)
	reader, writer := pipe(t)
	for _, fd := range []int{reader, writer} {
		if flags := must[int](t)(unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)); flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d of the pipe is not closed on exec", fd)
		}
	}
	if flags := must[int](t)(unix.FcntlInt(uintptr(reader), unix.F_GETFL, 0)); flags&unix.O_NONBLOCK != 0 {
		t.Error("the reader does not wait; only the writer should not")
	}
}
