// Package uringloop serves every client from one thread with io_uring(7).
//
// Compared with epollloop: the kernel is not asked who is ready, it is told
// what to do, and says what has become of it. Both go through queues in shared
// memory, so one call hands over the work for all clients and sleeps.
//
// Until its result is in, an operation is the kernel's: its descriptor stays
// open, and its memory stays where and as it is. Go moves stacks, not the heap,
// and keeps there what somebody refers to: here the client does.
package uringloop

import (
	"runtime"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:      "iouring",
	Summary:   "one thread has the kernel accept, read and write",
	Holds:     "a read in flight",
	Waits:     "io_uring_enter(2)",
	Limit:     0,
	Available: sys.RingAllowed,
	Serve:     Serve,
}

type client struct {
	session.Session
	fd      int    // settle closes it
	reading bool   // a read is in flight
	writing []byte // a write is, of this
}

type loop struct {
	models.Job
	clients map[int]*client // by descriptor
	served  int             // how many have come so far
	lines   session.Lines   // what the operator types

	ring *sys.Ring // to the kernel and back; Serve closes it
	full bool      // no accept is in flight until a client leaves
}

func Serve(job models.Job) error {
	// One thread may run Go code: with more, each yield would wake another.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	ring, err := sys.NewRing(256)
	if err != nil {
		return err
	}
	defer ring.Close()
	l := &loop{Job: job, clients: map[int]*client{}, ring: ring}
	ring.Accept(l.Listener)
	if l.Keyboard >= 0 {
		ring.Read(l.Keyboard)
	}
	for l.Listener >= 0 || len(l.clients) > 0 {
		if err := ring.Enter(); err != nil { // sleeps
			return err
		}
		for d := range ring.Done() {
			if err := l.onDone(d); err != nil {
				return err
			}
		}
		runtime.Gosched() // else the Go runtime takes this thread for stuck
	}
	return nil
}

// onDone does what a result is for. An error is the server's.
func (l *loop) onDone(d sys.Result) error {
	switch {
	case d.Op == sys.OpAccept:
		return l.onConnection(d.N, d.Err)
	case d.FD == l.Keyboard:
		l.onOperator(d.Data)
	case d.Op == sys.OpRead:
		l.onRead(l.clients[d.FD], d.Data)
	default:
		l.onWritten(l.clients[d.FD], d.N, d.Err)
	}
	return nil
}

// onConnection has accepted one client, and wants the next.
func (l *loop) onConnection(cfd int, err error) error {
	switch {
	case err == nil:
		l.served++
		l.clients[cfd] = &client{Session: l.Service.New(l.served), fd: cfd}
		l.settle(l.clients[cfd])
		l.ring.Accept(l.Listener)
	case sys.Full(err) && len(l.clients) > 0:
		l.full = true
	case sys.Stopped(err):
		l.Listener = -1 // no new clients; serve those who are left
	default:
		return err
	}
	return nil
}

// onOperator says to every client what the operator typed.
func (l *loop) onOperator(typed []byte) {
	for line := range l.lines.Feed(typed) {
		for _, c := range l.clients {
			c.Say(line)
			l.settle(c)
		}
	}
	if len(typed) == 0 {
		l.Keyboard = -1 // no operator any more
		return
	}
	l.ring.Read(l.Keyboard)
}

// onRead takes what the client sent. The answer leaves after p is the kernel's
// again, so the session keeps a copy.
func (l *loop) onRead(c *client, p []byte) {
	c.reading = false
	if len(p) > 0 {
		c.Feed(p)
		c.Sent(0)
	} else {
		c.FeedEOF() // or an error; then writing fails as well
	}
	l.settle(c)
}

// onWritten has sent n bytes, or else the client is gone: it is owed nothing.
func (l *loop) onWritten(c *client, n int, err error) {
	c.writing = nil
	if err != nil {
		n = len(c.Pending())
		c.FeedEOF()
		sys.Shutdown(c.fd, unix.SHUT_RDWR) // ends a read in flight
	}
	c.Sent(n)
	l.settle(c)
}

// settle shows what the client said, and has the kernel do what it wants next,
// or closes: only with nothing in flight, or the connection would stay open.
func (l *loop) settle(c *client) {
	if text := c.Heard(); len(text) > 0 {
		sys.Write(l.Screen, text)
	}
	if p := c.Pending(); len(p) > 0 && c.writing == nil {
		c.writing = p
		l.ring.Write(c.fd, p)
	}
	if c.WantRead() && !c.reading {
		c.reading = true
		l.ring.Read(c.fd)
	}
	if c.reading || c.writing != nil {
		return
	}
	delete(l.clients, c.fd)
	sys.Close(c.fd)
	if l.full {
		l.full = false
		l.ring.Accept(l.Listener) // there is room for one more
	}
}
