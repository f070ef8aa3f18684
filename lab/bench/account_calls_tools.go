package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

// perf lets the kernel count: perf-stat(1). It starts and stops when we say so.
type perf struct {
	attached
	path         string
	cmd          *exec.Cmd
	say          *os.File
	acknowledges *bufio.Reader
	pipes        []io.Closer
	out          bytes.Buffer
}

func (p *perf) name() string { return "perf" }

// counted are the calls that have a counter of their own; all others share one.
const counted = `read write readv writev recvfrom sendto recvmsg sendmsg
	accept accept4 close shutdown select pselect6 poll ppoll epoll_wait epoll_pwait epoll_ctl
	io_uring_enter futex clone clone3 wait4 waitid nanosleep sched_yield`

const allCalls = "raw_syscalls:sys_enter"

func (p *perf) begin(pids []int) error {
	p.out.Reset()
	control, say, err := os.Pipe()
	if err != nil {
		return err
	}
	acknowledges, acknowledge, err := os.Pipe()
	if err != nil {
		control.Close()
		say.Close()
		return err
	}
	defer control.Close()
	defer acknowledge.Close()
	events := allCalls
	for name := range strings.FieldsSeq(counted) {
		events += ",syscalls:sys_enter_" + name
	}
	p.cmd = exec.Command(p.path, "stat", "-x", ",", "-e", events, "-p", joined(pids), "--delay=-1", "--control=fd:3,4")
	p.cmd.ExtraFiles = []*os.File{control, acknowledge}
	p.cmd.Env = append(os.Environ(), "LC_ALL=C")
	p.cmd.Stderr = &p.out
	p.say, p.acknowledges, p.pipes = say, bufio.NewReader(acknowledges), []io.Closer{say, acknowledges}
	if err := p.cmd.Start(); err != nil {
		p.closeAll()
		return err
	}
	acknowledges.SetReadDeadline(time.Now().Add(5 * time.Second))
	if err := p.tell("enable"); err != nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.closeAll()
		return fmt.Errorf("perf: %s", firstLine(p.out.String()))
	}
	return nil
}

func (p *perf) tell(word string) error {
	if _, err := p.say.WriteString(word + "\n"); err != nil {
		return err
	}
	_, err := p.acknowledges.ReadString('\n')
	return err
}

func (p *perf) closeAll() {
	for _, c := range p.pipes {
		c.Close()
	}
}

func (p *perf) end() (map[string]float64, error) {
	defer p.closeAll()
	p.tell("disable")
	p.cmd.Process.Signal(unix.SIGINT) // it prints then
	p.cmd.Wait()
	return parsePerf(p.out.String())
}

// parsePerf reads "count,,event,…" of each line: perf-stat(1), CSV FORMAT.
func parsePerf(text string) (map[string]float64, error) {
	calls, others := map[string]float64{}, 0.0
	total := false
	for line := range strings.Lines(text) {
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
		return nil, fmt.Errorf("perf: %s", firstLine(text))
	}
	if others > 0 {
		calls["others"] = others
	}
	return calls, nil
}

// strace stops the server at each call: strace(1), -c.
type strace struct {
	attached
	path string
	cmd  *exec.Cmd
	out  bytes.Buffer
}

func (s *strace) name() string { return "strace" }

func (s *strace) begin(pids []int) error {
	s.out.Reset()
	s.cmd = exec.Command(s.path, "-f", "-q", "-c", "-U", "calls,name", "-p", joined(pids))
	s.cmd.Env = append(os.Environ(), "LC_ALL=C")
	s.cmd.Stderr = &s.out
	if err := s.cmd.Start(); err != nil {
		return err
	}
	deadline := time.Now().Add(5 * time.Second)
	for slices.ContainsFunc(pids, untraced) {
		if time.Now().After(deadline) {
			s.cmd.Process.Kill()
			s.cmd.Wait()
			return fmt.Errorf("strace: %s", firstLine(s.out.String()))
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

func (s *strace) end() (map[string]float64, error) {
	s.cmd.Process.Signal(unix.SIGINT) // it lets go, and prints
	s.cmd.Wait()
	return parseStrace(s.out.String())
}

// parseStrace reads lines of a number and a name.
func parseStrace(text string) (map[string]float64, error) {
	calls := map[string]float64{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[1] == "total" {
			continue
		}
		if n, err := strconv.ParseFloat(fields[0], 64); err == nil {
			calls[fields[1]] += n
		}
	}
	if len(calls) == 0 {
		return nil, fmt.Errorf("strace: %s", firstLine(text))
	}
	return calls, nil
}
