package trace

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

// strace is the Source for any command, where strace(1) is installed: the
// server is started under it. It stops a thread at each call, twice, so the
// server is slower than alone; what happens stays the same.
//
// strace does not say whether a call slept. One that a server may wait in did
// if it took a millisecond: those that need not wait take microseconds, and
// scenes pause for longer. On a busy machine that may be wrong.
type strace struct {
	server string // its name
	output *os.File
	tracer int // the pid of strace; 0: not known
}

const sleptAtLeast = time.Millisecond

func watchStrace() Source { return &strace{} }

// BestCalls is the best Source for a server here, for Options.Calls: our own
// models report their calls; of others strace tells, if it is installed and
// allowed to; else they are sampled.
func BestCalls(server subject.Spec) string {
	if server.Kind == "model" {
		return "probes"
	}
	if exec.Command("strace", "-o", os.DevNull, "-e", "trace=none", "true").Run() == nil {
		return "strace"
	}
	return "proc"
}

// traced are the calls that are asked for. The ? lets strace pass over a name
// that this machine does not have.
var traced = []string{
	"socket", "bind", "listen", "accept", "accept4", "connect", "shutdown",
	"read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg", "sendfile", "close",
	"select", "pselect6", "poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_pwait2", "io_uring_enter",
	"fork", "vfork", "clone", "clone3", "wait4", "waitid",
}

// Prepare puts strace before the command. With -DD the server stays our own
// child, and strace is its grandchild.
func (s *strace) Prepare(spec *subject.Spec) error {
	path, err := exec.LookPath("strace")
	if err != nil {
		return errors.New("strace is not installed; apt-get install strace, or let /proc be sampled instead")
	}
	if len(spec.Command) == 0 {
		return errors.New("strace: no command was given")
	}
	if _, err := exec.LookPath(spec.Command[0]); err != nil { // or it is strace who complains
		return &subject.CommandError{Command: spec.Command[0], Err: err}
	}
	if s.output, err = os.CreateTemp("", "lab-strace-"); err != nil {
		return err
	}
	spec.Name = cmp.Or(spec.Name, filepath.Base(spec.Command[0]))
	s.server = spec.Name
	program := strings.Replace(spec.Command[0], "/proc/self/", fmt.Sprintf("/proc/%d/", os.Getpid()), 1) // not strace's
	spec.Command = slices.Concat([]string{
		path, "-DD", "-f", "-yy", "-ttt", "-T", "-s", "32", "-e", "signal=none", "-o", s.output.Name(),
		"-e", "trace=?" + strings.Join(traced, ",?"), "--", program,
	}, spec.Command[1:])
	return nil
}

// Attach removes the file: strace has it open, and so have we.
func (s *strace) Attach(server *subject.Subject) error {
	s.tracer = int(proc.Number(server.Pid(), "status", "TracerPid:"))
	return os.Remove(s.output.Name())
}

// Close waits for strace, which ends after the last process that it follows,
// and is then ours to collect.
func (s *strace) Close() {
	for start := time.Now(); s.tracer > 0 && time.Since(start) < time.Second; time.Sleep(time.Millisecond) {
		if pid, err := unix.Wait4(s.tracer, nil, unix.WNOHANG, nil); pid != 0 && err != unix.EINTR {
			break
		}
	}
	s.tracer = 0
	if s.output != nil {
		os.Remove(s.output.Name()) // if the server never listened
		s.output.Close()
		s.output = nil
	}
}

func (s *strace) Collect(number func(client netip.AddrPort) int) (Calls, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", s.output.Fd()))
	if err != nil {
		return Calls{}, fmt.Errorf("strace: %w", err)
	}
	p := newStraceParser(s.server)
	for line := range bytes.Lines(text) {
		whole, ended := bytes.CutSuffix(line, []byte("\n"))
		if !ended { // the call that the last thread is in
			whole = append(whole, unfinished...)
		}
		p.line(string(whole))
	}
	return p.tell(number), nil
}
