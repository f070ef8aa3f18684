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
	"os/exec"
	"os/signal"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/guests"
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
	here     *guests.List
	mu       sync.Mutex  // guards children: spawn and reap use it
	children map[int]int // the number of each one's client, by pid
}

func Serve(job models.Job) error {
	p := &parent{Job: job, here: guests.NewList(), children: map[int]int{}}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer close(ended)
	defer signal.Stop(ended)
	go p.reap(ended)
	p.here.Relay(job.Keyboard, job.Screen)
	for served := 0; ; {
		cfd, err := sys.Accept(job.Listener, 0) // sleeps until a client comes
		switch {
		case err == nil:
			served++
			if err := p.welcome(cfd, served); err != nil {
				return err
			}
		case sys.Full(err) && p.here.SomeoneLeaves(): // try again
		case sys.Stopped(err):
			p.here.AllLeave()
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
		if !sys.Full(err) || !p.here.SomeoneLeaves() {
			return err
		}
	}
}

// spawn starts this program once more, with the client on descriptor 3.
func (p *parent) spawn(cfd, id int) error {
	pipe, err := guests.NewPipe(p.Keyboard)
	if err != nil {
		return err
	}
	defer sys.Close(pipe.Reader) // the child has its own
	args := []string{childName, p.Service.String(), strconv.Itoa(id)}
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: args}
	p.mu.Lock() // reap must not meet a child that is not in the map yet
	defer p.mu.Unlock()
	pid, err := sys.Start(cmd, pipe.Reader, p.Screen, 2, cfd)
	if err != nil {
		sys.Close(pipe.Writer)
		return err
	}
	p.children[pid] = id
	p.here.Come(id, pipe.Tell, pipe.Writer)
	return nil
}

// reap collects children that have ended. One signal may stand for many of
// them: signal(7), "Queueing and delivery semantics for standard signals".
func (p *parent) reap(ended <-chan os.Signal) {
	for range ended {
		for pid := sys.Reap(); pid > 0; pid = sys.Reap() {
			p.mu.Lock()
			if id, ours := p.children[pid]; ours {
				delete(p.children, pid)
				p.here.Leave(id)
			}
			p.mu.Unlock()
		}
	}
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
	sys.Threads(1)
	c := &client{Session: service.New(id), fd: 3}
	c.buf = make([]byte, session.BufferSize)
	c.operator = guests.OperatorOf(service)
	c.converse()
	os.Exit(0)
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
