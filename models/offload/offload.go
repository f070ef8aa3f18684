// Package offload has one thread for the sockets, and others for the work.
//
// Compared with epollloop: the loop reads and writes, but does not do what a
// message asks for; that takes time, and all others would wait. It puts the
// client into a queue, a worker does the work, and an errand brings it back.
//
// A session is one thread's at a time. A client that is with a worker is not
// read: its messages stay in order, and TCP slows down who sends too many.
package offload

import (
	"bytes"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/guests"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "offload",
	Summary: "one epoll loop for the sockets, workers for the work",
	Holds:   "an entry in the kernel",
	Waits:   "epoll_wait, a queue",
	Limit:   limit,
	Variant: "epoll",
	Serve:   Serve,
}

const (
	workers = 8
	limit   = 20000 // places in the queue: one for each client
)

type client struct {
	session.Session
	fd, id  int      // Leave closes fd
	message []byte   // a worker has it, and the session; nil: the loop has
	unheard [][]byte // what the operator has said to it
}

type loop struct {
	*sys.Loop // the list in the kernel, and the errands
	models.Job
	clients map[int]*client // by descriptor
	served  int             // how many have come so far
	here    *guests.List    // whom the operator can speak to
	buf     [session.BufferSize]byte
	queue   chan *client // to the workers, never full
}

func Serve(job models.Job) error {
	defer sys.Threads(workers + 2)() // the loop, and who reads the keyboard
	list, err := sys.NewLoop()
	if err != nil {
		return err
	}
	defer list.Close()
	l := &loop{Loop: list, Job: job, clients: map[int]*client{}}
	l.here, l.queue = guests.NewList(), make(chan *client, limit)
	l.Failed = sys.SetNonblock(l.Listener)
	l.Ask(l.Listener, true, false)
	for range workers {
		go l.work()
	}
	defer close(l.queue) // the workers end
	l.here.Relay(job.Keyboard, job.Screen)
	for l.Failed == nil && (l.Listener >= 0 || len(l.clients) > 0) {
		for _, r := range l.Wait() { // sleeps in epoll_wait
			l.onReady(r.FD, r.In)
		}
	}
	return l.Failed
}

// work is all that a worker does. It touches no socket.
func (l *loop) work() {
	for c := range l.queue { // sleeps until there is work
		c.Feed(c.message) // takes as long as it takes
		l.Do(func() {
			c.message = nil
			l.onBack(c)
		})
	}
}

// onReady does what a ready descriptor is for.
func (l *loop) onReady(fd int, in bool) {
	c := l.clients[fd]
	switch {
	case fd == l.Listener:
		l.onConnection()
	case fd == l.Bell:
		l.Run()
	case c == nil || c.message != nil: // since the question was asked
	case in:
		l.onReadable(c)
	default:
		l.onWritable(c)
	}
}

// onConnection accepts one client; the kernel will say if there are more.
func (l *loop) onConnection() {
	cfd, err := sys.Accept(l.Listener, unix.SOCK_NONBLOCK)
	switch {
	case err == nil:
		l.served++
		c := &client{Session: l.Service.New(l.served), fd: cfd, id: l.served}
		l.clients[cfd] = c
		l.here.Come(c.id, l.Tell(func(line []byte) {
			c.unheard = append(c.unheard, line)
			l.onBack(c)
		}), cfd)
		l.Ask(l.Listener, len(l.clients) < limit, false)
		l.settle(c)
	case sys.Again(err): // it left before we came: accept(2), NOTES
	case sys.Full(err) && len(l.clients) > 0:
		l.Ask(l.Listener, false, false) // until a client leaves
	case sys.Stopped(err):
		l.Ask(l.Listener, false, false)
		l.Listener = -1 // no new clients; serve those who are left
	default:
		l.Failed = err
	}
}

// onBack says to a client what it has not heard, if no worker has it.
func (l *loop) onBack(c *client) {
	if c.message != nil || l.clients[c.fd] != c {
		return
	}
	for _, line := range c.unheard {
		c.Say(line)
	}
	c.unheard = nil
	l.onWritable(c)
}

// onReadable takes what the client sent, and has a worker answer it.
func (l *loop) onReadable(c *client) {
	n, err := sys.TryRead(c.fd, l.buf[:])
	switch {
	case sys.Again(err): // readiness is only a hint: select(2), BUGS
	case err != nil:
		session.Abandon(c)
	case n == 0:
		c.FeedEOF()
	default:
		c.message = bytes.Clone(l.buf[:n])
		l.queue <- c
		return
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
	l.AskOnce(c.fd, c.WantRead(), len(c.Pending()) > 0)
	if c.Done() {
		delete(l.clients, c.fd)
		l.here.Leave(c.id)
		l.Ask(l.Listener, true, false) // there is room for one more
	}
}
