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
	mu      sync.Mutex       // guards what follows
	clients map[*client]bool // those who are here
	left    bool             // one has left since someoneLeaves was last asked
	leaving sync.Cond        // tells of that

	// Buffers, of those who left for those who come: else they were garbage.
	spare sync.Pool
}

type client struct {
	net.Conn
	id   int
	said chan []byte // what the operator typed

	mu sync.Mutex // guards the session: converse and listen take turns
	session.Session
}

func Serve(job models.Job) error {
	s := &server{Job: job, clients: map[*client]bool{}}
	s.leaving.L = &s.mu
	s.spare.New = func() any { return new([session.BufferSize]byte) }
	listener, err := sys.NetListener(job.Listener)
	if err != nil {
		return err
	}
	defer listener.Close()
	if job.Keyboard >= 0 {
		go s.relay()
	}
	for served := 0; ; {
		conn, err := listener.Accept() // sleeps until a client comes
		switch {
		case err == nil:
			served++
			s.welcome(conn, served)
		case sys.Full(err) && s.someoneLeaves(): // try again
		case sys.Stopped(err):
			for s.someoneLeaves() {
			}
			return nil
		default:
			return err
		}
	}
}

// welcome starts the conversation with one more client.
func (s *server) welcome(conn net.Conn, id int) {
	c := &client{Conn: conn, id: id, Session: s.Service.New(id)}
	if s.Keyboard >= 0 {
		c.said = make(chan []byte, 1024)
		go s.listen(c)
	}
	s.mu.Lock()
	s.clients[c] = true
	s.mu.Unlock()
	go s.converse(c)
}

// converse holds one conversation, from its first byte to its last.
func (s *server) converse(c *client) {
	defer s.farewell(c)
	buf := s.spare.Get().(*[session.BufferSize]byte)
	defer s.spare.Put(buf)
	over := s.turn(c, func() {})
	for !over {
		n, err := c.Read(buf[:]) // sleeps until the client speaks
		over = s.turn(c, func() {
			if err != nil {
				c.FeedEOF()
			} else {
				c.Feed(buf[:n])
			}
		})
	}
}

// listen says to one client what the operator typed.
func (s *server) listen(c *client) {
	for line := range c.said { // sleeps until there is a line
		s.turn(c, func() { c.Say(line) })
	}
}

// turn lets one of the two speak, and sends the client what it is owed then.
func (s *server) turn(c *client, speak func()) (over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	speak()
	for len(c.Pending()) > 0 {
		n, err := c.Write(c.Pending()) // sleeps while it does not read
		if err != nil {
			c.FeedEOF()
			n = len(c.Pending()) // a client that is gone is owed nothing
		}
		c.Sent(n)
	}
	if text := c.Heard(); len(text) > 0 {
		sys.Write(s.Screen, text)
	}
	return c.Done()
}

// farewell closes a conversation that is over.
func (s *server) farewell(c *client) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
	if c.said != nil {
		close(c.said) // relay knows it no more
	}
	s.left = true
	s.leaving.Signal()
}

// relay passes on what the operator types.
func (s *server) relay() {
	var lines session.Lines
	buf := make([]byte, session.BufferSize)
	for n := -1; n != 0; {
		n, _ = sys.Read(s.Keyboard, buf) // sleeps until the operator speaks
		for line := range lines.Feed(buf[:n]) {
			s.tell(line)
		}
	}
}

// tell passes a line to the clients it is meant for. It waits for none of
// them: one that does not read misses it.
func (s *server) tell(line []byte) {
	line = bytes.Clone(line) // listen reads it later
	var missed []byte
	s.mu.Lock()
	for c := range s.clients {
		if _, mine := session.Addressed(line, c.id); !mine {
			continue
		}
		select {
		case c.said <- line:
		default:
			missed = append(missed, session.Missed(c.id)...)
		}
	}
	s.mu.Unlock()
	if len(missed) > 0 {
		sys.Write(s.Screen, missed)
	}
}

// someoneLeaves sleeps until a client has left since it was last asked. It is
// false if nobody is there to leave.
func (s *server) someoneLeaves() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.left {
		if len(s.clients) == 0 {
			return false
		}
		s.leaving.Wait()
	}
	s.left = false
	return true
}
