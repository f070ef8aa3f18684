// Package subject starts a server and watches it from outside.
//
// A subject is a process with a port, and nothing else is asked of it: our own
// models and a stranger's program are started, looked at and stopped alike.
// What is known of it is what the kernel tells anybody, in proc(5).
//
// What a subject starts belongs to it. It gets a process group of its own;
// this process becomes the subreaper to which orphans come, so that they are
// found, counted and collected too: PR_SET_CHILD_SUBREAPER in prctl(2).
package subject

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Patience is how long Start waits for the server to listen when its
	// context has no deadline.
	Patience = 10 * time.Second

	// Grace is what Stop allows between SIGTERM and SIGKILL.
	Grace = 2 * time.Second

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

	// These two see what it prints, at once; nil: nobody does.
	Stdout io.Writer `json:"-"`
	Stderr io.Writer `json:"-"`
}

// A Subject is a server that was started.
type Subject struct {
	Spec Spec // with Name and Port filled in

	cmd      *exec.Cmd
	addr     netip.AddrPort
	port     Port
	keyboard io.WriteCloser // its standard input
	stdout   output
	all      output    // stdout and stderr
	born     uint64    // when it started: tells it from a later process with its pid
	guard    *exec.Cmd // see guarded; nil: none
	dismiss  io.WriteCloser

	outgrew atomic.Int32  // what it had when it was killed for having more than Most
	exited  chan struct{} // closed when the next two are known
	ending  Ending        // without Took
	ended   time.Time

	stop    sync.Once
	stopped chan struct{} // closed when Stop was called
	took    time.Duration // these two are known after stop
	stopErr error

	mu     sync.Mutex     // guards what follows
	seen   map[int]uint64 // pid and birth of those found by the last look
	buried time.Duration  // CPU time of orphans that we collected
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

// live are the subjects that StopAll has to stop.
var live struct {
	sync.Mutex
	subjects map[*Subject]bool
}

// Start starts a server and returns when it listens. It waits until the
// context's deadline, or for Patience. When it fails nothing is left running,
// and the error is a *CommandError, *PortError, *EndedError or *DeafError, or
// the context's own.
//
// That it listens is seen in the kernel's table and not found out by
// connecting: a server for one client would take us for that client.
//
// The server is killed when the thread that started it ends: PR_SET_PDEATHSIG
// in prctl(2) means the thread, not the process. Go's threads do not end,
// except one that a goroutine had locked to itself; so such a goroutine must
// outlive the subjects that it starts.
func Start(ctx context.Context, spec Spec) (*Subject, error) {
	if len(spec.Command) == 0 {
		return nil, &CommandError{"", errors.New("no command was given")}
	}
	if spec.Name == "" {
		spec.Name = filepath.Base(spec.Command[0])
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: not started: %w", spec.Name, err)
	}
	port, err := takePort(spec.Port)
	if err != nil {
		return nil, err
	}
	spec.Port = port.Number
	s, err := launch(spec, port)
	if err != nil {
		port.Release()
		return nil, err
	}
	if err := s.waitListening(ctx); err != nil {
		_, stopErr := s.Stop()
		return nil, errors.Join(err, stopErr)
	}
	return s, nil
}

// launch starts the process, and what drains and guards it.
func launch(spec Spec, port Port) (*Subject, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("prctl(PR_SET_CHILD_SUBREAPER): %w", err)
	}
	argv := limitFiles(withPort(spec.Command, port.Number), spec.Files)
	s := &Subject{
		Spec:    spec,
		cmd:     exec.Command(argv[0], argv[1:]...),
		port:    port,
		exited:  make(chan struct{}),
		stopped: make(chan struct{}),
		stdout:  output{keep: 512 << 10},
		all:     output{keep: 8 << 10},
	}
	s.cmd.Env = append(os.Environ(), spec.Env...)
	s.cmd.Env = append(s.cmd.Env, s.mark())
	s.cmd.Stdout = io.MultiWriter(&s.stdout, &s.all, cmp.Or(spec.Stdout, io.Discard))
	s.cmd.Stderr = io.MultiWriter(&s.all, cmp.Or(spec.Stderr, io.Discard))
	s.cmd.WaitDelay = lastWords
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var err error
	if s.keyboard, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		s.keyboard.Close()
		return nil, &CommandError{argv[0], err}
	}
	if p, err := readStat(s.Pid()); err == nil { // it is there until wait has collected it
		s.born = p.born
	}
	s.guarded()
	go s.wait()
	if spec.Most > 0 {
		go s.watchGrowth()
	}
	live.Lock()
	if live.subjects == nil {
		live.subjects = map[*Subject]bool{}
	}
	live.subjects[s] = true
	live.Unlock()
	return s, nil
}

