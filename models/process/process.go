// Package process serves each client in a process of its own.
//
// Compared with blocking: the conversation is the same, word for word, but a
// child holds it, and the parent goes back to accept at once. The clients share
// nothing, not even memory. The parent's duties are to close what it gave away
// and to collect every child that ends, or it stays behind as a zombie.
//
// C forks here, and the child goes on in the middle of the program. A Go
// program has many threads and fork copies only one, so the child must start
// from the beginning, as a new program: fork(2) and execve(2). That is a
// millisecond for each client, which C does not pay.
package process

import (
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "process",
	Summary: "a child process for each client",
	Holds:   "a process",
	Waits:   "read(2), in a child",
	Limit:   0,
	Serve:   Serve,
}

type parent struct {
	models.Job
	mu       sync.Mutex    // guards what follows: three run side by side
	children map[int]child // by pid
	left     bool          // one has ended since someoneLeaves was last asked
	leaving  sync.Cond     // tells of that
}

type child struct {
	id       int
	keyboard int // a pipe for what the operator types; reap closes it
}

func Serve(job models.Job) error {
	p := &parent{Job: job, children: map[int]child{}}
	p.leaving.L = &p.mu
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer close(ended)
	defer signal.Stop(ended)
	go p.reap(ended)
	if job.Keyboard >= 0 {
		go p.relay()
	}
	for served := 0; ; {
		cfd, err := sys.Accept(job.Listener, 0) // sleeps until a client comes
		switch {
		case err == nil:
			served++
			if err := p.welcome(cfd, served); err != nil {
				return err
			}
		case sys.Full(err) && p.someoneLeaves(): // try again
		case sys.Stopped(err):
			for p.someoneLeaves() {
			}
			return nil
		default:
			return err
		}
	}
}

// welcome gives one more client to a child of its own.
func (p *parent) welcome(cfd, id int) error {
	defer sys.Close(cfd) // the child has its own
	for {
		err := p.spawn(cfd, id)
		if !sys.Full(err) || !p.someoneLeaves() {
			return err
		}
	}
}

// spawn starts this program once more, with the client on descriptor 3.
func (p *parent) spawn(cfd, id int) error {
	reader, writer := -1, -1 // no operator
	if p.Keyboard >= 0 {
		var err error
		if reader, writer, err = sys.Pipe(); err != nil {
			return err
		}
	}
	p.mu.Lock() // reap is not to meet a child that is not in the map yet
	defer p.mu.Unlock()
	args := []string{childName, p.Service.String(), strconv.Itoa(id)}
	pid, err := sys.Spawn("/proc/self/exe", args, reader, p.Screen, 2, cfd)
	sys.Close(reader)
	if err != nil {
		sys.Close(writer)
		return err
	}
	p.children[pid] = child{id, writer}
	return nil
}

// reap collects children that have ended. One signal may stand for many of
// them: signal(7), "Queueing and delivery semantics for standard signals".
func (p *parent) reap(ended <-chan os.Signal) {
	for range ended {
		for pid := sys.Reap(); pid > 0; pid = sys.Reap() {
			p.mu.Lock()
			if c, ours := p.children[pid]; ours {
				sys.Close(c.keyboard)
				delete(p.children, pid)
				p.left = true
			}
			p.mu.Unlock()
			p.leaving.Signal()
		}
	}
}

// relay passes on what the operator types.
func (p *parent) relay() {
	var lines session.Lines
	buf := make([]byte, session.BufferSize)
	for n := -1; n != 0; {
		n, _ = sys.Read(p.Keyboard, buf) // sleeps until the operator speaks
		for line := range lines.Feed(buf[:n]) {
			p.tell(line)
		}
	}
}

// tell passes a line to the children it is meant for. It waits for none of
// them: one that does not read misses it.
func (p *parent) tell(line []byte) {
	var missed []byte
	p.mu.Lock()
	for _, c := range p.children {
		if _, mine := session.Addressed(line, c.id); !mine {
			continue
		}
		if _, err := sys.Write(c.keyboard, line); sys.Again(err) {
			missed = append(missed, session.Missed(c.id)...)
		}
	}
	p.mu.Unlock()
	if len(missed) > 0 {
		sys.Write(p.Screen, missed)
	}
}

// someoneLeaves sleeps until a client has left since it was last asked. It is
// false if nobody is there to leave.
func (p *parent) someoneLeaves() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.left {
		if len(p.children) == 0 {
			return false
		}
		p.leaving.Wait()
	}
	p.left = false
	return true
}

// childName is the child's argv[0], by which it knows what it is.
const childName = "lab: one client"

// Child serves the client on descriptor 3, and exits, in a process that spawn
// started. In any other it returns at once. It is called first thing in main.
func Child() {
	if os.Args[0] != childName {
		return
	}
	signal.Ignore(unix.SIGINT, unix.SIGTERM) // sent to all; the parent decides
	service, err := session.Parse(os.Args[1])
	id, err2 := strconv.Atoi(os.Args[2])
	if err != nil || err2 != nil {
		os.Exit(2)
	}
	sys.ReportCalls() // if somebody watches
	c := &client{Session: service.New(id), fd: 3, operator: new(operator)}
	c.Screen = 1 // Keyboard is 0: without an operator, at its end
	c.converse()
	os.Exit(0)
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
	runtime.Gosched() // else the Go runtime takes this thread for stuck
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
