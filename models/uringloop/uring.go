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
	failed  error           // why the server cannot go on

	ring *sys.Ring // to the kernel and back; Serve closes it
	full bool      // no accept is in flight until a client leaves
}

func Serve(job models.Job) error {
	defer sys.Threads(1)()
	ring, err := sys.NewRing(256)
	if err != nil {
		return err
	}
	defer ring.Close()
	l := &loop{Job: job, clients: map[int]*client{}, ring: ring}
	ring.Accept(l.Listener)
	ring.Read(l.Keyboard)
	for l.failed == nil && (l.Listener >= 0 || len(l.clients) > 0) {
		if err := ring.Enter(); err != nil { // sleeps
			return err
		}
		for d := range ring.Done() {
			l.onDone(d)
		}
	}
	return l.failed
}

// onDone does what a result is for.
func (l *loop) onDone(d sys.Result) {
	switch {
	case d.Op == sys.OpAccept:
		l.onConnection(d.N, d.Err)
	case d.FD == l.Keyboard:
		l.onOperator(d.Data)
	case d.Op == sys.OpRead:
		l.onRead(l.clients[d.FD], d.Data)
	default:
		l.onWritten(l.clients[d.FD], d.N, d.Err)
	}
}

// onConnection has accepted one client, and wants the next.
func (l *loop) onConnection(cfd int, err error) {
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
		l.failed = err
	}
}

// onOperator says to every client what the operator typed.
func (l *loop) onOperator(typed []byte) {
	for line := range l.lines.Feed(typed) {
		heard := false
		for _, c := range l.clients {
			heard = c.Say(line) || heard
			l.settle(c)
		}
		sys.Show(l.Screen, session.Remark(line, heard))
	}
	if len(typed) == 0 {
		l.Keyboard = -1 // no operator any more
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

// onWritten has sent n bytes. After an error the client is gone.
func (l *loop) onWritten(c *client, n int, err error) {
	c.writing = nil
	if err != nil {
		session.Abandon(c)
		sys.Shutdown(c.fd, unix.SHUT_RDWR) // ends a read in flight
	}
	c.Sent(n)
	l.settle(c)
}

// settle shows what the client said, and has the kernel do what it wants next,
// or closes: only with nothing in flight, or the connection would stay open.
func (l *loop) settle(c *client) {
	sys.Show(l.Screen, c.Heard())
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
