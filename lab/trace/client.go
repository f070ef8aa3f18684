package trace

import (
	"fmt"
	"net/netip"
	"os"
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
	id   string // "client 1"
	addr netip.AddrPort

	mu    sync.Mutex // guards what follows
	more  sync.Cond  // tells of todo and over
	todo  []func()
	over  bool // no more calls
	calls []*call
	fd    int // -1: it has none
	local netip.AddrPort
	tid   int
	ended chan struct{}
}

// A call is one of a client's system calls.
type call struct {
	diagram.Call
	begin, end time.Time // end is zero until it returns
	data       []byte    // sent or received
	errno      unix.Errno
}

func newClient(number int, server netip.AddrPort) *client {
	c := &client{id: fmt.Sprintf("client %d", number), addr: server, fd: -1, ended: make(chan struct{})}
	c.more.L = &c.mu
	go c.run()
	return c
}

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
			c.more.Wait()
		}
		if c.over {
			if c.fd >= 0 {
				unix.Close(c.fd)
				c.fd = -1
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
	c.more.Signal()
}

// makes makes a call and takes down how it went. It slept if the kernel took
// the thread off its processor at the thread's own wish: getrusage(2),
// ru_nvcsw. It returns the data that the call sent or received.
func (c *client) makes(name, args string, do func(fd int) (result string, data []byte, err error)) []byte {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return nil
	}
	fd := c.fd
	made := &call{Call: diagram.Call{Actor: c.id, Name: name, Args: arguments(fd, args)}}
	c.calls = append(c.calls, made)
	made.begin = time.Now()
	c.mu.Unlock()

	before := switches()
	result, data, err := do(fd)
	slept := switches() > before
	end := time.Now()

	c.mu.Lock()
	defer c.mu.Unlock()
	made.end, made.Slept, made.Result, made.data = end, slept, result, data
	if err != nil {
		made.errno, _ = err.(unix.Errno)
		made.Result = unix.ErrnoName(made.errno)
	}
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
func (c *client) ownEnd() end {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return end{}
	}
	state, known := tcpState(c.fd)
	unread, _ := unix.IoctlGetInt(c.fd, unix.TIOCINQ)
	unsent, _ := unix.IoctlGetInt(c.fd, unix.TIOCOUTQ)
	return end{state, unread, unsent, known}
}

// look is what the client is doing, and whether it waits.
func (c *client) look() (doing string, waits bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	doing = fmt.Sprint(len(c.calls), " calls")
	if len(c.todo) == 0 {
		return doing, true
	}
	if n := len(c.calls); n == 0 || !c.calls[n-1].end.IsZero() {
		return doing, false // between two calls
	}
	return doing + ", in the last", asleep(proc.ThreadOf(os.Getpid(), c.tid))
}

// asleep reports whether a thread of our own sleeps in a call. One that is
// back from it may sleep too, until the Go runtime has a processor for it: in
// futex(2).
func asleep(thread proc.Thread) bool {
	call, err := thread.Syscall()
	return thread.State() == 'S' && (err != nil || call.Number != unix.SYS_FUTEX)
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

// asleep is the call that it sleeps in, "" if none.
func (c *client) asleep() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.calls); n > 0 && c.calls[n-1].end.IsZero() {
		return c.calls[n-1].Name
	}
	return ""
}

// made are copies of its calls so far.
func (c *client) made() (all []call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, made := range c.calls {
		all = append(all, *made)
	}
	return all
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
		c.more.Signal()
		c.mu.Unlock()
		select {
		case <-c.ended:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}
