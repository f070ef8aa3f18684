// Package reactors serves clients from an epoll(7) loop for each processor.
//
// Compared with epollloop: there are many loops, each in a thread of its own
// and with its own clients, whom no other thread touches. So there is no lock.
// Whoever wants something of a client, to let it in or to pass on a line of the
// operator's, leaves an errand for its loop, and a bell wakes the loop.
//
// One thread accepts for all, and deals out the clients in turn: equal shares.
// docs/models/reactors.md measures the other ways.
package reactors

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/guests"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "reactors",
	Summary: "an epoll loop for each processor, one thread that accepts",
	Holds:   "an entry in the kernel",
	Waits:   "epoll_wait, threads",
	Variant: "epoll",
	Serve:   Serve,
}

type client struct {
	session.Session
	fd, id int // Leave closes fd
}

type loop struct {
	*sys.Loop // the list in the kernel, and the errands
	models.Job
	here    *guests.List    // of all loops, for Serve to wait until one leaves
	clients map[int]*client // by descriptor; those of this loop
	stopped bool            // no new clients
	buf     [session.BufferSize]byte
}

func Serve(job models.Job) error {
	loops, ended := make([]*loop, runtime.GOMAXPROCS(0)), make(chan error)
	defer sys.Threads(len(loops) + 2)() // one accepts, one reads the keyboard
	here := guests.NewList()
	for i := range loops {
		list, err := sys.NewLoop()
		if err != nil {
			return err
		}
		defer list.Close()
		l := &loop{Loop: list, Job: job, here: here, clients: map[int]*client{}}
		loops[i] = l
		go l.react(ended)
	}
	here.Relay(job.Keyboard, job.Screen)
	err := accept(job.Listener, here, loops)
	for _, l := range loops { // they serve those who are left
		l.Do(func() { l.stopped = true })
	}
	for range loops {
		err = errors.Join(err, <-ended) // sleeps until a thread ends
	}
	return err
}

// accept lets clients in, and deals them out to the loops in turn.
func accept(lfd int, here *guests.List, loops []*loop) error {
	for served := 0; ; {
		// sleeps until a client comes
		cfd, err := sys.Accept(lfd, unix.SOCK_NONBLOCK)
		switch {
		case err == nil:
			served++
			loops[served%len(loops)].welcome(cfd, served)
		case sys.Full(err) && here.SomeoneLeaves(): // try again
		case sys.Stopped(err):
			return nil
		default:
			return err
		}
	}
}

// welcome gives one more client to the loop.
func (l *loop) welcome(cfd, id int) {
	c := &client{l.Service.New(id), cfd, id}
	l.here.Come(id, l.Tell(func(line []byte) {
		if l.clients[cfd] == c { // it has not left
			c.Say(line)
			l.onWritable(c)
		}
	}), cfd)
	l.Do(func() {
		l.clients[cfd] = c
		l.settle(c)
	})
}

// react is all that the loop's thread does.
func (l *loop) react(ended chan error) {
	runtime.LockOSThread()
	for l.Failed == nil && (!l.stopped || len(l.clients) > 0) {
		for _, r := range l.Wait() { // sleeps in epoll_wait
			l.onReady(r.FD, r.In)
		}
	}
	if l.Failed != nil {
		sys.Shutdown(l.Listener, unix.SHUT_RDWR) // all stop
	}
	ended <- l.Failed
}

// onReady does what a ready descriptor is for.
func (l *loop) onReady(fd int, in bool) {
	c := l.clients[fd]
	switch {
	case fd == l.Bell:
		l.Run()
	case c == nil: // gone since the question was asked
	case in:
		l.onReadable(c)
	default:
		l.onWritable(c)
	}
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
	l.Ask(c.fd, c.WantRead(), len(c.Pending()) > 0)
	if c.Done() {
		delete(l.clients, c.fd)
		l.here.Leave(c.id) // there is room for one more
	}
}
