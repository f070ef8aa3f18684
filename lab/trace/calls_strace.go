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

// Prepare puts strace before the command. With -DD the server stays its
// supervisor's child, and strace is its grandchild.
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
		return fmt.Errorf("strace has no file to write to: %w; name a folder that can be written in TMPDIR", err)
	}
	name := s.output.Name()
	if open, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); open == 1 { // else we have rights, and our /proc is closed
		os.Remove(name) // nothing stays behind, however this ends
		name = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), s.output.Fd())
	}
	spec.Name = cmp.Or(spec.Name, filepath.Base(spec.Command[0]))
	s.server = spec.Name
	program := strings.Replace(spec.Command[0], "/proc/self/", fmt.Sprintf("/proc/%d/", os.Getpid()), 1) // not strace's
	spec.Command = slices.Concat([]string{
		path, "-DD", "-f", "-yy", "-ttt", "-T", "-s", "32", "-e", "signal=none", "-o", name,
		"-e", "trace=?" + strings.Join(traced, ",?"), "--", program,
	}, spec.Command[1:])
	return nil
}

func (s *strace) Attach(*subject.Subject) error { return nil }

func (s *strace) Close() {
	if s.output != nil {
		os.Remove(s.output.Name())
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
