// Package pollloop serves every client from one thread with poll(2).
//
// Compared with selectloop: the kernel gets a list instead of two bitmaps. So
// there is no limit at descriptor 1024, the question survives the answer, and
// finding out who is ready is still a walk over all clients.
package pollloop

import (
	"runtime"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "poll",
	Summary: "one thread asks the kernel about a list of descriptors",
	Holds:   "a list entry",
	Waits:   "poll(2)",
	Limit:   0,
	Serve:   Serve,
}

type client struct {
	session.Session
	fd int // settle closes it
}

type loop struct {
	models.Job
	clients map[int]*client // by descriptor
	served  int             // how many have come so far
	lines   session.Lines   // what the operator types
	buf     [session.BufferSize]byte

	fds []unix.PollFd // whom to ask about, by descriptor; -1: not this one
}

func Serve(job models.Job) error {
	// One thread may run Go code: with more, each yield would wake another.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l := &loop{Job: job, clients: map[int]*client{}}
	if err := sys.SetNonblock(l.Listener); err != nil {
		return err
	}
	l.ask(l.Listener, true, false)
	l.ask(l.Keyboard, true, false)
	for l.Listener >= 0 || len(l.clients) > 0 {
		if _, err := sys.Poll(l.fds, -1); err != nil { // sleeps
			return err
		}
		for fd := range l.fds { // it says how many are ready, not which
			got := l.fds[fd].Revents
			if got == 0 {
				continue
			}
			in := got&^unix.POLLOUT != 0 // or HUP, or ERR: reading finds out
			if err := l.onReady(fd, in); err != nil {
				return err
			}
		}
		runtime.Gosched() // else the Go runtime takes this thread for stuck
	}
	return nil
}

// ask has the next poll tell when fd is readable or writable, or neither.
func (l *loop) ask(fd int, in, out bool) {
	if fd < 0 {
		return
	}
	for fd >= len(l.fds) {
		l.fds = append(l.fds, unix.PollFd{Fd: -1})
	}
	p := unix.PollFd{Fd: -1} // the kernel skips it: poll(2)
	if in {
		p.Fd, p.Events = int32(fd), p.Events|unix.POLLIN
	}
	if out {
		p.Fd, p.Events = int32(fd), p.Events|unix.POLLOUT
	}
	l.fds[fd] = p
}

// onReady does what a ready descriptor is for. An error is the server's.
func (l *loop) onReady(fd int, in bool) error {
	c := l.clients[fd]
	switch {
	case fd == l.Listener:
		return l.onConnection()
	case fd == l.Keyboard:
		l.onOperator()
	case c == nil: // gone since the question was asked
	case in:
		l.onReadable(c)
	default:
		l.onWritable(c)
	}
	return nil
}

// onConnection accepts one client; the kernel will say if there are more.
func (l *loop) onConnection() error {
	cfd, err := sys.Accept(l.Listener, unix.SOCK_NONBLOCK)
	switch {
	case err == nil:
		l.served++
		l.clients[cfd] = &client{l.Service.New(l.served), cfd}
		l.settle(l.clients[cfd])
	case sys.Again(err): // it left before we came: accept(2), NOTES
	case sys.Full(err) && len(l.clients) > 0:
		l.ask(l.Listener, false, false) // until a client leaves
	case sys.Stopped(err):
		l.ask(l.Listener, false, false)
		l.Listener = -1 // no new clients; serve those who are left
	default:
		return err
	}
	return nil
}

// onOperator says to every client what the operator typed.
func (l *loop) onOperator() {
	n, _ := sys.Read(l.Keyboard, l.buf[:])
	for line := range l.lines.Feed(l.buf[:n]) {
		for _, c := range l.clients {
			c.Say(line)
			l.onWritable(c)
		}
	}
	if n == 0 {
		l.ask(l.Keyboard, false, false)
		l.Keyboard = -1 // no operator any more
	}
}

// onReadable takes what the client sent, and answers at once.
func (l *loop) onReadable(c *client) {
	n, err := sys.TryRead(c.fd, l.buf[:]) // cannot wait, and Go need not know
	switch {
	case sys.Again(err): // readiness is only a hint: select(2), BUGS
		return
	case err != nil:
		l.drop(c)
		return
	case n == 0:
		c.FeedEOF()
	default:
		c.Feed(l.buf[:n])
	}
	l.onWritable(c)
}

// onWritable sends what the kernel takes now; the rest waits for its turn.
func (l *loop) onWritable(c *client) {
	if p := c.Pending(); len(p) > 0 {
		n, err := sys.TryWrite(c.fd, p)
		if err != nil && !sys.Again(err) {
			l.drop(c)
			return
		}
		c.Sent(n)
	}
	l.settle(c)
}

// drop ends the session of a client that is gone: it is owed nothing.
func (l *loop) drop(c *client) {
	c.Sent(len(c.Pending()))
	c.FeedEOF()
	l.settle(c)
}

// settle shows what the client said, and waits for what it wants next, or
// closes.
func (l *loop) settle(c *client) {
	if text := c.Heard(); len(text) > 0 {
		sys.Write(l.Screen, text)
	}
	if !c.Done() {
		l.ask(c.fd, c.WantRead(), len(c.Pending()) > 0)
		return
	}
	l.ask(c.fd, false, false)
	delete(l.clients, c.fd)
	sys.Close(c.fd)
	l.ask(l.Listener, true, false) // there is room for one more
}
