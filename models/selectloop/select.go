// Package selectloop serves every client from one thread with select(2).
//
// Compared with roles: one thread has all the jobs, so it needs no lock and no
// wake-up. It asks the kernel about all descriptors at once: the clients', the
// listening one, the operator's. It asks with two bitmaps, up to number 1023.
package selectloop

import (
	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/guests"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "select",
	Summary: "one thread asks the kernel which descriptors are ready",
	Holds:   "two bits, a map entry",
	Waits:   "select(2)",
	Limit:   1000, // descriptors end at FD_SETSIZE, 1024; a few are not clients
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
	failed  error           // why the server cannot go on
	buf     [session.BufferSize]byte

	readers, writers unix.FdSet // whom to ask about; select changes a copy
	top              int        // the highest descriptor in the sets
}

func Serve(job models.Job) error {
	defer sys.Threads(1)()
	l := &loop{Job: job, clients: map[int]*client{}}
	if err := sys.FitSet(l.Listener, l.Keyboard); err != nil {
		return err
	}
	l.failed = sys.SetNonblock(l.Listener)
	l.ask(l.Listener, true, false)
	l.ask(l.Keyboard, true, false)
	for l.failed == nil && (l.Listener >= 0 || len(l.clients) > 0) {
		readable, writable := l.readers, l.writers
		_, err := sys.Select(l.top+1, &readable, &writable, nil) // sleeps
		if err != nil {
			return err
		}
		for fd := range l.top + 1 { // it says how many are ready, not which
			in, out := readable.IsSet(fd), writable.IsSet(fd)
			if in || out {
				l.onReady(fd, in)
			}
		}
	}
	return l.failed
}

// ask has the next select tell when fd is readable or writable, or neither.
func (l *loop) ask(fd int, in, out bool) {
	sys.Mark(fd, in, &l.readers, out, &l.writers)
	l.top = max(l.top, fd)
}

// onReady does what a ready descriptor is for.
func (l *loop) onReady(fd int, in bool) {
	c := l.clients[fd]
	switch {
	case fd == l.Listener:
		l.onConnection()
	case fd == l.Keyboard:
		l.onOperator()
	case c == nil: // gone since the question was asked
	case in:
		l.onReadable(c)
	default:
		l.onWritable(c)
	}
}

// onConnection accepts those who wait; the kernel will say if there are more.
func (l *loop) onConnection() {
	for cfd, err := range sys.TryAccept(l.Listener) {
		switch {
		case err == nil:
			l.served++
			l.clients[cfd] = &client{l.Service.New(l.served), cfd}
			l.settle(l.clients[cfd])
		case sys.Full(err) && len(l.clients) > 0:
			l.ask(l.Listener, false, false) // until a client leaves
		case sys.Stopped(err):
			l.ask(l.Listener, false, false)
			l.Listener = -1 // no new clients; serve those who are left
		default:
			l.failed = err
		}
	}
}

// onOperator says to every client what the operator typed.
func (l *loop) onOperator() {
	keyboard := l.Keyboard
	for line := range guests.Read(&l.Keyboard, &l.lines, l.buf[:]) {
		heard := false
		for _, c := range l.clients {
			heard = c.Say(line) || heard
			l.onWritable(c)
		}
		sys.Show(l.Screen, session.Remark(line, heard))
	}
	l.ask(keyboard, l.Keyboard >= 0, false)
}

// onReadable takes what the client sent, and answers at once.
func (l *loop) onReadable(c *client) {
	n, err := sys.TryRead(c.fd, l.buf[:])
	switch {
	case sys.Again(err): // readiness is only a hint: select(2), BUGS
		return
	case err != nil:
		session.Abandon(c)
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
			session.Abandon(c)
		}
		c.Sent(n)
	}
	l.settle(c)
}

// settle shows what the client said, and asks for what it wants, or closes.
func (l *loop) settle(c *client) {
	sys.Show(l.Screen, c.Heard())
	l.ask(c.fd, c.WantRead(), len(c.Pending()) > 0)
	if c.Done() {
		delete(l.clients, c.fd)
		sys.Close(c.fd)
		l.ask(l.Listener, true, false) // there is room for one more
	}
}
