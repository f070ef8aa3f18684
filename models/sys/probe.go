package sys

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Call is a system call of a page, as a probe is told of it.
type Call struct {
	ID         uint64     // no other call of this process has it
	Pid, Tid   int        // who makes it
	Page       string     // where it stands: "models/pollloop/poll.go:52"
	Name       string     // "read"
	FD         int        // the descriptor it is made on; -1: none
	Args       string     // what else is asked, in short: "{3r 5rw}"
	Start, End time.Time  // End is zero before
	N          int        // what it returned
	Errno      unix.Errno // 0: it succeeded
}

// A Probe watches every system call of the pages, from where they are made.
type Probe interface {
	// Before is told of a call that is about to be made, and may hold it back
	// by taking its time.
	Before(Call)

	// After is told what has become of it.
	After(Call)
}

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
	return begin(name, fd, "")
}

func watchSelect(nfd int, read, write *unix.FdSet) *Call {
	if probe == nil {
		return nil
	}
	return begin("select", -1, selected(nfd, read, write))
}

func watchPoll(fds []unix.PollFd) *Call {
	if probe == nil {
		return nil
	}
	return begin("poll", -1, polled(fds))
}

func begin(name string, fd int, args string) *Call {
	c := &Call{
		ID:    calls.Add(1),
		Pid:   unix.Getpid(),
		Tid:   unix.Gettid(),
		Page:  page(),
		Name:  name,
		FD:    fd,
		Args:  args,
		Start: time.Now(),
	}
	probe.Before(*c)
	c.Start = time.Now() // it may have been held back
	return c
}

// done tells the probe what has become of the call, and hands it on.
func (c *Call) done(n int, err error) (int, error) {
	if c != nil {
		c.End = time.Now()
		c.N = n
		errors.As(err, &c.Errno)
		probe.After(*c)
	}
	return n, err
}

// page is the line of the page that makes the call: the innermost one outside
// this package.
func page() string {
	var callers [16]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers[:])])
	for {
		frame, more := frames.Next()
		function, found := strings.CutPrefix(frame.Function, "socketlab/")
		if found && !strings.HasPrefix(function, "models/sys.") {
			folder := function[:strings.LastIndexByte(function, '/')+1]
			folder += strings.SplitN(function[len(folder):], ".", 2)[0]
			file := frame.File[strings.LastIndexByte(frame.File, '/')+1:]
			return folder + "/" + file + ":" + strconv.Itoa(frame.Line)
		}
		if !more {
			return ""
		}
	}
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

// polled shows the list of a poll in the same way.
func polled(fds []unix.PollFd) string {
	var set []string
	for _, p := range fds {
		if p.Fd >= 0 {
			in, out := p.Events&unix.POLLIN != 0, p.Events&unix.POLLOUT != 0
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
