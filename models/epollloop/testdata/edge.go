// Package epollloop serves every client from one thread with epoll(7), told of
// edges.
//
// Compared with epoll.go: epoll tells when something becomes ready, once, and
// not for as long as it is. So nobody is asked about a second time; but what
// was told has to be remembered until EAGAIN takes it back, or it is lost.
package epollloop

import (
	"runtime"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "epoll",
	Summary: "one thread has the kernel keep the list of descriptors",
	Holds:   "an entry in the kernel",
	Waits:   "epoll_wait(2)",
	Limit:   0,
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
	buf     [session.BufferSize]byte

	epfd   int                 // the list; Serve closes it
	ready  [64]unix.EpollEvent // the answer; who does not fit is in the next
	failed error               // why the list could not be changed

	queued bool             // the accept queue: told so, and no EAGAIN since
	more   map[*client]bool // who may be able to go on, untold
}

func Serve(job models.Job) error {
	// One thread may run Go code: with more, each yield would wake another.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
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
		for l.failed = nil; l.Keyboard >= 0; {
			l.onOperator()
		}
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
		if err := l.goOn(); err != nil {
			return err
		}
		runtime.Gosched() // else the Go runtime takes this thread for stuck
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
func (l *loop) goOn() error {
	if l.queued {
		if err := l.onConnection(); err != nil {
			return err
		}
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
	return nil
}

// onConnection accepts one client; whether there are more, EAGAIN will say.
func (l *loop) onConnection() error {
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
		sys.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, l.Keyboard, 0)
		l.Keyboard = -1 // no operator any more
	}
}

// onReadable takes what the client sent, and answers at once.
func (l *loop) onReadable(c *client) {
	n, err := sys.TryRead(c.fd, l.buf[:]) // cannot wait, and Go need not know
	switch {
	case sys.Again(err):
		c.readable = false
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
		c.writable = err == nil
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

// settle shows what the client said, or closes.
func (l *loop) settle(c *client) {
	if text := c.Heard(); len(text) > 0 {
		sys.Write(l.Screen, text)
	}
	if !c.Done() {
		return
	}
	delete(l.more, c)
	delete(l.clients, c.fd)
	sys.Close(c.fd)
	l.queued = l.Listener >= 0 // there is room for one more, and nobody tells
}
