package trace

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
)

// A client is a client's program: one thread that makes its calls one after the
// other, and sleeps in them as the program would. The scene says what to call
// and goes on at once.
type client struct {
	number int
	id     string // "client 1"
	addr   netip.AddrPort
	log    *account // of its calls

	mu    sync.Mutex // guards what follows
	more  sync.Cond  // tells of todo and over
	todo  []func()
	over  bool // no more calls
	calls int
	now   string // the call that it is in; "": none
	fd    int    // -1: it has none
	local netip.AddrPort
	tid   int
	ended chan struct{}

	wake    int    // an eventfd(2) that tells attend of todo and over; -1: it waits for todo alone
	reading bool   // it reads what comes
	owed    []byte // what it is to send

	bound bool // it calls bind before it connects, over IPv4
	room  int  // how large its receive buffer is to be, before it connects; 0: as the kernel likes

	tls *tls.Conn // its thread's only; nil: it speaks plain TCP
}

func newClient(number int, name string, server netip.AddrPort, log *account) *client {
	c := &client{number: number, id: name, addr: server, log: log, fd: -1, wake: -1, ended: make(chan struct{})}
	c.more.L = &c.mu
	log.mu.Lock()
	log.enters(c.id, c.id)
	log.actors[len(log.actors)-1].Kind = diagram.ClientProgram
	log.mu.Unlock()
	go c.run()
	return c
}

func clientName(number int) string { return fmt.Sprintf("client %d", number) }

// run is the client's thread.
func (c *client) run() {
	defer close(c.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tid = unix.Gettid()
	for {
		for len(c.todo) == 0 && !c.over {
			if c.wake < 0 {
				c.more.Wait()
				continue
			}
			c.mu.Unlock()
			c.attend()
			c.mu.Lock()
		}
		if c.over {
			if c.fd >= 0 {
				unix.Close(c.fd)
				c.fd = -1
			}
			if c.wake >= 0 {
				unix.Close(c.wake)
				c.wake = -1
			}
			return
		}
		do := c.todo[0]
		c.mu.Unlock()
		do()
		c.mu.Lock()
		if len(c.todo) > 0 {
			c.todo = c.todo[1:]
		}
	}
}

func (c *client) then(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.todo = append(c.todo, do)
	c.signal()
}

// signal tells the client's thread that there is something to do. The caller
// holds mu.
func (c *client) signal() {
	c.more.Signal()
	if c.wake >= 0 {
		unix.Write(c.wake, []byte{7: 1})
	}
}

// makes makes a call and takes down how it went. It returns the data that the
// call sent or received.
func (c *client) makes(name, args string, do func(fd int) (result string, data []byte, err error)) []byte {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return nil
	}
	fd := c.fd
	c.calls++
	c.now = name
	tid := c.tid
	c.mu.Unlock()

	made := &systemCall{Call: diagram.Call{Actor: c.id, Name: name, Args: arguments(fd, args)}, of: c, tid: tid}
	c.log.mu.Lock()
	made.begin = time.Now()
	c.log.begins(made)
	c.log.mu.Unlock()

	before := switches()
	result, data, err := do(fd)
	gaveUp := switches() > before
	end := time.Now()

	c.mu.Lock()
	c.now = ""
	c.mu.Unlock()
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	made.data = data
	if err != nil {
		made.errno, _ = err.(unix.Errno)
		result = unix.ErrnoName(made.errno)
	}
	c.log.returns(made, end, result, gaveUp)
	return data
}

// arguments has the descriptor first, if there is one.
func arguments(fd int, others string) string {
	switch {
	case fd < 0:
		return others
	case others == "":
		return strconv.Itoa(fd)
	}
	return strconv.Itoa(fd) + ", " + others
}

// switches is how often the kernel took this thread off its processor at the
// thread's own wish: getrusage(2), ru_nvcsw.
func switches() int64 {
	var usage unix.Rusage
	unix.Getrusage(unix.RUSAGE_THREAD, &usage)
	return usage.Nvcsw
}

// address is the client's own, invalid before it connects.
func (c *client) address() netip.AddrPort {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || c.local.IsValid() {
		return c.local
	}
	var ip netip.Addr
	var port int
	switch sa, _ := unix.Getsockname(c.fd); sa := sa.(type) {
	case *unix.SockaddrInet4:
		ip, port = netip.AddrFrom4(sa.Addr), sa.Port
	case *unix.SockaddrInet6:
		ip, port = netip.AddrFrom16(sa.Addr), sa.Port
	}
	if port > 0 {
		c.local = netip.AddrPortFrom(ip, uint16(port))
	}
	return c.local
}

// ownEnd is what the client's own descriptor says of the connection.
func (c *client) ownEnd() endState {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return endState{}
	}
	state, known := tcpState(c.fd)
	unread, _ := unix.IoctlGetInt(c.fd, unix.TIOCINQ)
	unsent, _ := unix.IoctlGetInt(c.fd, unix.TIOCOUTQ)
	return endState{state, unread, unsent, known}
}

// look is what the client is doing, and whether it waits.
func (c *client) look() (doing string, waits bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	doing = fmt.Sprint(c.calls, " calls")
	if len(c.todo) == 0 {
		return doing, true
	}
	if c.now == "" {
		return doing, false // between two calls
	}
	return doing + ", in the last", asleepIn(proc.ThreadOf(c.tid, c.tid), c.now)
}

// closed reports whether it has closed its connection. The FIN may come later
// than close(2) returns, if somebody else still has the descriptor: a process
// that another scene is starting has it until execve(2).
func (c *client) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fd < 0 && c.local.IsValid()
}

// idle reports whether it has made all its calls.
func (c *client) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.todo) == 0
}

// asleep is the call that it is in, "" if none.
func (c *client) asleep() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// hangUp ends the client: a call that it sleeps in fails. It may have been just
// about to sleep, so it is told again until it has heard.
func (c *client) hangUp() {
	for {
		c.mu.Lock()
		c.over, c.todo = true, nil
		if c.fd >= 0 {
			unix.Shutdown(c.fd, unix.SHUT_RDWR)
		}
		c.signal()
		c.mu.Unlock()
		select {
		case <-c.ended:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}
