// Package tls serves each client in a goroutine of its own, over TLS.
//
// Compared with goroutine: the connection is one of crypto/tls, and the
// conversation begins with a handshake. Nothing else is different. The same
// calls sleep, and now a read may need several records, and a write may sleep
// until the handshake is over.
package tls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"socketlab/models"
	"socketlab/models/guests"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "tls",
	Summary: "as goroutine, and nobody in between reads along",
	Holds:   "a goroutine, keys",
	Waits:   "the runtime's epoll",
	Limit:   0,
	TLS:     true,
	Variant: "goroutine",
	Serve:   Serve,
}

type server struct {
	models.Job
	here *guests.List
	over context.Context // done when those who are left have to go
}

type client struct {
	conn *tls.Conn
	wire *sys.Wire   // below it
	said chan []byte // what the operator typed

	mu sync.Mutex // guards the session: converse and listen take turns
	session.Session
}

func Serve(job models.Job) error {
	over, end := context.WithCancel(context.Background())
	defer end()
	s := &server{job, guests.NewList(), over}
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
			defer time.AfterFunc(job.Grace, end).Stop()
			s.here.AllLeave()
			return nil
		default:
			return err
		}
	}
}

// welcome starts the conversation with one more client.
func (s *server) welcome(conn net.Conn, id int) {
	c := &client{wire: &sys.Wire{Conn: conn}, Session: s.Service.New(id)}
	c.conn = tls.Server(c.wire, s.TLS)
	if s.Keyboard >= 0 {
		c.said = make(chan []byte, 1024)
		go s.listen(c)
	}
	s.here.Come(id, c.tell)
	go s.converse(c, id)
}

// A handshake takes a few round trips. A client that takes longer is let go.
const patience = 5 * time.Second

// unexpected is a fatal alert, unexpected_message: RFC 8446, section 6.
var unexpected = []byte{21, 3, 3, 0, 2, 2, 10}

// handshake agrees with the client on keys, and finds out who it is.
func (s *server) handshake(c *client) error {
	ctx, cancel := context.WithTimeout(s.over, patience)
	defer cancel()
	err := c.conn.HandshakeContext(ctx) // sleeps, once for each round trip
	if _, garbage := errors.AsType[tls.RecordHeaderError](err); garbage {
		c.wire.Write(unexpected) // for every other mistake crypto/tls sends one
	}
	return err
}

// buffers are used again: they are large, and garbage has to be collected.
var buffers = sync.Pool{New: func() any {
	return new([session.BufferSize]byte)
}}

// converse holds one conversation, from its first byte to its last.
func (s *server) converse(c *client, id int) {
	defer s.farewell(c, id)
	if err := s.handshake(c); err != nil {
		sys.Show(s.Screen, session.About(id, err.Error()))
		return
	}
	hurry := func() { c.conn.SetDeadline(time.Now()) } // wakes who sleeps
	defer context.AfterFunc(s.over, hurry)()
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
	if c.wire.FIN() { // for crypto/tls an end too: RFC 8446, section 6.1
		sys.Show(s.Screen, session.About(id, "FIN without close_notify"))
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

// farewell closes a conversation that is over: close_notify, then FIN.
func (s *server) farewell(c *client, id int) {
	c.conn.Close()
	s.here.Leave(id)
	if c.said != nil {
		close(c.said) // nobody tells it any more
	}
}
