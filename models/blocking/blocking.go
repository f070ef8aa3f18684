// Package blocking serves one client after the other.
//
// This is where every server begins: accept, talk until the client leaves,
// accept the next. Each call sleeps until it is done, and the program reads
// like the conversation. A second client is connected all the same, by the
// kernel, and may send; nobody reads it before the first has left.
package blocking

import (
	"socketlab/models"
	"socketlab/models/guests"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "blocking",
	Summary: "one client after the other, in plain blocking calls",
	Holds:   "the whole server",
	Waits:   "accept(2), read(2)",
	Limit:   1,
	Serve:   Serve,
}

func Serve(job models.Job) error {
	defer sys.Threads(1)()
	c := &client{buf: make([]byte, session.BufferSize)}
	c.operator = guests.Operator{Keyboard: job.Keyboard, Screen: job.Screen}
	for served := 1; ; served++ {
		cfd, err := sys.Accept(job.Listener, 0) // sleeps until a client comes
		if sys.Stopped(err) {
			return nil
		}
		if err != nil {
			return err
		}
		c.Session, c.fd = job.Service.New(served), cfd
		c.converse()
		sys.Close(cfd)
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

// clientsTurn gives the turn to the operator when the client has spoken: who
// sleeps in one read cannot listen to two. It is true if the client is next.
func (c *client) clientsTurn() bool {
	said := c.Heard()
	c.operator.Show(said)
	if len(said) == 0 || c.operator.Keyboard < 0 {
		return true
	}
	c.operator.Speak(c, c.buf) // sleeps until the operator does
	return false
}
