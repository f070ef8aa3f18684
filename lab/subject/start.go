package subject

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
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
// Start reads the kernel's table to see whether the server listens. It does not
// connect: a server for one client would take us for that client.
func Start(ctx context.Context, spec Spec) (*Subject, error) {
	if !childAsked {
		panic("subject.Start: main or TestMain must call subject.Child first")
	}
	if len(spec.Command) == 0 {
		return nil, &CommandError{"", errors.New("no command was given")}
	}
	if spec.Name == "" {
		spec.Name = filepath.Base(spec.Command[0])
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: not started: %w", spec.Name, err)
	}
	port, err := takePort(spec)
	if err != nil {
		return nil, err
	}
	spec.Port = port.Number
	s, err := launch(ctx, spec, port)
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

// launch starts the supervisor, which starts the server.
func launch(ctx context.Context, spec Spec, port Port) (*Subject, error) {
	argv := WithPort(spec.Command, port.Number)
	path := argv[0]
	if !strings.Contains(path, "/") { // of a path, execve(2) says best what is wrong
		var err error
		if path, err = exec.LookPath(path); err != nil {
			return nil, &CommandError{argv[0], err}
		}
	}
	namespace := "-"
	attributes := &syscall.SysProcAttr{Setpgid: true} // out of Ctrl-C's reach
	if spec.Namespace {
		namespace = "namespace"
		InNamespaces(attributes)
	}
	s := &Subject{
		Spec: spec,
		supervisor: &exec.Cmd{
			Path:        "/proc/self/exe",
			Args:        slices.Concat([]string{supervisorName, strconv.FormatUint(spec.Files, 10), namespace, path}, argv),
			Env:         slices.Concat(os.Environ(), spec.Env, []string{"PORT=" + strconv.Itoa(int(port.Number))}),
			SysProcAttr: attributes,
		},
		port:    port,
		sockets: make(chan int),
		silent:  make(chan struct{}),
		exited:  make(chan struct{}),
		gone:    make(chan struct{}),
		stopped: make(chan struct{}),
		stdout:  output{keep: 512 << 10},
		all:     output{keep: 8 << 10},
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	if err := s.meet(ctx); err != nil {
		s.control.Close()
		s.keyboard.Close()
		s.supervisor.Wait()
		if errno, failed := errors.AsType[syscall.Errno](err); failed {
			return nil, &CommandError{argv[0], errno}
		}
		return nil, err
	}
	go s.attend()
	if spec.Most > 0 {
		go s.watchGrowth(spec.Most)
	}
	live.Lock()
	defer live.Unlock()
	live.subjects[s] = true
	return s, nil
}

// connect starts the supervisor with the ends of three pipes, for the server's
// standard files, and of a socket of its own.
func (s *Subject) connect() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w%s", err, cure(err))
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "supervisor"), os.NewFile(uintptr(pair[1]), "lab")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return fmt.Errorf("cannot talk to a supervisor: %w%s", err, cure(err))
	}
	s.control = conn.(*net.UnixConn)
	cmd := s.supervisor
	cmd.ExtraFiles = []*os.File{theirs}
	var pipes [3][2]*os.File // from, to
	for i := range pipes {
		if pipes[i][0], pipes[i][1], err = os.Pipe(); err != nil {
			break
		}
	}
	if err == nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = pipes[0][0], pipes[1][1], pipes[2][1]
		err = cmd.Start()
	}
	closeAll := func(files ...*os.File) {
		for _, f := range files {
			f.Close() // nil if the pipe could not be made: no harm
		}
	}
	closeAll(pipes[0][0], pipes[1][1], pipes[2][1])
	if err != nil {
		closeAll(pipes[0][1], pipes[1][0], pipes[2][0])
		s.control.Close()
		return fmt.Errorf("cannot start the supervisor of %s: %w%s", s.Spec.Name, err, cure(err))
	}
	s.keyboard = pipes[0][1]
	var both sync.WaitGroup
	drain := func(from *os.File, to ...io.Writer) {
		both.Go(func() {
			io.Copy(io.MultiWriter(to...), from)
			from.Close()
		})
	}
	drain(pipes[1][0], &s.stdout, &s.all, cmp.Or(s.Spec.Stdout, io.Discard))
	drain(pipes[2][0], &s.all, cmp.Or(s.Spec.Stderr, io.Discard))
	go func() {
		both.Wait()
		close(s.silent)
	}()
	return nil
}

// meet waits until the supervisor has started the server, and opens a pidfd for
// it. The supervisor collects no process before it is told to go on, so the pid
// is still the server's.
func (s *Subject) meet(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { s.control.SetReadDeadline(time.Now()) })()
	word, number, _, err := s.hear()
	switch {
	case err != nil:
		return fmt.Errorf("%s: waiting until it is started: %w", s.Spec.Name, cmp.Or(ctx.Err(), err))
	case word == "failed":
		return syscall.Errno(number)
	}
	s.pid = number
	s.server, err = os.FindProcess(number)
	if err != nil {
		return err
	}
	s.control.SetReadDeadline(time.Time{})
	s.say(sayGo)
	return nil
}

