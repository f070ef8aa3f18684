// Package roles has a thread for each job, and not for each client.
//
// Compared with goroutine: there are three threads for however many clients.
// One accepts, one speaks for the operator, and one receives from all; that one
// cannot sleep in the read of a single client, so it asks who is ready, with
// select(2). All three touch the list of clients, one at a time by a lock, and
// whoever changes it wakes the one that is asleep with an old list.
package roles

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"socketlab/models"
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
	fd int // settle closes it
}

type loop struct {
	models.Job
	wake, woken int // a pipe: a byte into wake ends the sleep in select
	buf         [session.BufferSize]byte

	mu      sync.Mutex      // guards what follows, and the sessions
	clients map[int]*client // by descriptor
	over    bool            // nobody new comes
	failure error           // why, if nobody asked for it
	left    bool            // one has left since someoneLeaves was last asked
	leaving sync.Cond       // tells of that

	readers, writers unix.FdSet // whom to ask about
	top              int        // the highest descriptor in the sets
}

func Serve(job models.Job) error {
	if err := sys.FitSet(); err != nil {
		return err
	}
	woken, wake, err := sys.Pipe()
	if err != nil {
		return err
	}
	defer sys.Close(woken)
	defer sys.Close(wake)
	l := &loop{Job: job, wake: wake, woken: woken, clients: map[int]*client{}}
	l.leaving.L = &l.mu
	l.ask(l.woken, true, false)
	go l.accept()
	if job.Keyboard >= 0 {
		go l.speak()
	}
	return l.receive()
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
		case sys.Full(err) && l.someoneLeaves(): // try again
		default:
			l.stop(err)
			return
		}
	}
}

// welcome puts one more client on the list.
func (l *loop) welcome(cfd, id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients[cfd] = &client{l.Service.New(id), cfd}
	l.settle(l.clients[cfd])
}

// stop has the receiver serve those who are left, and no others.
func (l *loop) stop(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if !sys.Stopped(err) {
		l.failure = err
	}
	l.ring()
}

// speak is the second job: to say to every client what the operator types. The
// receiver sends it.
func (l *loop) speak() {
	var lines session.Lines
	buf := make([]byte, session.BufferSize)
	for n := -1; n != 0; {
		n, _ = sys.Read(l.Keyboard, buf) // sleeps until the operator speaks
		for line := range lines.Feed(buf[:n]) {
			l.say(line)
		}
	}
}

func (l *loop) say(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.clients {
		c.Say(line)
		l.settle(c) // closes nobody: who is on the list is not Done
	}
}

// receive is the third job: to take what clients send, and send what they are
// owed.
func (l *loop) receive() error {
	for {
		l.mu.Lock()
		over, err := l.over && len(l.clients) == 0, l.failure
		readable, writable, top := l.readers, l.writers, l.top
		l.mu.Unlock()
		if over {
			return err
		}
		// sleeps, and nobody has to wait for the lock meanwhile
		_, err = sys.Select(top+1, &readable, &writable, nil)
		if err != nil {
			return err
		}
		for fd := range top + 1 { // it says how many are ready, not which
			in, out := readable.IsSet(fd), writable.IsSet(fd)
			if in || out {
				l.onReady(fd, in)
			}
		}
		runtime.Gosched() // else the Go runtime takes this thread for stuck
	}
}

// ask has the next select tell when fd is readable or writable, or neither. If
// that is new, the receiver is to know it at once.
func (l *loop) ask(fd int, in, out bool) {
	if in == l.readers.IsSet(fd) && out == l.writers.IsSet(fd) {
		return
	}
	l.readers.Clear(fd)
	l.writers.Clear(fd)
	if in {
		l.readers.Set(fd)
	}
	if out {
		l.writers.Set(fd)
	}
	l.top = max(l.top, fd)
	l.ring()
}

// ring wakes the receiver. When the pipe is full, it has been told.
func (l *loop) ring() { sys.Write(l.wake, []byte{0}) }

// onReady does what a ready descriptor is for.
func (l *loop) onReady(fd int, in bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.clients[fd]
	switch {
	case fd == l.woken:
		sys.Read(l.woken, l.buf[:])
	case c == nil: // gone since the question was asked
	case in:
		l.onReadable(c)
	default:
		l.onWritable(c)
	}
}

// onReadable takes what the client sent, and answers at once.
func (l *loop) onReadable(c *client) {
	n, err := sys.TryRead(c.fd, l.buf[:]) // cannot wait, and Go need not know
	switch {
	case sys.Again(err): // readiness is only a hint: select(2), BUGS
		return
	case err != nil:
		l.drop(c)
		return
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
			l.drop(c)
			return
		}
		c.Sent(n)
	}
	l.settle(c)
}

// drop ends the session of a client that is gone: it is owed nothing.
func (l *loop) drop(c *client) {
	c.Sent(len(c.Pending()))
	c.FeedEOF()
	l.settle(c)
}

// settle shows what the client said, and waits for what it wants next, or
// closes.
func (l *loop) settle(c *client) {
	if text := c.Heard(); len(text) > 0 {
		sys.Write(l.Screen, text)
	}
	if !c.Done() {
		l.ask(c.fd, c.WantRead(), len(c.Pending()) > 0)
		return
	}
	l.ask(c.fd, false, false)
	delete(l.clients, c.fd)
	sys.Close(c.fd)
	l.left = true
	l.leaving.Signal() // there is room for one more
}

// someoneLeaves sleeps until a client has left since it was last asked. It is
// false if nobody is there to leave.
func (l *loop) someoneLeaves() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.left {
		if len(l.clients) == 0 {
			return false
		}
		l.leaving.Wait()
	}
	l.left = false
	return true
}
