package sys

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// A watchedListener tells the probe what package net hides: which calls it
// makes, and which of them have to wait.
type watchedListener struct {
	*net.TCPListener
	fd int
}

func watchListener(l *net.TCPListener) (net.Listener, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	return watchedListener{l, number(raw)}, nil
}

// Accept asks first whether a client is there. One that comes between the
// question and the call makes the answer wrong, by a microsecond.
func (l watchedListener) Accept() (net.Conn, error) {
	call := begin(Call{Name: "accept", FD: l.fd, net: true})
	if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}, 0); n == 0 {
		call.parks()
	}
	conn, err := l.AcceptTCP()
	if err != nil {
		_, err = call.done(-1, err)
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	fd := number(raw)
	call.Client = conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	call.done(fd, nil)
	return &watchedConn{conn, raw, fd}, nil
}

func (l watchedListener) Close() error {
	call := begin(Call{Name: "close", FD: l.fd, net: true})
	_, err := call.done(0, l.TCPListener.Close())
	return err
}

// A watchedConn makes the calls of a net.TCPConn, in the same way.
type watchedConn struct {
	*net.TCPConn
	raw syscall.RawConn
	fd  int
}

func (c *watchedConn) Read(p []byte) (n int, err error) {
	call := begin(Call{Name: "read", FD: c.fd, net: true})
	failed := c.raw.Read(func(fd uintptr) bool {
		n, err = ignoreEINTR(unix.Read, int(fd), p)
		if err == unix.EAGAIN {
			call.parks()
		}
		return err != unix.EAGAIN
	})
	if failed != nil { // closed meanwhile, or a deadline
		err = failed
	}
	n, err = call.gotBytes(p[:max(n, 0)]).done(max(n, 0), err)
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

// Write writes all of p, as net.Conn promises, with as many calls as it takes.
func (c *watchedConn) Write(p []byte) (wrote int, err error) {
	for wrote < len(p) && err == nil {
		n := 0
		call := begin(Call{Name: "write", FD: c.fd, Args: quoted(p[wrote:]), net: true})
		failed := c.raw.Write(func(fd uintptr) bool {
			n, err = ignoreEINTR(unix.Write, int(fd), p[wrote:])
			if err == unix.EAGAIN {
				call.parks()
			}
			return err != unix.EAGAIN
		})
		if failed != nil {
			err = failed
		}
		n, err = call.done(max(n, 0), err)
		wrote += n
	}
	return wrote, err
}

func (c *watchedConn) Close() error {
	call := begin(Call{Name: "close", FD: c.fd, net: true})
	_, err := call.done(0, c.TCPConn.Close())
	return err
}

func ignoreEINTR(do func(int, []byte) (int, error), fd int, p []byte) (n int, err error) {
	for n, err = do(fd, p); err == unix.EINTR; {
		n, err = do(fd, p)
	}
	return n, err
}

func number(raw syscall.RawConn) (fd int) {
	fd = -1
	raw.Control(func(there uintptr) { fd = int(there) })
	return fd
}
