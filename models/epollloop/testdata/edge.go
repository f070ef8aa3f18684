// Package epollloop serves every client from one thread with epoll(7), told of
// edges.
//
// Compared with epoll.go: epoll tells when something becomes ready, once, and
// not for as long as it is. So nobody is asked about a second time; but what
// was told has to be remembered until EAGAIN takes it back, or it is lost.
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
	fd                 int  // settle closes it
	readable, writable bool // told so, and no EAGAIN since
}

type loop struct {
	models.Job
	clients map[int]*client // by descriptor
	served  int             // how many have come so far
	lines   session.Lines   // what the operator types
	failed  error           // why the server cannot go on
	buf     [session.BufferSize]byte

	epfd  int                 // the list; Serve closes it
	ready [64]unix.EpollEvent // the answer; who does not fit is in the next

	queued bool             // the accept queue: told so, and no EAGAIN since
	more   map[*client]bool // who may be able to go on, untold
}

func Serve(job models.Job) error {
	defer sys.Threads(1)()
	l := &loop{Job: job, clients: map[int]*client{}, more: map[*client]bool{}}
	if err := sys.SetNonblock(l.Listener); err != nil {
		return err
	}
	if l.epfd, l.failed = sys.EpollCreate(); l.failed != nil {
		return l.failed
	}
	defer sys.Close(l.epfd)
	l.ask(l.Listener, unix.EPOLLIN|unix.EPOLLET)
	l.ask(l.Keyboard, unix.EPOLLIN) // level-triggered: it has no EAGAIN
	if sys.NeverWaits(l.failed) {   // a plain file is always ready, so: now
		for l.Keyboard >= 0 {
			l.onOperator()
		}
		l.failed = nil
	}
	for l.failed == nil && (l.Listener >= 0 || len(l.clients) > 0) {
		timeout := -1
		if l.queued || len(l.more) > 0 {
			timeout = 0 // only a look, in between
		}
		n, err := sys.EpollWait(l.epfd, l.ready[:], timeout) // sleeps
		if err != nil {
			return err
		}
		for _, r := range l.ready[:n] {
			l.onEdge(int(r.Fd), r.Events)
		}
		l.goOn()
	}
	return l.failed
}

// ask puts fd on the list, once and for all; close takes it off.
func (l *loop) ask(fd int, events uint32) {
	if fd < 0 {
		return
	}
	if err := sys.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, events); err != nil {
		l.failed = err
	}
}

// onEdge remembers what was told, since it is not told again.
func (l *loop) onEdge(fd int, got uint32) {
	c := l.clients[fd]
	switch {
	case fd == l.Listener:
		l.queued = true
	case fd == l.Keyboard:
		l.onOperator()
	case c != nil:
		// HUP and ERR are both: reading or writing finds out
		c.readable = c.readable || got&^unix.EPOLLOUT != 0
		c.writable = c.writable || got&^unix.EPOLLIN != 0
		l.more[c] = true
	}
}

// goOn does one thing for everybody who can go on. To go on with one until
// EAGAIN would let a client that never pauses stop all others.
func (l *loop) goOn() {
	if l.queued {
		l.onConnection()
	}
	for c := range l.more {
		switch {
		case c.readable && c.WantRead():
			l.onReadable(c)
		case c.writable && len(c.Pending()) > 0:
			l.onWritable(c)
		default:
			delete(l.more, c)
		}
	}
}

// onConnection accepts one client; whether there are more, EAGAIN will say.
func (l *loop) onConnection() {
	cfd, err := sys.Accept(l.Listener, unix.SOCK_NONBLOCK)
	switch {
	case err == nil:
		l.served++
		l.clients[cfd] = &client{Session: l.Service.New(l.served), fd: cfd}
		l.ask(cfd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLET)
		l.settle(l.clients[cfd])
	case sys.Again(err):
		l.queued = false
	case sys.Full(err) && len(l.clients) > 0:
		l.queued = false // until a client leaves
	case sys.Stopped(err):
		l.queued = false
		l.Listener = -1 // no new clients; serve those who are left
	default:
		l.failed = err
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
	if l.Keyboard < 0 {
		sys.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, keyboard, 0)
	}
}

// onReadable takes what the client sent, and answers at once.
func (l *loop) onReadable(c *client) {
	n, err := sys.TryRead(c.fd, l.buf[:])
	switch {
	case sys.Again(err):
		c.readable = false
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
		c.writable = err == nil
		c.Sent(n)
	}
	l.settle(c)
}

// settle shows what the client said, or closes.
func (l *loop) settle(c *client) {
	sys.Show(l.Screen, c.Heard())
	if c.Done() {
		delete(l.more, c)
		delete(l.clients, c.fd)
		sys.Close(c.fd)
		l.queued = l.Listener >= 0 // there is room for one more, and nobody tells
	}
}