func (s *Subject) say(text string) { s.control.Write([]byte(text)) }

// hear waits for the supervisor's next word, and the number and the descriptor
// that come with it.
func (s *Subject) hear() (word string, number, fd int, err error) {
	text, rights := make([]byte, 100), make([]byte, unix.CmsgSpace(4))
	n, m, _, _, err := s.control.ReadMsgUnix(text, rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return "", 0, -1, err
	}
	fmt.Sscan(string(text[:n]), &word, &number)
	fd = -1
	if messages, _ := unix.ParseSocketControlMessage(rights[:m]); len(messages) == 1 {
		if fds, _ := unix.ParseUnixRights(&messages[0]); len(fds) == 1 {
			fd = fds[0]
			unix.CloseOnExec(fd)
		}
	}
	return word, number, fd, nil
}

// attend records what the supervisor says until the supervisor ends.
func (s *Subject) attend() {
	s.ending = Ending{Code: -1, Signal: syscall.SIGKILL} // if somebody kills the supervisor
	over := sync.OnceFunc(func() {
		s.ended = time.Now()
		select {
		case <-s.silent:
		case <-time.After(lastWords):
		}
		s.ending.Had = int(s.outgrew.Load())
		close(s.exited)
	})
	for {
		word, number, fd, err := s.hear()
		if err != nil {
			break
		}
		switch word {
		case "ended":
			status := syscall.WaitStatus(number)
			s.ending.Code, s.ending.Signal = status.ExitStatus(), 0
			if status.Signaled() {
				s.ending.Signal = status.Signal()
			}
			over()
		case "used":
			s.collected.Add(int64(number))
		case "left":
			s.left.Store(int32(number))
		case "socket":
			if number > 0 {
				fd = -number
			}
			select {
			case s.sockets <- fd:
			case <-s.stopped:
				unix.Close(fd)
			}
		}
	}
	s.supervisor.Wait()
	over()
	close(s.gone)
}

// WithPort puts the port where the command wants it.
func WithPort(command []string, port uint16) []string {
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
		if !s.alive() { // its child may listen already, as a daemon's does
			select {
			case <-s.exited:
				return s.whyEnded()
			case <-ctx.Done():
				return fmt.Errorf("%s: waiting for its end: %w", s.Spec.Name, ctx.Err())
			}
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
			err := s.whyDeaf(time.Since(start))
			if s.addr = s.findListener(); s.addr.IsValid() { // at the last moment
				return nil
			}
			return err
		}
	}
}

// alive reports whether the process that was started still runs. Exited comes
// a little later, when its output was read.
func (s *Subject) alive() bool {
	p, err := proc.Read(s.Pid())
	return err == nil && p.Parent == s.supervisor.Process.Pid && !p.Ended()
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
	left, _ := family(s.supervisor.Process.Pid)
	if err := s.inUse(); err != nil && len(left) == 0 {
		return err
	}
	return &EndedError{s.Spec, s.ending, len(left) > 0, s.Output()}
}

// whyDeaf is the error of a server that runs and does not listen.
func (s *Subject) whyDeaf(waited time.Duration) error {
	e := &DeafError{Spec: s.Spec, Waited: waited, Output: s.Output()}
	for _, table := range []struct {
		read    func(int) ([]proc.Socket, error)
		state   proc.State
		instead Instead
	}{{proc.Table, proc.Listen, OtherPort}, {proc.UDP, proc.Closed, UDP}} {
		sockets, _ := table.read(s.Pid())
		for _, socket := range sockets {
			if socket.State != table.state || e.Instead == OtherAddress {
				continue
			}
			if owned, _ := s.owns(socket.Inode); !owned {
				continue
			}
			if e.Instead == "" {
				e.Instead, e.Where = table.instead, socket.Local
			}
			if socket.Local.Port() == s.Spec.Port && table.instead == OtherPort {
				e.Instead, e.Where = OtherAddress, socket.Local
			}
		}
	}
	if err := s.inUse(); err != nil && e.Instead == "" {
		return err
	}
	return e
}

// inUse is a *PortError if a stranger has the server's port.
func (s *Subject) inUse() error {
	if s.Spec.Namespace {
		return nil
	}
	err := inUse(s.Spec.Port)
	taken, _ := err.(*PortError)
	members, _ := family(s.supervisor.Process.Pid)
	if taken != nil && slices.ContainsFunc(members, func(p proc.Process) bool { return p.Pid == taken.Pid }) {
		return nil
	}
	return err
}
