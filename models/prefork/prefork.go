// Package prefork serves clients from processes that were started beforehand.
//
// Compared with process: the children are there before the clients, and sleep
// in accept, all of them on the one listening socket. The kernel wakes one for
// each client, and no client waits for a program to start. There are never more
// clients than workers; the parent's duty is to replace a worker that dies.
package prefork

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/guests"
	"socketlab/models/session"
	"socketlab/models/sys"
)

var Model = models.Model{
	Name:    "prefork",
	Summary: "processes started beforehand share the listening socket",
	Holds:   "one of 8 workers",
	Waits:   "accept(2), read(2)",
	Limit:   workers,
	Serve:   Serve,
}

const workers = 8

type parent struct {
	models.Job
	pids     [workers]int         // who is in each place; 0: nobody
	pipes    [workers]guests.Pipe // to them, for what the operator types
	alive    int                  // how many workers there are
	stopping bool                 // one has ended as it should: no new ones
	board    *guests.Board        // who is here, in memory shared with workers
	shared   int                  // its descriptor
}

func Serve(job models.Job) error {
	shared, board, err := sys.Share[guests.Board]()
	if err != nil {
		return err
	}
	defer sys.Close(shared)
	p := &parent{Job: job, shared: shared, board: board}
	for i := range p.pipes {
		if p.pipes[i], err = guests.NewPipe(job.Keyboard); err != nil {
			return err
		}
		defer p.pipes[i].Close()
	}
	p.board.Relay(job.Keyboard, job.Screen, p.pipes[:])
	return p.watch()
}

// watch replaces workers that die, until all have ended as they should.
func (p *parent) watch() error {
	for {
		if err := p.fill(); err != nil || p.alive == 0 {
			return err
		}
		pid, code, err := sys.Wait() // sleeps until a worker ends
		if err != nil {
			return err
		}
		place := slices.Index(p.pids[:], pid)
		if place < 0 {
			continue // it was none of the workers
		}
		p.alive--
		p.pids[place] = 0
		p.board.Leave(place) // its client went with it
		switch code {
		case 0:
			p.stopping = true
		case 1:
			return errors.New("a worker cannot accept clients")
		}
	}
}

// fill starts a worker in each place where there is none. If there is no room
// for all, the others go on until one of them ends.
func (p *parent) fill() error {
	for place := range workers {
		if p.pids[place] > 0 || p.stopping {
			continue
		}
		pid, err := p.spawn(place)
		if sys.Full(err) && p.alive > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		p.pids[place] = pid
		p.alive++
	}
	return nil
}

// spawn starts this program once more, with the listening socket on descriptor
// 3 and the board on 4; what the operator types is on 0, the screen is 1.
func (p *parent) spawn(place int) (pid int, err error) {
	lfds := append([]int{p.Listener}, p.Siblings...)
	lfd := lfds[place%len(lfds)] // all have the same, if there is only one
	args := []string{childName, p.Service.String(), strconv.Itoa(place)}
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: args}
	return sys.Start(cmd, p.pipes[place].Reader, p.Screen, 2, lfd, p.shared)
}

// childName is the worker's argv[0], by which it knows what it is.
const childName = "lab: one worker"

// Child serves one client after the other, in a process that spawn started. In
// any other it returns at once. It is called first thing in main. The exit code
// is 0 when it was stopped, and 1 if another worker would do no better.
func Child() {
	if os.Args[0] != childName {
		return
	}
	signal.Ignore(unix.SIGINT, unix.SIGTERM) // sent to all; the parent decides
	service, err := session.Parse(os.Args[1])
	place, err2 := strconv.Atoi(os.Args[2])
	board, err3 := sys.Shared[guests.Board](4)
	if errors.Join(err, err2, err3) != nil {
		os.Exit(1)
	}
	c := &client{buf: make([]byte, session.BufferSize)}
	c.operator = guests.OperatorOf(service)
	sys.ReportCalls() // if somebody watches
	sys.Threads(1)
	for {
		cfd, err := sys.Accept(3, 0) // sleeps until it is chosen for a client
		switch {
		case err == nil:
			c.operator.Forget(c.buf)
			c.Session, c.fd = service.New(board.Come(place)), cfd
			c.converse()
			board.Leave(place)
			sys.Close(cfd)
		case sys.Full(err): // others have them all, and tell nobody
			sys.Poll(nil, 1000) // sleeps for a second
		case sys.Stopped(err):
			os.Exit(0)
		default:
			os.Exit(1)
		}
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
