package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

// patience is how long a tool may take to begin, or to end.
const patience = 5 * time.Second

// A tool is a program that attaches to a server, and prints what it has counted
// on standard error when SIGINT ends it.
type tool struct {
	path string
	cmd  *exec.Cmd
	out  bytes.Buffer
}

func (t *tool) open() ([]string, error) { return nil, nil }
func (t *tool) close()                  {}
func (t *tool) name() string            { return filepath.Base(t.path) }

func (t *tool) prepare(args ...string) {
	t.out.Reset()
	t.cmd = exec.Command(t.path, args...)
	t.cmd.Env = append(os.Environ(), "LC_ALL=C")
	t.cmd.Stderr = &t.out
}

// giveUp ends a tool that does not do what it should. The error is what it said.
func (t *tool) giveUp() error {
	t.cmd.Process.Kill()
	t.cmd.Wait()
	return t.error()
}

func (t *tool) error() error { return fmt.Errorf("%s: %s", t.name(), firstLine(t.out.String())) }

// numbers ends the tool, and is what it has printed.
func (t *tool) numbers() string {
	t.cmd.Process.Signal(unix.SIGINT)
	t.cmd.Wait()
	return t.out.String()
}

// perf lets the kernel count: perf-stat(1). It starts and stops when we say so.
type perf struct {
	tool
	say          io.Writer
	acknowledges *bufio.Reader
}

// counted are the calls that have a counter of their own; all others share one.
const counted = `read write readv writev recvfrom sendto recvmsg sendmsg
	accept accept4 close shutdown select pselect6 poll ppoll epoll_wait epoll_pwait epoll_ctl
	io_uring_enter futex clone clone3 wait4 waitid nanosleep sched_yield`

const allCalls = "raw_syscalls:sys_enter"

func (p *perf) begin(pids []int) error {
	events := allCalls
	for name := range strings.FieldsSeq(counted) {
		events += ",syscalls:sys_enter_" + name
	}
	p.prepare("stat", "-x", ",", "-e", events, "-p", joined(pids), "--delay=-1", "--control=fd:0,1")
	say, sayErr := p.cmd.StdinPipe()
	acknowledges, err := p.cmd.StdoutPipe()
	if err := errors.Join(sayErr, err, p.cmd.Start()); err != nil {
		return err
	}
	p.say, p.acknowledges = say, bufio.NewReader(acknowledges)
	if p.tell("enable") != nil {
		return p.giveUp()
	}
	return nil
}

// tell has perf do something. If it does not say in time that it has, it is
// ended.
func (p *perf) tell(word string) error {
	late := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	if _, err := io.WriteString(p.say, word+"\n"); err != nil {
		return err
	}
	_, err := p.acknowledges.ReadString('\n')
	return err
}

// end reads "count,,event,…" of each line: perf-stat(1), CSV FORMAT.
func (p *perf) end() (map[string]float64, error) {
	p.tell("disable")
	calls, others := map[string]float64{}, 0.0
	total := false
	for line := range strings.Lines(p.numbers()) {
		fields := strings.Split(line, ",")
		if len(fields) < 3 {
			continue
		}
		n, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			continue // <not counted>: the call was never made
		}
		if fields[2] == allCalls {
			total = true
			others += n
		} else if name, ok := strings.CutPrefix(fields[2], "syscalls:sys_enter_"); ok && n > 0 {
			calls[name] = n
			others -= n
		}
	}
	if !total {
		return nil, p.error()
	}
	if others > 0 {
		calls["others"] = others
	}
	return calls, nil
}

// strace stops the server at each call: strace(1), -c.
type strace struct{ tool }

func (s *strace) begin(pids []int) error {
	s.prepare("-f", "-q", "-c", "-U", "calls,name", "-p", joined(pids))
	if err := s.cmd.Start(); err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	for slices.ContainsFunc(pids, untraced) {
		if time.Now().After(deadline) {
			return s.giveUp()
		}
		time.Sleep(time.Millisecond) // only /proc tells that strace has attached
	}
	return nil
}

// untraced reports whether a thread of the process is not traced yet.
func untraced(pid int) bool {
	threads, _ := proc.Threads(pid)
	return slices.ContainsFunc(threads, func(thread proc.Thread) bool { return !thread.Traced() && thread.State() != 0 })
}

// end reads lines of a number and a name.
func (s *strace) end() (map[string]float64, error) {
	calls := map[string]float64{}
	for line := range strings.Lines(s.numbers()) {
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[1] == "total" {
			continue
		}
		if n, err := strconv.ParseFloat(fields[0], 64); err == nil {
			calls[fields[1]] += n
		}
	}
	if len(calls) == 0 {
		return nil, s.error()
	}
	return calls, nil
}
