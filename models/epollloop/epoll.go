// Package epollloop serves every client from one thread with epoll(7).
//
// Compared with pollloop: the list stays in the kernel. So each change of it is
// a call of its own, the answer names those who are ready and nobody else, and
// a silent client costs no time at all.
package epollloop

import (
	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/guests"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "epoll",
	Summary: "one thread has the kernel keep the list of descriptors",
	Holds:   "an entry in the kernel",
	Waits:   "epoll_wait(2)",
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

	epfd  int                 // the list; Serve closes it
	asked map[int]uint32      // what is on it, by descriptor
	ready [64]unix.EpollEvent // the answer; who does not fit is in the next
}

func Serve(job models.Job) error {
	defer sys.Threads(1)()
	l := &loop{Job: job, clients: map[int]*client{}, asked: map[int]uint32{}}
	if l.failed = sys.SetNonblock(l.Listener); l.failed != nil {
		return l.failed
	}
	if l.epfd, l.failed = sys.EpollCreate(); l.failed != nil {
		return l.failed
	}
	defer sys.Close(l.epfd)
	l.ask(l.Listener, true, false)
	l.ask(l.Keyboard, true, false)
	if sys.NeverWaits(l.failed) { // a plain file is always ready, so: now
		for l.Keyboard >= 0 {
			l.onOperator()
		}
		l.failed = nil
	}
	for l.failed == nil && (l.Listener >= 0 || len(l.clients) > 0) {
		n, err := sys.EpollWait(l.epfd, l.ready[:], -1) // sleeps
		if err != nil {
			return err
		}
		for _, r := range l.ready[:n] {
			// HUP, ERR: read finds out
			l.onReady(int(r.Fd), r.Events&^unix.EPOLLOUT != 0)
		}
	}
	return l.failed
}

// ask has epoll tell when fd is readable or writable, or neither.
func (l *loop) ask(fd int, in, out bool) {
	events := sys.Events(in, out)
	op := unix.EPOLL_CTL_MOD
	switch {
	case fd < 0, events == l.asked[fd]: // the kernel knows
		return
	case events == 0: // epoll tells of HUP in any case: epoll_ctl(2)
		op = unix.EPOLL_CTL_DEL
	case l.asked[fd] == 0:
		op = unix.EPOLL_CTL_ADD
	}
	if err := sys.EpollCtl(l.epfd, op, fd, events); err != nil {
		l.failed = err
		return
	}
	l.asked[fd] = events
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
