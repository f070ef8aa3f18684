// Package thread serves each client in a thread of its own.
//
// Compared with prefork: the conversation is the same, word for word, but a
// thread holds it, started when its client comes: that is cheap enough, and
// nobody has to collect it. The threads share all there is. So what two of them
// touch needs a lock, here the list of guests, and whatever ends one ends all.
//
// Go hides threads behind goroutines. One that sleeps in a system call keeps
// its thread, and one that has locked it shares it with nobody.
package thread

import (
	"runtime"
	"sync"

	"socketlab/models"
	"socketlab/models/guests"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "thread",
	Summary: "a kernel thread for each client",
	Holds:   "a thread, a buffer",
	Waits:   "read(2), in threads",
	Limit:   limit,
	Serve:   Serve,
}

// limit is below 10,000 threads, at which the Go runtime ends the process; it
// needs some for itself.
const limit = 9000

type server struct {
	models.Job
	here *guests.List
}

func Serve(job models.Job) error {
	defer sys.Threads(128)()
	s := &server{job, guests.NewList()}
	s.here.Relay(job.Keyboard, job.Screen)
	for served := 0; ; {
		for s.here.Count() == limit {
			s.here.SomeoneLeaves()
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

// welcome gives one more client a thread of its own.
func (s *server) welcome(cfd, id int) error {
	for {
		err := s.spawn(cfd, id)
		if !sys.Full(err) || !s.here.SomeoneLeaves() {
			return err
		}
	}
}

// spawn starts the thread. What the operator types comes to it by a pipe.
func (s *server) spawn(cfd, id int) error {
	pipe, err := guests.NewPipe(s.Keyboard)
	if err != nil {
		return err
	}
	c := &client{Session: s.Service.New(id), fd: cfd}
	c.operator = guests.Operator{Keyboard: pipe.Reader, Screen: s.Screen}
	s.here.Come(id, pipe.Tell, pipe.Writer, pipe.Reader, cfd)
	go s.thread(c, id)
	return nil
}

// buffers are reused, so that the garbage collector has nothing to do: it would
// start threads of its own.
var buffers = sync.Pool{New: func() any {
	return new([session.BufferSize]byte)
}}

// thread is all that one thread does.
func (s *server) thread(c *client, id int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread() // or it would end; the next client needs one
	buf := buffers.Get().(*[session.BufferSize]byte)
	defer buffers.Put(buf)
	c.buf = buf[:]
	c.converse()
	s.here.Leave(id)
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
