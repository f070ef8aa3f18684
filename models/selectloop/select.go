// Package selectloop serves every client from one thread with select(2).
//
// Compared with roles: one thread has all the jobs. It asks the kernel about
// all descriptors at once, the clients', the listening one and the operator's,
// so there is nobody to lock out and nobody to wake. The kernel gets two
// bitmaps, and they end at descriptor 1023.
package selectloop

import (
	"runtime"

	"golang.org/x/sys/unix"

	"socketlab/models"
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
	buf     [session.BufferSize]byte

	readers, writers unix.FdSet // whom to ask about
	top              int        // the highest descriptor in the sets
}

func Serve(job models.Job) error {
	// One thread may run Go code: with more, each yield would wake another.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l := &loop{Job: job, clients: map[int]*client{}}
	if err := sys.FitSet(l.Listener, l.Keyboard); err != nil {
		return err
	}
	if err := sys.SetNonblock(l.Listener); err != nil {
		return err
	}
	l.ask(l.Listener, true, false)
	l.ask(l.Keyboard, true, false)
	for l.Listener >= 0 || len(l.clients) > 0 {
		readable, writable := l.readers, l.writers // select changes them

		_, err := sys.Select(l.top+1, &readable, &writable, nil) // sleeps
		if err != nil {
			return err
		}
		for fd := range l.top + 1 { // it says how many are ready, not which
			in, out := readable.IsSet(fd), writable.IsSet(fd)
			if !in && !out {
				continue
			}
			if err := l.onReady(fd, in); err != nil {
				return err
			}
		}
		runtime.Gosched() // else the Go runtime takes this thread for stuck
	}
	return nil
}

// ask has the next select tell when fd is readable or writable, or neither.
func (l *loop) ask(fd int, in, out bool) {
	if fd < 0 {
		return
	}
	l.readers.Clear(fd)
	l.writers.Clear(fd)
	if in {
		l.readers.Set(fd)
	}
	if out {
		l.writers.Set(fd)
	}
	l.top = max(l.top, fd)
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
