// Package goroutine serves each client in a goroutine of its own.
//
// Compared with thread: the calls still sleep and the conversation still reads
// from top to bottom, but it is not a kernel thread that sleeps. The Go
// runtime parks the goroutine and waits for all of them at once, with epoll(7),
// the way selectloop and pollloop do by hand. A client has two goroutines that
// take turns: no descriptor is needed to wake one, a channel does it.
package goroutine

import (
	"bytes"
	"net"
	"sync"

	"socketlab/models"
	"socketlab/models/guests"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "goroutine",
	Summary: "a goroutine for each client, as Go programs do",
	Holds:   "a goroutine, a buffer",
	Waits:   "the runtime's epoll",
	Limit:   0,
	Serve:   Serve,
}

type server struct {
	models.Job
	here *guests.List
}

type client struct {
	conn net.Conn
	said chan []byte // what the operator typed

	mu sync.Mutex // guards the session: converse and listen take turns
	session.Session
}

func Serve(job models.Job) error {
	s := &server{job, guests.NewList()}
	listener, err := sys.NetListener(job.Listener)
	if err != nil {
		return err
	}
	defer listener.Close()
	s.here.Relay(job.Keyboard, job.Screen)
	for served := 0; ; {
		conn, err := listener.Accept() // sleeps until a client comes
		switch {
		case err == nil:
			served++
			s.welcome(conn, served)
		case sys.Full(err) && s.here.SomeoneLeaves(): // try again
		case sys.Stopped(err):
			s.here.AllLeave()
			return nil
		default:
			return err
		}
	}
}

// welcome starts the conversation with one more client.
func (s *server) welcome(conn net.Conn, id int) {
	c := &client{conn: conn, Session: s.Service.New(id)}
	if s.Keyboard >= 0 {
		c.said = make(chan []byte, 1024)
		go s.listen(c)
	}
	s.here.Come(id, c.tell)
	go s.converse(c, id)
}

// buffers are reused, so that the garbage collector has little to do.
var buffers = sync.Pool{New: func() any {
	return new([session.BufferSize]byte)
}}

// converse holds one conversation, from its first byte to its last.
func (s *server) converse(c *client, id int) {
	defer s.farewell(c, id)
	buf := buffers.Get().(*[session.BufferSize]byte)
	defer buffers.Put(buf)
	c.mu.Lock()
	defer c.mu.Unlock()
	for s.answer(c); !c.Done(); s.answer(c) {
		c.mu.Unlock()                 // meanwhile the operator may speak
		n, err := c.conn.Read(buf[:]) // sleeps until the client speaks
		c.mu.Lock()
		if err != nil {
			c.FeedEOF()
		} else {
			c.Feed(buf[:n])
		}
	}
}

// listen says to one client what the operator typed.
func (s *server) listen(c *client) {
	for line := range c.said { // sleeps until there is a line
		c.mu.Lock()
		c.Say(line)
		s.answer(c)
		c.mu.Unlock()
	}
}

// answer sends the client what it is owed, and shows what it said. Whoever
// calls it has the lock.
func (s *server) answer(c *client) {
	for len(c.Pending()) > 0 {
		n, err := c.conn.Write(c.Pending()) // sleeps while it does not read
		if err != nil {
			session.Abandon(c)
			break
		}
		c.Sent(n)
	}
	sys.Show(s.Screen, c.Heard())
}

// tell passes a line to listen, if there is room for it.
func (c *client) tell(line []byte) bool {
	select {
	case c.said <- bytes.Clone(line):
		return true
	default:
		return false
	}
}

// farewell closes a conversation that is over.
func (s *server) farewell(c *client, id int) {
	c.conn.Close()
	s.here.Leave(id)
	if c.said != nil {
		close(c.said) // nobody tells it any more
	}
}