// limitFiles has a shell set RLIMIT_NOFILE before it becomes the server. After
// that only a process with the server's own user, or CAP_SYS_RESOURCE, may:
// prlimit(2).
func limitFiles(argv []string, most uint64) []string {
	if most == 0 {
		return argv
	}
	const script = `ulimit -n "$1" && shift && exec "$@"`
	return append([]string{"/bin/sh", "-c", script, "sh", strconv.FormatUint(most, 10)}, argv...)
}

// withPort puts the port where the command wants it.
func withPort(command []string, port uint16) []string {
	number := strconv.Itoa(int(port))
	argv := make([]string, len(command))
	wanted := false
	for i, arg := range command {
		argv[i] = strings.ReplaceAll(arg, "{port}", number)
		wanted = wanted || argv[i] != arg
	}
	if !wanted {
		argv = append(argv, number)
	}
	return argv
}

// mark is what every process of the subject has in its environment, unless it
// takes care not to. No other subject has it: ports are not shared.
func (s *Subject) mark() string { return "PORT=" + strconv.Itoa(int(s.port.Number)) }

// guarded has a shell wait for the end of this process, however it comes, and
// kill the subject's process group then: Pdeathsig reaches the server, but not
// its children. Where there is no shell, that must do.
func (s *Subject) guarded() {
	guard := exec.Command("/bin/sh", "-c", `read line || kill -9 "-$1"`, "sh", strconv.Itoa(s.Pid()))
	guard.Env = []string{}
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // out of Ctrl-C's reach
	dismiss, err := guard.StdinPipe()
	if err != nil {
		return
	}
	if guard.Start() != nil {
		dismiss.Close()
		return
	}
	s.guard, s.dismiss = guard, dismiss
}

// wait collects the server when it ends, and takes down how.
func (s *Subject) wait() {
	s.cmd.Wait() // how it went is in ProcessState
	s.ended = time.Now()
	s.ending.Code = s.cmd.ProcessState.ExitCode()
	if status := s.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		s.ending.Signal = status.Signal()
	}
	s.ending.Had = int(s.outgrew.Load())
	close(s.exited)
}

// waitListening looks at the kernel's table until the server is in it. The
// kernel tells nobody when a socket begins to listen, so we ask again and
// again, at first every millisecond.
func (s *Subject) waitListening(ctx context.Context) error {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, Patience)
		defer cancel()
	}
	start := time.Now()
	var before netip.AddrPort
	for pause := time.Millisecond; ; pause = min(pause*3/2, 20*time.Millisecond) {
		addr := s.findListener()
		if !s.alive() {
			<-s.exited // its child may listen already, as a daemon's does
			return s.whyEnded()
		}
		if addr.IsValid() && (addr.Addr().Is4() || addr == before) {
			s.addr = addr
			return nil
		}
		before = addr // it may be about to listen on 127.0.0.1 too: look twice
		select {
		case <-time.After(pause):
		case <-s.exited:
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s: waiting until it listens: %w", s.Spec.Name, ctx.Err())
			}
			return s.whyDeaf(time.Since(start))
		}
	}
}

// alive reports whether the process that was started still runs. Exited comes
// a little later, when its output was read.
func (s *Subject) alive() bool {
	p, err := readStat(s.Pid())
	return err == nil && p.born == s.born && p.state != 'Z'
}

