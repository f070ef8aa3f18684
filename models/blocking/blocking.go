// Package blocking serves one client after the other.
//
// This is where every server begins: accept, talk until the client leaves,
// accept the next. Each call sleeps until it is done, and the program reads
// like the conversation. A second client is connected all the same, by the
// kernel, and may send; nobody reads it before the first has left.
package blocking

import (
	"runtime"

	"socketlab/models"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "blocking",
	Summary: "one client after the other, in plain blocking calls",
	Holds:   "nothing: it waits",
	Waits:   "accept(2), read(2)",
	Limit:   1,
	Serve:   Serve,
}

type client struct {
	session.Session
	fd int
	*operator
}

type operator struct {
	models.Job
	lines session.Lines // what the operator types
	buf   [session.BufferSize]byte
}

func Serve(job models.Job) error {
	// One thread may run Go code: with more, each yield would wake another.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	op := &operator{Job: job}
	for served := 1; ; served++ {
		cfd, err := sys.Accept(job.Listener, 0) // sleeps until a client comes
		if sys.Stopped(err) {
			return nil
		}
		if err != nil {
			return err
		}
		c := &client{job.Service.New(served), cfd, op}
		c.converse()
		sys.Close(cfd)
	}
}

// converse holds one conversation, from its first byte to its last.
func (c *client) converse() {
	c.show()
	defer c.show()
	defer c.FeedEOF() // however it ends, the client has left
	for !c.Done() {
		if len(c.Pending()) == 0 && c.clientsTurn() { // a greeting goes first
			n, err := sys.Read(c.fd, c.buf[:]) // sleeps until the client speaks
			switch {
			case err != nil:
				return
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
				return
			}
			c.Sent(n)
		}
	}
}

// show shows the operator what the client said, if anything.
func (c *client) show() bool {
	text := c.Heard()
	if len(text) > 0 {
		sys.Write(c.Screen, text)
	}
	return len(text) > 0
}

// clientsTurn gives the turn to the operator when the client has spoken: who
// sleeps in one read cannot listen to two. It is true if the client is next.
func (c *client) clientsTurn() bool {
	runtime.Gosched() // else the Go runtime takes this thread for stuck
	if !c.show() || c.Keyboard < 0 {
		return true
	}
	// sleeps until the operator speaks
	n, _ := sys.Read(c.Keyboard, c.buf[:session.MaxLine])
	for line := range c.lines.Feed(c.buf[:n]) {
		c.Say(line)
	}
	if n == 0 {
		c.Keyboard = -1 // no operator any more
	}
	return false
}
