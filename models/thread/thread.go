// Package thread serves each client in a thread of its own.
//
// Compared with prefork: the conversation is the same, word for word, but a
// thread holds it, started when its client comes: that is cheap enough, and
// nobody has to collect it. The threads share all there is. So what two of them
// touch needs a lock, and whatever ends one ends all.
//
// Go hides threads behind goroutines. One that sleeps in a system call keeps
// its thread, and one that has locked it shares it with nobody.
package thread

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"socketlab/models"
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
	mu      sync.Mutex    // guards what follows
	clients map[int]guest // by descriptor
	left    bool          // one has left since someoneLeaves was last asked
	leaving sync.Cond     // tells of that

	// Buffers, of those who left for those who come: else they were garbage,
	// and to collect it the Go runtime starts threads of its own.
	spare sync.Pool
}

type guest struct {
	id       int
	keyboard int // a pipe for what the operator types; farewell closes it
}

func Serve(job models.Job) error {
	// So many threads may run Go code at a time. With fewer, those that come
	// back from a system call wait for each other: docs/models/thread.md.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(128))
	s := &server{Job: job, clients: map[int]guest{}}
	s.leaving.L = &s.mu
	s.spare.New = func() any { return new(operator) }
	if job.Keyboard >= 0 {
		go s.relay()
	}
	for served := 0; ; {
		for s.here() == limit {
			s.someoneLeaves()
		}
		cfd, err := sys.Accept(job.Listener, 0) // sleeps until a client comes
		switch {
		case err == nil:
			served++
			if err := s.welcome(cfd, served); err != nil {
				return err
			}
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

// here is how many clients there are.
func (s *server) here() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients)
}

// welcome gives one more client a thread of its own.
func (s *server) welcome(cfd, id int) error {
	for {
		err := s.spawn(cfd, id)
		if !sys.Full(err) || !s.someoneLeaves() {
			return err
		}
	}
}

// spawn starts the thread. What the operator types comes to it by a pipe: who
// sleeps in a system call is woken by nothing but a descriptor.
func (s *server) spawn(cfd, id int) error {
	reader, writer := -1, -1 // no operator
	if s.Keyboard >= 0 {
		var err error
		if reader, writer, err = sys.Pipe(); err != nil {
			return err
		}
	}
	c := &client{s.Service.New(id), cfd, s.spare.Get().(*operator)}
	c.Job, c.lines = s.Job, session.Lines{}
	c.Keyboard = reader
	s.mu.Lock()
	s.clients[cfd] = guest{id, writer}
	s.mu.Unlock()
	go s.thread(c)
	return nil
}

// thread is all that one thread does.
func (s *server) thread(c *client) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread() // or it would end; the next client needs one
	c.converse()
	s.farewell(c)
}

// farewell closes a conversation that is over.
func (s *server) farewell(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sys.Close(s.clients[c.fd].keyboard)
	sys.Close(c.Keyboard)
	delete(s.clients, c.fd)
	sys.Close(c.fd)
	s.spare.Put(c.operator)
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
	var missed []byte
	s.mu.Lock()
	for _, c := range s.clients {
		if _, mine := session.Addressed(line, c.id); !mine {
			continue
		}
		if _, err := sys.Write(c.keyboard, line); sys.Again(err) {
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

// clientsTurn lets the operator speak at any time: before the client is read,
// it waits for either of the two. It is true if the client has spoken.
func (c *client) clientsTurn() bool {
	c.show()
	if c.Keyboard < 0 {
		return true
	}
	fds := []unix.PollFd{
		{Fd: int32(c.fd), Events: unix.POLLIN},
		{Fd: int32(c.Keyboard), Events: unix.POLLIN},
	}
	sys.Poll(fds, -1) // sleeps until one of them speaks
	if fds[1].Revents != 0 {
		n, _ := sys.Read(c.Keyboard, c.buf[:session.MaxLine])
		for line := range c.lines.Feed(c.buf[:n]) {
			c.Say(line)
		}
		if n == 0 {
			c.Keyboard = -1 // no operator any more
		}
	}
	return fds[0].Revents != 0
}
