//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

// deaf is a server that accepts nobody and takes no notice of SIGTERM.
func deaf() {
	signal.Ignore(unix.SIGTERM)
	if _, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1]); err != nil {
		os.Exit(1)
	}
	select {}
}

// These commands have a server, and wait for it.
var withServer = map[string][]string{
	"verify":  {"verify"},
	"bench":   {"bench", "--clients=1"},
	"compare": {"compare"},
	"trace":   {"trace"},
	"watch":   {"trace", "--watch"},
	"witness": {"verify", "--check=bytes", "--trace-failures"},
}

// One rule for all commands: at the first signal they end within 2 s, whatever
// the server does, and leave nothing behind.
func TestInterruptedAtADeafServer(t *testing.T) {
	for name, args := range withServer {
		for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
			t.Run(name+"/"+unix.SignalName(sig), func(t *testing.T) {
				t.Parallel()
				lab := enters(t, exec.Command("lab", append(args, "--", "deaf", "{port}")...))
				family := startsServer(t, lab)
				lab.gets(sig)
				lab.endsSoon(2 * time.Second)
				if code := lab.cmd.ProcessState.ExitCode(); code != 130 && !(name == "watch" && code == 0) {
					t.Errorf("%v ended with %v, want 130; it printed %q", lab, lab.cmd.ProcessState, lab.notes.all())
				}
				gone(t, family)
			})
		}
	}
}

// The second signal ends them at once.
func TestInterruptedTwice(t *testing.T) {
	for name, args := range withServer {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := enters(t, exec.Command("lab", append(args, "--", "deaf", "{port}")...))
			family := startsServer(t, lab)
			lab.gets(unix.SIGINT)
			eventually(t, "the first is taken, and the second has its default effect", func() bool { return !catches(lab.pid(), unix.SIGINT) })
			lab.cmd.Process.Signal(unix.SIGINT) // it may have ended
			lab.endsSoon(300 * time.Millisecond)
			gone(t, family)
		})
	}
}

// Whoever should read our output, and does not, keeps nobody.
func TestInterruptedWhileNobodyReads(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"models", "diff select poll", "doctor", "version", "run --help", "verify --list",
		"verify --model=select --check=bytes/echo", "trace --model=select", "verify --model=select --check=bytes/echo --json",
		"verify --model=select --check=bytes/echo --report=junit=" + fifo,
		"bench --model=select --clients=1 --duration=50ms --report=json=" + fifo,
		"compare --model=select --check=bytes/echo --html=" + fifo,
		"trace --model=select --output=" + fifo,
		"verify --model=select --replay=" + fifo,
	} {
		t.Run(strings.ReplaceAll(strings.ReplaceAll(line, fifo, "FIFO"), "/", "-"), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("lab", strings.Fields(line)...)
			cmd.Stdout = fullPipe(t)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lab := &actor{t: t, cmd: cmd, screen: newScreen(), notes: newScreen(), ended: make(chan struct{})}
			go func() {
				cmd.Wait()
				lab.exit()
			}()
			t.Cleanup(lab.sweep)
			eventually(t, "it waits for its reader", func() bool {
				threads, err := proc.Threads(lab.pid())
				if err != nil {
					t.Fatalf("%v has ended with %v", lab, cmd.ProcessState)
				}
				return slices.ContainsFunc(threads, func(thread proc.Thread) bool {
					call, err := thread.Syscall()
					return err == nil && (call.Number == unix.SYS_WRITE && call.Args[0] == 1 || call.Number == unix.SYS_OPENAT)
				})
			})
			lab.gets(unix.SIGINT)
			lab.endsSoon(2 * time.Second)
		})
	}
}

// fullPipe is the end of a pipe into which nothing fits.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close(); to.Close() })
	to.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)) // nobody tells when it is full
	for err == nil {
		_, err = to.Write(make([]byte, 4096))
	}
	to.Fd() // it blocks, as a terminal's does
	return to
}

// startsServer waits until the server of a command is there, and returns all
// that the command has started.
func startsServer(t *testing.T, lab *actor) (family []procfs.ProcStat) {
	t.Helper()
	eventually(t, "the server listens", func() bool {
		select {
		case <-lab.ended:
			t.Fatalf("%v ended with %v: %s", lab, lab.cmd.ProcessState, lab.notes.all())
		default:
		}
		family = descendants(t, lab.pid())
		return slices.ContainsFunc(family, func(p procfs.ProcStat) bool {
			all, _ := proc.Table(p.PID)
			return p.Comm == "deaf" && slices.ContainsFunc(all, func(s proc.Socket) bool {
				fd, _ := proc.Descriptor(p.PID, s.Inode)
				owned := fd >= 0
				return owned && s.State == proc.Listen
			})
		})
	})
	return family
}

// catches reports whether a process has a handler for a signal: SigCgt in
// proc_pid_status(5).
func catches(pid int, sig syscall.Signal) bool {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // none: it has ended
	_, mask, _ := strings.Cut(string(status), "SigCgt:")
	var caught uint64
	fmt.Sscanf(mask, "%x", &caught)
	return caught&(1<<(sig-1)) != 0
}

// endsSoon waits until it has ended, and no longer.
func (a *actor) endsSoon(most time.Duration) {
	a.t.Helper()
	start := time.Now()
	select {
	case <-a.ended:
	case <-time.After(patience):
		a.t.Fatalf("%v does not end", a)
	}
	const starved = 500 * time.Millisecond // on a busy machine
	if took := time.Since(start); took > most+starved {
		a.t.Errorf("%v took %v to end, want at most %v", a, took.Round(time.Millisecond), most)
	}
}
