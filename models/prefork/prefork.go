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
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"socketlab/models"
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
	vacant    []int        // places of workers who are not there
	places    map[int]int  // of those who are, by pid
	keyboards [workers]int // pipes for what the operator types
	readers   [workers]int // their other ends, for the workers
	shared    int          // the board's descriptor
	board
}

// A board is memory that all processes share. It has the number of the client
// in each worker's place, 0 for nobody, and behind them how many have come.
type board []atomic.Int32

func Serve(job models.Job) error {
	p := &parent{Job: job, places: map[int]int{}}
	var err error
	if p.shared, p.board, err = sys.Share(workers + 1); err != nil {
		return err
	}
	defer sys.Close(p.shared)
	for place := range workers {
		p.vacant = append(p.vacant, place)
		reader, writer := -1, -1 // no operator
		if job.Keyboard >= 0 {
			if reader, writer, err = sys.Pipe(); err != nil {
				return err
			}
		}
		p.readers[place], p.keyboards[place] = reader, writer
		defer sys.Close(reader)
		defer sys.Close(writer)
	}
	if job.Keyboard >= 0 {
		go p.relay()
	}
	return p.watch()
}

// watch replaces workers that die, until all have ended as they should.
func (p *parent) watch() error {
	for {
		if err := p.fill(); err != nil || len(p.places) == 0 {
			return err
		}
		pid, code, err := sys.Wait() // sleeps until a worker ends
		if err != nil {
			return err
		}
		place, ours := p.places[pid]
		if !ours {
			continue
		}
		delete(p.places, pid)
		p.board[place].Store(0) // its client went with it
		switch code {
		case stopped:
		case failed:
			return errors.New("a worker cannot accept clients")
		default: // it was killed, or has crashed
			p.vacant = append(p.vacant, place)
		}
	}
}

// fill starts a worker in each vacant place. If not all fit, fewer must do
// until one of them ends.
func (p *parent) fill() error {
	for len(p.vacant) > 0 {
		place := p.vacant[0]
		pid, err := p.spawn(place)
		if sys.Full(err) && len(p.places) > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		p.places[pid] = place
		p.vacant = p.vacant[1:]
	}
	return nil
}

// spawn starts this program once more, with the listening socket on descriptor
// 3 and the board on 4; what the operator types is on 0, the screen is 1.
func (p *parent) spawn(place int) (pid int, err error) {
	lfds := append([]int{p.Listener}, p.Siblings...)
	lfd := lfds[place%len(lfds)] // all have the same, if there is only one
	reader := p.readers[place]
	args := []string{childName, p.Service.String()}
	for _, n := range []int{place, min(reader, 0), min(p.Screen, 1)} {
		args = append(args, strconv.Itoa(n)) // -1: none
	}
	return sys.Spawn("/proc/self/exe", args, reader, p.Screen, 2, lfd, p.shared)
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

// tell passes a line to the workers with the clients it is meant for. It waits
// for none of them: one that does not read misses it.
func (p *parent) tell(line []byte) {
	var missed []byte
	for place, keyboard := range p.keyboards {
		id := int(p.board[place].Load())
		if _, mine := session.Addressed(line, id); !mine || id == 0 {
			continue
		}
		if _, err := sys.Write(keyboard, line); sys.Again(err) {
			missed = append(missed, session.Missed(id)...)
		}
	}
	if len(missed) > 0 {
		sys.Write(p.Screen, missed)
	}
}

// childName is the worker's argv[0], by which it knows what it is.
const childName = "lab: one worker"

// The exit codes of a worker that is not to be replaced.
const (
	stopped = 0
	failed  = 1 // another one would do no better
)

type worker struct {
	*operator
	service session.Service
	place   int
	board
}

// Child serves one client after the other, and exits in the end, in a process
// that spawn started. In any other it returns at once. It is called first thing
// in main.
func Child() {
	if os.Args[0] != childName {
		return
	}
	signal.Ignore(unix.SIGINT, unix.SIGTERM) // sent to all; the parent decides
	w := &worker{operator: new(operator)}
	var err, err2 error
	w.service, err = session.Parse(os.Args[1])
	w.board, err2 = sys.Shared(4, workers+1)
	if err != nil || err2 != nil {
		os.Exit(failed)
	}
	for i, n := range []*int{&w.place, &w.Keyboard, &w.Screen} {
		*n, _ = strconv.Atoi(os.Args[2+i])
	}
	sys.ReportCalls() // if somebody watches
	for {
		cfd, err := sys.Accept(3, 0) // sleeps until it is chosen for a client
		switch {
		case err == nil:
			w.serve(cfd)
		case sys.Full(err): // others have them all, and tell nobody
			sys.Poll(nil, 1000) // sleeps for a second
		case sys.Stopped(err):
			os.Exit(stopped)
		default:
			os.Exit(failed)
		}
	}
}

// serve holds the conversation with one more client.
func (w *worker) serve(cfd int) {
	defer sys.Close(cfd)
	w.forget()
	id := w.board[workers].Add(1)
	w.board[w.place].Store(id)
	defer w.board[w.place].Store(0)
	c := &client{w.service.New(int(id)), cfd, w.operator}
	c.converse()
}

// forget reads what was meant for the client before.
func (w *worker) forget() {
	w.lines = session.Lines{}
	if w.Keyboard < 0 {
		return // no operator
	}
	fds := []unix.PollFd{{Fd: int32(w.Keyboard), Events: unix.POLLIN}}
	for sys.Poll(fds, 0); fds[0].Revents == unix.POLLIN; sys.Poll(fds, 0) {
		sys.Read(w.Keyboard, w.buf[:])
	}
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
