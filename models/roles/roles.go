// Package roles has a thread for each job, and not for each client.
//
// Compared with goroutine: there are three threads for however many clients.
// One accepts, one speaks for the operator, and one receives from all; that one
// cannot sleep in the read of a single client, so it asks who is ready, with
// select(2). All three touch the list of clients, one at a time by a lock, and
// whoever changes it wakes the one that is asleep with an old list.
package roles

import (
	"sync"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/guests"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "roles",
	Summary: "three threads, for accepting, receiving and speaking",
	Holds:   "two bits, a map entry",
	Waits:   "accept, select(2)",
	Limit:   1000, // descriptors end at FD_SETSIZE, 1024; a few are not clients
	Serve:   Serve,
}

type client struct {
	session.Session
	fd, id int // Leave closes fd
}

type loop struct {
	models.Job
	bell guests.Pipe // a byte into it ends the sleep in select
	buf  [session.BufferSize]byte

	here *guests.List // for accept to wait until somebody leaves

	mu      sync.Mutex      // guards what follows, and the sessions
	clients map[int]*client // by descriptor
	ended   error           // why nobody new comes; nil: they do

	readers, writers unix.FdSet // whom to ask about
	top              int        // the highest descriptor in the sets
}

func Serve(job models.Job) error {
	if err := sys.FitSet(); err != nil {
		return err
	}
	bell, err := guests.NewPipe(0)
	if err != nil {
		return err
	}
	defer bell.Close()
	l := &loop{Job: job, bell: bell, clients: map[int]*client{}}
	l.here = guests.NewList()
	l.ask(bell.Reader, true, false)
	go l.accept()
	go l.speak()
	if err := l.receive(); !sys.Stopped(err) {
		return err
	}
	return nil
}

// accept is the first job: to let clients in.
func (l *loop) accept() {
	for served := 0; ; {
		// sleeps until a client comes
		cfd, err := sys.Accept(l.Listener, unix.SOCK_NONBLOCK)
		switch {
		case err == nil:
			served++
			l.welcome(cfd, served)
		case sys.Full(err) && l.here.SomeoneLeaves(): // try again
		default: // the receiver serves those who are left
			l.mu.Lock()
			l.ended = err
			l.ring()
			l.mu.Unlock()
			return
		}
	}
}

// welcome puts one more client on the list.
func (l *loop) welcome(cfd, id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.here.Come(id, nil, cfd)
	l.clients[cfd] = &client{l.Service.New(id), cfd, id}
	l.settle(l.clients[cfd])
}

// speak is the second job: to say to every client what the operator types.
func (l *loop) speak() { guests.Pass(l.Keyboard, l.Screen, l.all) }

// all walks over the clients. The receiver sends what they are told.
func (l *loop) all(yield func(int, guests.Tell) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.clients {
		tell := func(line []byte) bool {
			if len(c.Pending())+len(line) > session.HighWater {
				return false
			}
			c.Say(line)
			l.settle(c) // closes nobody: who is here is not Done
			return true
		}
		if !yield(c.id, tell) {
			return
		}
	}
}

// receive is the third job: to read what clients send, and to answer.
func (l *loop) receive() error {
	for {
		l.mu.Lock()
		ended, left := l.ended, len(l.clients)
		readable, writable, top := l.readers, l.writers, l.top
		l.mu.Unlock()
		if ended != nil && left == 0 {
			return ended
		}
		// sleeps, and nobody has to wait for the lock meanwhile
		if _, err := sys.Select(top+1, &readable, &writable, nil); err != nil {
			return err
		}
		for fd := range top + 1 { // it says how many are ready, not which
			in, out := readable.IsSet(fd), writable.IsSet(fd)
			if in || out {
				l.onReady(fd, in)
			}
		}
	}
}

// ask has the next select tell when fd is readable or writable, or neither. If
// that is new, the receiver is to know it at once.
func (l *loop) ask(fd int, in, out bool) {
	if in == l.readers.IsSet(fd) && out == l.writers.IsSet(fd) {
		return
	}
	sys.Mark(fd, in, &l.readers, out, &l.writers)
	l.top = max(l.top, fd)
	l.ring()
}

// ring wakes the receiver. If the pipe is full, it has been told.
func (l *loop) ring() { sys.Write(l.bell.Writer, []byte{0}) }

// onReady does what a ready descriptor is for.
func (l *loop) onReady(fd int, in bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.clients[fd]
	switch {
	case fd == l.bell.Reader:
		sys.Read(l.bell.Reader, l.buf[:])
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
	l.ask(c.fd, c.WantRead(), len(c.Pending()) > 0)
	if c.Done() {
		delete(l.clients, c.fd)
		l.here.Leave(c.id) // there is room for one more
	}
}
