package sys

import (
	"cmp"
	"errors"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Call is a system call of a page, as a probe sees it.
type Call struct {
	ID         uint64         // no other call of this process has it
	Pid, Tid   int            // who makes it
	Goroutine  uint64         // and in which goroutine: its next call may be another thread's
	Task       string         // what that goroutine does, the page's function: "converse"
	Page       string         // where the call stands: "models/pollloop/poll.go:52"
	Name       string         // "read"
	FD         int            // the descriptor it is made on; -1: none
	Args       string         // what else is asked, in short: "{3r 5rw}"
	Client     netip.AddrPort // whose connection it is about; invalid: nobody's
	Start, End time.Time      // End is zero before
	N          int            // what it returned
	Got        string         // what it brought, in short: `"hello\n"`, "{5r}"
	Errno      unix.Errno     // 0: it succeeded
	Slept      bool           // it had to wait

	net      bool  // package net makes it
	prompt   bool  // it is made so that it never waits, whatever its name is
	switches int64 // before it: see switches
}

// A Probe is told of every system call of the pages, from where they are made:
// Before it is made, and the probe may hold it back by taking its time; After it
// has returned; and when a call of package net's Parks. No thread sleeps then:
// the Go runtime waits for all such calls in its epoll(7).
type Probe func(Phase, Call)

// A Phase is what a probe is told of a call.
type Phase string

const (
	Before Phase = "before" // it is about to be made
	Parks  Phase = "parks"  // it has to wait, in the Go runtime's epoll
	After  Phase = "after"  // it has returned
)

// probe costs one comparison with nil for each call while nobody watches. It is
// set before a page serves, and not changed while it does.
var (
	probe Probe
	calls atomic.Uint64
)

// Watch sets the probe.
func Watch(p Probe) { probe = p }

// watch tells the probe of a call that is about to be made, if there is one.
func watch(name string, fd int) *Call {
	if probe == nil {
		return nil
	}
	return begin(Call{Name: name, FD: fd})
}

func watchArgs(name string, fd int, args string) *Call {
	if probe == nil {
		return nil
	}
	return begin(Call{Name: name, FD: fd, Args: args})
}

func watchPrompt(name string, fd int) *Call {
	if probe == nil {
		return nil
	}
	return begin(Call{Name: name, FD: fd, prompt: true})
}

func watchBind(fd int, sa unix.Sockaddr) *Call {
	if probe == nil {
		return nil
	}
	return begin(Call{Name: "bind", FD: fd, Args: addrPort(sa).String()})
}

func watchWrite(fd int, p []byte) *Call {
	if probe == nil {
		return nil
	}
	return begin(Call{Name: "write", FD: fd, Args: quoted(p)})
}

func watchSelect(nfd int, read, write *unix.FdSet) *Call {
	if probe == nil {
		return nil
	}
	return begin(Call{Name: "select", FD: -1, Args: selected(nfd, read, write)})
}

func watchPoll(fds []unix.PollFd) *Call {
	if probe == nil {
		return nil
	}
	return begin(Call{Name: "poll", FD: -1, Args: polled(fds, false)})
}

// begin tells the probe. Until done the call is its thread's, so that the
// thread can be looked at while it sleeps, and asked afterwards whether it did.
func begin(c Call) *Call {
	if !c.net {
		runtime.LockOSThread()
	}
	c.ID = calls.Add(1)
	c.Pid, c.Tid = unix.Getpid(), unix.Gettid()
	c.Goroutine = goroutine()
	c.Page, c.Task = page()
	if sa, err := unix.Getpeername(c.FD); err == nil {
		c.Client = addrPort(sa)
	}
	c.Start = time.Now()
	probe(Before, c)
	c.Start = time.Now() // it may have been held back
	c.switches = switches()
	return &c
}

// done tells the probe the result of the call, and returns that result.
func (c *Call) done(n int, err error) (int, error) {
	if c == nil {
		return n, err
	}
	c.End = time.Now()
	c.N = n
	errors.As(err, &c.Errno)
	if !c.net {
		c.Slept = c.Waits() && switches() > c.switches
		runtime.UnlockOSThread()
	}
	probe(After, *c)
	return n, err
}

// parks tells the probe that a call of package net's has to wait.
func (c *Call) parks() {
	if !c.Slept {
		c.Slept = true
		probe(Parks, *c)
	}
}

// Asked is all that the call is made with: `7, "hello\n"`.
func (c *Call) Asked() string {
	switch {
	case c.FD < 0:
		return c.Args
	case c.Args == "":
		return strconv.Itoa(c.FD)
	}
	return strconv.Itoa(c.FD) + ", " + c.Args
}

// Waits reports whether it is a call that a page may sleep in.
func (c *Call) Waits() bool {
	if c.prompt {
		return false
	}
	switch c.Name {
	case "accept", "read", "write", "select", "poll", "epoll_wait", "io_uring_enter", "waitpid":
		return true
	}
	return false
}

// switches is how often this thread gave up its processor because it had to
// wait: getrusage(2), ru_nvcsw. A call that sleeps adds one.
func switches() int64 {
	var usage unix.Rusage
	unix.Getrusage(unix.RUSAGE_THREAD, &usage)
	return usage.Nvcsw
}

// The result of a call is formatted only if there is a probe.

func (c *Call) gotBytes(p []byte) *Call {
	if c != nil {
		c.Got = quoted(p)
	}
	return c
}

func (c *Call) gotClient(sa unix.Sockaddr) *Call {
	if c != nil {
		c.Client = addrPort(sa)
	}
	return c
}

func (c *Call) gotSets(nfd int, read, write *unix.FdSet) *Call {
	if c != nil {
		c.Got = selected(nfd, read, write)
	}
	return c
}

func (c *Call) gotList(fds []unix.PollFd) *Call {
	if c != nil {
		c.Got = polled(fds, true)
	}
	return c
}

func (c *Call) gotStatus(pid int, status unix.WaitStatus) *Call {
	if c != nil && pid > 0 {
		c.Got = "exit code " + strconv.Itoa(status.ExitStatus())
		if status.Signaled() {
			c.Got = "signal " + strconv.Itoa(int(status.Signal()))
		}
	}
	return c
}

// goroutine is the number of this goroutine. Go hides it, except from those
// who read a stack trace: "goroutine 18 [running]:".
func goroutine() uint64 {
	var buf [32]byte
	text := string(buf[:runtime.Stack(buf[:], false)])
	number, _, _ := strings.Cut(strings.TrimPrefix(text, "goroutine "), " ")
	n, _ := strconv.ParseUint(number, 10, 64)
	return n
}

// page is the line that makes the call, the innermost one on a page, or if
// there is none, outside this package, and the outermost function there.
func page() (line, task string) {
	shared := ""
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for {
		frame, more := frames.Next()
		function, ours := strings.CutPrefix(frame.Function, "socketlab/")
		if name, isMain := strings.CutPrefix(frame.Function, "main."); isMain {
			function, ours = "lab."+name, true
		}
		if around, found := strings.CutPrefix(function, "models/serve/"); found {
			function = around // it is no page
		}
		if ours && !strings.HasPrefix(function, "models/sys.") {
			slash := strings.LastIndexByte(function, '/') + 1
			pkg, name, _ := strings.Cut(function[slash:], ".")
			file := frame.File[strings.LastIndexByte(frame.File, '/')+1:]
			here := function[:slash] + pkg + "/" + file + ":" + strconv.Itoa(frame.Line)
			switch {
			case pkg == "guests":
				shared = cmp.Or(shared, here)
			default:
				line = cmp.Or(line, here)
			}
			if strings.HasPrefix(function, "models/") {
				name = name[strings.LastIndexByte(name, ')')+1:] // "(*server).turn.func1"
				task, _, _ = strings.Cut(strings.TrimPrefix(name, "."), ".")
			}
		}
		if !more {
			return cmp.Or(line, shared), task
		}
	}
}

// quoted shows the first bytes: `"hello\n"`.
func quoted(p []byte) string {
	const most = 32
	if len(p) > most {
		return strconv.QuoteToASCII(string(p[:most])) + "…"
	}
	return strconv.QuoteToASCII(string(p))
}

// selected shows the sets of a select: "{3r 5rw}".
func selected(nfd int, read, write *unix.FdSet) string {
	var set []string
	for fd := range nfd {
		in, out := read != nil && read.IsSet(fd), write != nil && write.IsSet(fd)
		if in || out {
			set = append(set, interest(fd, in, out))
		}
	}
	return "{" + strings.Join(set, " ") + "}"
}

// polled shows the list of a poll in the same way, the question or the answer.
func polled(fds []unix.PollFd, answer bool) string {
	var set []string
	for _, p := range fds {
		events := p.Events
		if answer {
			events = p.Revents
		}
		if p.Fd >= 0 && events != 0 {
			out := events&unix.POLLOUT != 0
			in := events&^unix.POLLOUT != 0 // or HUP, or ERR: reading finds out
			set = append(set, interest(int(p.Fd), in, out))
		}
	}
	return "{" + strings.Join(set, " ") + "}"
}

func interest(fd int, in, out bool) string {
	text := strconv.Itoa(fd)
	if in {
		text += "r"
	}
	if out {
		text += "w"
	}
	return text
}