// findListener is the loopback address on which the subject listens now.
func (s *Subject) findListener() (addr netip.AddrPort) {
	sockets, _ := s.sockets(Listen) // none: not yet
	for _, socket := range sockets {
		at, reachable := reach(socket.Local)
		if !reachable || addr.IsValid() {
			continue
		}
		if owned, known := s.owns(socket.Inode); owned || !known {
			addr = at
		}
	}
	return addr
}

// whyEnded is the error of a server that ended before it listened.
func (s *Subject) whyEnded() error {
	left, _ := s.members()
	if err := inUse(s.Spec.Port); err != nil && len(left) == 0 {
		return err
	}
	return &EndedError{s.Spec, s.ending, len(left) > 0, s.Output()}
}

// whyDeaf is the error of a server that runs and does not listen.
func (s *Subject) whyDeaf(waited time.Duration) error {
	var elsewhere []netip.AddrPort
	sockets, _ := s.table()
	for _, socket := range sockets {
		if socket.State != Listen {
			continue
		}
		if owned, _ := s.owns(socket.Inode); owned {
			elsewhere = append(elsewhere, socket.Local)
		}
	}
	if err := inUse(s.Spec.Port); err != nil && len(elsewhere) == 0 {
		return err
	}
	return &DeafError{s.Spec, waited, elsewhere, s.Output()}
}

// Addr is where it listens: 127.0.0.1 and its port, or ::1 if only there.
func (s *Subject) Addr() netip.AddrPort { return s.addr }

// Pid is the process that was started, the root of the tree.
func (s *Subject) Pid() int { return s.cmd.Process.Pid }

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

// Ending is how it ended, and false while it lives. How long it took only Stop
// knows.
func (s *Subject) Ending() (Ending, bool) {
	if !isClosed(s.exited) {
		return Ending{}, false
	}
	return s.ending, true
}

// Signal sends a signal to the server, and not to its children.
func (s *Subject) Signal(sig syscall.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %v to %s (pid %d): %w", sig, s.Spec.Name, s.Pid(), err)
	}
	return nil
}

// Stop ends the server and everything that it started: SIGTERM to its process
// group, and when it has ended or Grace is over, SIGKILL to whatever is left,
// in its group or not. It says how the server ended. The error tells of
// processes that could not be killed. To call it again does nothing.
func (s *Subject) Stop() (Ending, error) {
	s.stop.Do(s.end)
	ending, _ := s.Ending()
	ending.Took = s.took
	return ending, s.stopErr
}

func (s *Subject) end() {
	close(s.stopped)
	start := time.Now()
	if !isClosed(s.exited) {
		syscall.Kill(-s.Pid(), syscall.SIGTERM)
		syscall.Kill(-s.Pid(), syscall.SIGCONT) // who is stopped does not hear it
		select {
		case <-s.exited:
		case <-time.After(Grace):
		}
	}
	if s.stopErr = s.sweep(); s.stopErr == nil {
		<-s.exited
		s.took = max(0, s.ended.Sub(start))
	}
	if s.guard != nil {
		io.WriteString(s.dismiss, "\n")
		s.guard.Wait()
	}
	s.port.Release()
	live.Lock()
	defer live.Unlock()
	delete(live.subjects, s)
}

// sweep kills what is left of the subject until nothing is: a process may have
// started another one while we looked.
func (s *Subject) sweep() error {
	deadline := time.Now().Add(5 * time.Second)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		left, err := s.members()
		if err != nil || len(left) == 0 {
			return err
		}
		for _, p := range left {
			err = errors.Join(err, syscall.Kill(p.pid, syscall.SIGKILL))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: pid %d (%q) cannot be killed: %w", s.Spec.Name, left[0].pid, left[0].name, err)
		}
		time.Sleep(pause) // they are not our children: nobody tells us when they end
	}
}

// StopAll stops every subject that lives, all at once: for a signal handler.
func StopAll() {
	live.Lock()
	var all sync.WaitGroup
	for s := range live.subjects {
		all.Go(func() { s.Stop() })
	}
	live.Unlock()
	all.Wait()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
