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
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

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
	if p, err := proc.Read(s.Pid()); err == nil { // it is there until wait has collected it
		s.born = p.Born
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
			if s.addr = s.findListener(); s.addr.IsValid() { // at the last moment
				return nil
			}
			return s.whyDeaf(time.Since(start))
		}
	}
}

// alive reports whether the process that was started still runs. Exited comes
// a little later, when its output was read.
func (s *Subject) alive() bool {
	p, err := proc.Read(s.Pid())
	return err == nil && p.Born == s.born && !p.Ended()
}

// findListener is the loopback address on which the subject listens now.
func (s *Subject) findListener() (addr netip.AddrPort) {
	sockets, _ := proc.Sockets(s.Pid(), s.Spec.Port, proc.Listen) // none: not yet
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
	sockets, _ := proc.Table(s.Pid())
	for _, socket := range sockets {
		if socket.State != proc.Listen {
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
