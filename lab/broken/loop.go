package broken

import (
	"bytes"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"socketlab/models/session"
	"socketlab/models/sys"
)

// A loop serves all clients from one thread with poll(2). Its steps can be
// replaced; newLoop has them as they should be.
type loop struct {
	lfd      int
	keyboard int  // the operator's descriptor; -1: no operator
	full     bool // there is no room for one more client
	served   int
	mostOwed int           // above that, a client is not read any more, and misses lines
	atOnce   int           // it does not write more than that
	clients  []*client     // in the order in which they came
	lines    session.Lines // what the operator types
	buf      [64 << 10]byte

	wait         func(fds []unix.PollFd)      // sleeps until something happens
	onConnection func()                       // a client comes
	onReadable   func(c *client)              // a client speaks, or ends
	onWritable   func(c *client)              // a client can be sent what it is owed
	onOperator   func()                       // the operator types
	hear         func(c *client, p []byte)    // what a client says; empty at its end
	say          func(line []byte)            // to the clients it is for
	show         func(c *client, said []byte) // on the screen
	missed       func(c *client)              // tells that a client misses a line
}

type client struct {
	fd    int // drop closes it
	id    int
	lines session.Lines // what it says
	owed  []byte        // what it is still to be sent
	ended bool          // it has finished
}

// newLoop is an echo.
func newLoop(lfd int) *loop {
	l := &loop{lfd: lfd, keyboard: -1, mostOwed: 256 << 10, atOnce: 1 << 20}
	l.wait = func(fds []unix.PollFd) { sys.Poll(fds, -1) }
	l.onConnection = l.accept
	l.onReadable = l.receive
	l.onWritable = l.send
	l.onOperator = l.listen
	l.hear = func(c *client, p []byte) { c.owed = append(c.owed, p...) }
	sys.SetNonblock(lfd)
	return l
}

// newTalk is a conversation with the operator.
func newTalk(lfd int) *loop {
	l := newLoop(lfd)
	l.keyboard = 0
	l.hear = l.talk
	l.say = l.tell
	l.show = func(c *client, said []byte) {
		fmt.Printf("client %d says: %s\n", c.id, session.AppendHarmless(nil, said))
	}
	l.missed = func(c *client) { os.Stdout.Write(session.Missed(c.id)) }
	return l
}

// smallBuffers has the kernel keep little for each client, so that a server
// which forgets what the kernel did not take shows it soon. Clients inherit it
// from the listening socket: socket(7). What is written goes into the segment
// that waits already, up to 64 KiB and whatever the limit, so it is to be little.
func (l *loop) smallBuffers() {
	l.atOnce = 256
	unix.SetsockoptInt(l.lfd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096)
	unix.SetsockoptInt(l.lfd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // little, but not late
}

func (l *loop) serve() {
	for {
		l.step()
	}
}

func (l *loop) step() {
	here := slices.Clone(l.clients) // some will leave meanwhile
	fds := l.interest(here)
	l.wait(fds)
	for i, c := range here {
		switch ready := fds[2+i].Revents; {
		case ready == 0 || !slices.Contains(l.clients, c):
		case ready == unix.POLLOUT:
			l.onWritable(c)
		default:
			l.onReadable(c)
		}
	}
	if fds[1].Revents != 0 {
		l.onOperator()
	}
	if fds[0].Revents != 0 {
		l.onConnection()
	}
}

// interest is what to wait for. poll passes over negative descriptors.
func (l *loop) interest(here []*client) []unix.PollFd {
	fds := []unix.PollFd{
		{Fd: int32(l.lfd), Events: unix.POLLIN},
		{Fd: int32(l.keyboard), Events: unix.POLLIN},
	}
	if l.full {
		fds[0].Fd = -1
	}
	for _, c := range here {
		p := unix.PollFd{Fd: int32(c.fd)}
		if !c.ended && len(c.owed) <= l.mostOwed {
			p.Events |= unix.POLLIN
		}
		if len(c.owed) > 0 {
			p.Events |= unix.POLLOUT
		}
		fds = append(fds, p)
	}
	return fds
}

func (l *loop) accept() {
	cfd, err := sys.Accept(l.lfd, unix.SOCK_NONBLOCK)
	switch {
	case err == nil:
		l.welcome(cfd)
	case sys.Full(err):
		l.full = true // until a client leaves
	case !sys.Again(err):
		fatal(err)
	}
}

func (l *loop) welcome(cfd int) {
	l.served++
	l.clients = append(l.clients, &client{fd: cfd, id: l.served})
}

func (l *loop) receive(c *client) {
	n, err := sys.Read(c.fd, l.buf[:])
	switch {
	case sys.Again(err):
		return
	case err != nil:
		l.drop(c)
		return
	}
	l.hear(c, l.buf[:n])
	c.ended = c.ended || n == 0
	l.onWritable(c)
}

func (l *loop) send(c *client) {
	n, err := sys.Write(c.fd, c.owed[:min(len(c.owed), l.atOnce)])
	c.owed = c.owed[n:]
	switch {
	case err != nil && !sys.Again(err):
		l.drop(c)
	case c.ended && len(c.owed) == 0:
		l.drop(c)
	}
}

// sendSleeping is send for those who wait until all has gone, and everybody
// else waits with them.
func (l *loop) sendSleeping(c *client) {
	unix.SetNonblock(c.fd, false)
	write(c.fd, c.owed)
	unix.SetNonblock(c.fd, true)
	c.owed = nil
	l.send(c)
}

func (l *loop) drop(c *client) {
	l.clients = slices.DeleteFunc(l.clients, func(other *client) bool { return other == c })
	l.full = false
	sys.Close(c.fd)
}

// talk takes what a client says apart into lines.
func (l *loop) talk(c *client, p []byte) {
	for line := range c.lines.Feed(p) {
		said := withoutEnd(line)
		if string(said) == "exit" {
			c.ended = true
		}
		if !c.ended {
			l.show(c, said)
		}
	}
}

// withoutEnd is a line without its newline, or CR and newline.
func withoutEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}

// listen takes what the operator types apart into lines.
func (l *loop) listen() {
	n, _ := sys.Read(l.keyboard, l.buf[:])
	for line := range l.lines.Feed(l.buf[:n]) {
		l.say(line)
	}
	if n == 0 {
		l.keyboard = -1 // no operator any more
	}
}

// tell says a line to the clients it is for. One that does not read misses it.
func (l *loop) tell(line []byte) {
	for _, c := range slices.Clone(l.clients) {
		text, mine := session.Addressed(line, c.id)
		switch {
		case !mine:
		case len(c.owed)+len(text) > l.mostOwed:
			l.missed(c)
		default:
			c.owed = append(c.owed, text...)
			l.onWritable(c)
		}
	}
}
