package trace

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"socketlab/lab/subject"
)

// strace is the callSource for any command, where strace(1) is installed: the
// server is started under it. It stops a thread at each call, twice, so the
// server is slower than alone; what happens stays the same.
//
// strace writes into a FIFO: if we are slow it waits for us, and no disk can be
// full. It does not say whether a call slept: see asleepIn.
type strace struct {
	folder string // of the FIFO; "": it is removed
	path   string // of the FIFO
	output *os.File
	half   []byte // of a line
	buffer []byte
	done   chan struct{} // nobody reads any more
	*straceParser
}

func watchStrace() callSource { return &strace{} }

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
	spec.Name = cmp.Or(spec.Name, filepath.Base(spec.Command[0]))
	s.straceParser = newStraceParser(spec.Name)
	if err := s.open(); err != nil {
		return fmt.Errorf("no place for what strace tells: %w; set TMPDIR to a folder that can be written", err)
	}
	program := strings.Replace(spec.Command[0], "/proc/self/", fmt.Sprintf("/proc/%d/", os.Getpid()), 1) // not strace's
	spec.Command = slices.Concat([]string{
		path, "-DD", "-f", "-yy", "-ttt", "-T", "-s", "32", "-e", "signal=none", "-o", s.path,
		"-e", "trace=?" + strings.Join(traced, ",?"), "--", program,
	}, spec.Command[1:])
	return nil
}

// open makes the FIFO. We have it open for writing too, so that it has no end
// before we say so.
func (s *strace) open() (err error) {
	if s.folder, err = os.MkdirTemp("", "lab-strace-"); err != nil {
		return err
	}
	s.path = filepath.Join(s.folder, "calls")
	if err := unix.Mkfifo(s.path, 0o600); err != nil {
		return err
	}
	s.output, err = os.OpenFile(s.path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if open, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); open == 1 { // else we have rights, and our /proc is closed
		s.remove() // nothing stays behind, however this ends
		s.path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), s.output.Fd())
	}
	s.buffer, s.done = make([]byte, 256<<10), make(chan struct{})
	go s.follow()
	return nil
}

// follow reads until Close.
func (s *strace) follow() {
	defer close(s.done)
	pipe, err := s.output.SyscallConn()
	if err != nil {
		return
	}
	pipe.Read(func(fd uintptr) bool {
		s.read(int(fd))
		return false // and waits for more
	})
}

// catchUp reads what is there.
func (s *strace) catchUp() {
	if s.output == nil {
		return
	}
	if pipe, err := s.output.SyscallConn(); err == nil {
		pipe.Control(func(fd uintptr) { s.read(int(fd)) })
	}
}

// read takes all that is there. A line without an end is a call that has not
// returned; when more of it comes it is read again as a whole, and is still the
// same call.
func (s *strace) read(fd int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		n, err := unix.Read(fd, s.buffer)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			break
		}
		text := append(s.half, s.buffer[:n]...)
		whole := bytes.LastIndexByte(text, '\n') + 1
		for line := range bytes.Lines(text[:whole]) {
			s.line(string(bytes.TrimSuffix(line, []byte("\n"))))
		}
		s.half = slices.Clone(text[whole:])
	}
	if len(s.half) > 0 {
		s.line(string(s.half) + unfinished)
	}
	s.nameForks()
}

func (s *strace) finish() {}

func (s *strace) log() *account { return &s.account }

// Attach removes the FIFO: strace has it open, and so have we.
func (s *strace) Attach(*subject.Subject) error {
	s.remove()
	return nil
}

func (s *strace) remove() {
	if s.folder != "" {
		os.RemoveAll(s.folder)
		s.folder = ""
	}
}

func (s *strace) Close() {
	s.remove() // if the server never listened
	if s.output != nil {
		s.output.Close()
		<-s.done
		s.output = nil
	}
}
