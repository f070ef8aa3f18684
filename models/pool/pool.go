// Package pool serves clients from threads that were started beforehand.
//
// Compared with thread: the threads are there before the clients, and there
// are never more of them. One thread accepts; it puts each client into a queue,
// and the next thread that is free takes the client out. Nobody is accepted
// while all are busy: client 9 waits in the kernel's queue, and in the page's
// own a client waits only for a thread to wake up.
//
// With goroutines it is the same page without LockOSThread. But what a pool
// saves, the start of a thread, they do not need in the first place.
package pool

import (
	"runtime"

	"socketlab/models"
	"socketlab/models/guests"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "pool",
	Summary: "threads started beforehand take clients from a queue",
	Holds:   "one of 8 threads",
	Waits:   "a queue, read(2)",
	Limit:   threads,
	Variant: "thread",
	Serve:   Serve,
}

const threads = 8

type server struct {
	models.Job
	here  *guests.List // those in the queue too
	queue chan turn    // never full: there are never more clients than threads
}

// A turn is what a thread takes from the queue.
type turn struct {
	*client
	id int
}

func Serve(job models.Job) error {
	defer sys.Threads(2 * threads)()
	s := &server{job, guests.NewList(), make(chan turn, threads)}
	defer close(s.queue) // the threads end
	for range threads {
		go s.thread()
	}
	s.here.Relay(job.Keyboard, job.Screen)
	for served := 0; ; {
		for s.here.Count() == threads {
			s.here.SomeoneLeaves() // sleeps
		}
		cfd, err := sys.Accept(job.Listener, 0) // sleeps until a client comes
		switch {
		case err == nil:
			served++
			if err := s.welcome(cfd, served); err != nil {
				return err
			}
		case sys.Full(err) && s.here.SomeoneLeaves(): // try again
		case sys.Stopped(err):
			s.here.AllLeave()
			return nil
		default:
			return err
		}
	}
}

// welcome puts one more client into the queue.
func (s *server) welcome(cfd, id int) error {
	for {
		err := s.enqueue(cfd, id)
		if !sys.Full(err) || !s.here.SomeoneLeaves() {
			return err
		}
	}
}

// enqueue does so. What the operator types comes to the client by a pipe.
func (s *server) enqueue(cfd, id int) error {
	pipe, err := guests.NewPipe(s.Keyboard)
	if err != nil {
		return err
	}
	c := &client{Session: s.Service.New(id), fd: cfd}
	c.operator = guests.Operator{Keyboard: pipe.Reader, Screen: s.Screen}
	s.here.Come(id, pipe.Tell, pipe.Writer, pipe.Reader, cfd)
	s.queue <- turn{c, id}
	return nil
}

// thread is all that one thread does, for one client after the other.
func (s *server) thread() {
	runtime.LockOSThread() // and not unlocked: the thread ends with the pool
	buf := make([]byte, session.BufferSize)
	for t := range s.queue { // sleeps until there is a client
		t.buf = buf
		t.converse()
		s.here.Leave(t.id)
	}
}

type client struct {
	session.Session
	fd       int
	buf      []byte          // for what one read brings
	operator guests.Operator // the other one who speaks to it
}

// converse holds one conversation, from its first byte to its last.
func (c *client) converse() {
	c.operator.Show(c.Heard())
	for !c.Done() {
		if len(c.Pending()) == 0 && c.clientsTurn() { // a greeting goes first
			n, err := sys.Read(c.fd, c.buf) // sleeps until the client speaks
			switch {
			case err != nil:
				session.Abandon(c)
			case n == 0:
				c.FeedEOF()
			default:
				c.Feed(c.buf[:n])
			}
		}
		for len(c.Pending()) > 0 {
			// sleeps while the client does not read
			n, err := sys.Write(c.fd, c.Pending())
			if err != nil {
				session.Abandon(c)
			}
			c.Sent(n)
		}
	}
	c.operator.Show(c.Heard())
}

// clientsTurn lets the operator speak at any time: before the client is read,
// it waits for either of the two. It is true if the client has spoken.
func (c *client) clientsTurn() bool {
	c.operator.Show(c.Heard())
	if c.operator.Keyboard < 0 {
		return true
	}
	// sleeps until one of them speaks
	client, operator := sys.PollTwo(c.fd, c.operator.Keyboard)
	if operator {
		c.operator.Speak(c, c.buf)
	}
	return client
}
