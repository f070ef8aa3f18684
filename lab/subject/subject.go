// Package subject starts a server and watches it from outside.
//
// A subject is a process with a port, and nothing else is asked of it: our own
// models and a stranger's program are started, looked at and stopped alike.
// What is known of it is what the kernel tells anybody, in proc(5).
//
// Every process that a subject starts belongs to it. A supervisor finds, counts
// and collects these processes, and ends them when the lab ends.
package subject

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// Patience is how long Start waits for the server to listen when its
	// context has no deadline.
	Patience = 10 * time.Second

	// Grace is what Stop allows between SIGTERM and SIGKILL.
	Grace = 2 * time.Second

	// stubborn is how long SIGKILL may take: a process that waits for a broken
	// disk does not end.
	stubborn = 5 * time.Second

	// lastWords is how long output is still read when the server has ended
	// and another process, its child perhaps, holds the pipe open.
	lastWords = 200 * time.Millisecond
)

// A Spec says how to start a server.
type Spec struct {
	Name    string   // what reports call it; if empty, the command's own name
	Kind    string   // "model" or "command"
	Command []string // {port} in it is replaced; if there is none, the port is appended
	Limit   int      // clients it serves at once; 0: no limit
	Port    uint16   // 0: a free one
	Env     []string // what its environment has besides ours; PORT is always set
	Files   uint64   // descriptors it may have open, RLIMIT_NOFILE; 0: as it is
	Most    int      // processes, or threads in one of them; with more it is killed; 0: no limit

	// Namespace gives it a user and a network namespace of its own, without the
	// ports and connections of others. Control leads there.
	Namespace bool

	// These two see what it prints, at once; nil: nobody does.
	Stdout io.Writer `json:"-"`
	Stderr io.Writer `json:"-"`
}

// A Subject is a server that was started.
type Subject struct {
	Spec Spec // with Name and Port filled in

	supervisor *exec.Cmd
	control    *net.UnixConn // to the supervisor
	pid        int
	server     *os.Process // the same, held by a pidfd
	addr       netip.AddrPort
	port       Port
	keyboard   io.WriteCloser // its standard input
	stdout     output
	all        output        // stdout and stderr
	silent     chan struct{} // closed when all it printed was read
	asking     sync.Mutex    // held by who waits for the next
	sockets    chan int      // descriptors from the supervisor; negative: an errno

	collected atomic.Int64 // CPU time of those whom the supervisor has collected

	outgrew atomic.Int32  // what it had when it was killed for having more than Most
	exited  chan struct{} // closed when the next two are known
	ending  Ending        // without Took
	ended   time.Time

	gone    chan struct{} // closed when the supervisor has ended, and with it the family
	left    atomic.Int32  // the pid of one that could not be killed
	stop    sync.Once
	stopped chan struct{} // closed when Stop was called
	took    time.Duration // these two are known after stop
	stopErr error
}

// An Ending is how a server ended.
type Ending struct {
	Code   int            // its exit code; -1: a signal ended it
	Signal syscall.Signal // that signal; 0: none
	Had    int            // it was killed because it had so many processes or threads; 0: it was not
	Took   time.Duration  // after SIGTERM; 0: it had ended before Stop
}

func (e Ending) String() string {
	text := "exit code " + strconv.Itoa(e.Code)
	if e.Signal != 0 {
		text = fmt.Sprintf("signal %d (%v)", int(e.Signal), e.Signal)
	}
	if e.Had > 0 {
		text += fmt.Sprintf(" from lab: it had %d processes or threads", e.Had)
	}
	if e.Took > 0 {
		text += " after " + e.Took.Round(time.Millisecond).String()
	}
	return text
}

// Addr is where it listens: 127.0.0.1 and its port, or ::1 if only there.
func (s *Subject) Addr() netip.AddrPort { return s.addr }

// Pid is the server's process, the root of the tree.
func (s *Subject) Pid() int { return s.pid }

// Operator is the server's standard input. It stays open and silent until
// something is written, or it is closed: end of file is a deliberate act. A
// write waits while the server does not read and the pipe is full.
func (s *Subject) Operator() io.WriteCloser { return s.keyboard }

// Stdout is what the server and its children have printed on standard output
// so far. Of very much only the beginning and the end are kept. A C program
// that never calls fflush(3) prints late: its buffer is full at 4096 bytes.
func (s *Subject) Stdout() []byte { return s.stdout.Bytes() }

// Output is the beginning and the end of all it printed, errors included, for
// reports of failures.
func (s *Subject) Output() []byte { return s.all.Bytes() }

// WaitOutput waits until found says that standard output holds what is looked
// for. It fails when the context ends, or the server.
func (s *Subject) WaitOutput(ctx context.Context, found func(stdout []byte) bool) error {
	for {
		more := s.stdout.more()
		over := isClosed(s.exited) // all it printed is there by then
		if found(s.Stdout()) {
			return nil
		}
		if over {
			return fmt.Errorf("%s ended (%v) before it printed what was waited for", s.Spec.Name, s.ending)
		}
		select {
		case <-more:
		case <-s.exited:
		case <-ctx.Done():
			return fmt.Errorf("waiting for output of %s: %w", s.Spec.Name, ctx.Err())
		}
	}
}

// Exited is closed when the server has ended, and all that it printed was read.
func (s *Subject) Exited() <-chan struct{} { return s.exited }

// Ending is how it ended, and false while it lives. Only Stop knows how long it
// took.
func (s *Subject) Ending() (Ending, bool) {
	if !isClosed(s.exited) {
		return Ending{}, false
	}
	return s.ending, true
}

// Signal sends a signal to the server, and not to its children. When it has
// ended, the error is os.ErrProcessDone, and no stranger who has its pid by now
// is hit: pidfd_open(2).
func (s *Subject) Signal(sig syscall.Signal) error {
	err := s.server.Signal(sig)
	if isClosed(s.gone) {
		err = os.ErrProcessDone
	}
	if err != nil {
		return fmt.Errorf("signal %v to %s (pid %d): %w", sig, s.Spec.Name, s.Pid(), err)
	}
	return nil
}
