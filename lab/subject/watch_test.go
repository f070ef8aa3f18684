package subject

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

func TestOperator(t *testing.T) {
	s := begin(t, spec("operator"))
	if tree := treeOf(t, s); len(tree.Processes) != 1 {
		t.Fatalf("want one process: %+v", tree)
	}
	if bytes.Contains(s.Stdout(), []byte("no operator")) {
		t.Fatal("standard input ended by itself")
	}
	io.WriteString(s.Operator(), "hello\nworld\n")
	prints(t, s, "heard \"hello\"\nheard \"world\"\n")
	s.Operator().Close()
	prints(t, s, "no operator")
}

// A server is given plain blocking pipes: O_NONBLOCK would be a surprise.
func TestStandardFilesBlock(t *testing.T) {
	s := begin(t, spec("flags"))
	prints(t, s, strings.Repeat("nonblocking false <nil>\n", 3))
}

func TestWaitOutputEnds(t *testing.T) {
	s := begin(t, spec("listen"))
	never := func([]byte) bool { return false }
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.WaitOutput(ctx, never); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v, want the deadline", err)
	}
	go s.Stop()
	mustSay(t, s.WaitOutput(t.Context(), never), "ended", "before it printed")
}

func TestMuchOutput(t *testing.T) {
	s := begin(t, spec("flood"))
	prints(t, s, "last line")
	out := s.Stdout()
	if !bytes.HasPrefix(out, []byte("first line\n")) || !bytes.Contains(out, []byte("bytes left out")) || len(out) > 2<<20 {
		t.Errorf("kept %d bytes of 2 MB: %.40q…", len(out), out)
	}
}

func TestOutputKeepsBothEnds(t *testing.T) {
	o := output{keep: 4}
	for _, text := range []string{"ab", "cdefgh", "ijkl"} {
		o.Write([]byte(text))
	}
	if got := string(o.Bytes()); got != "abcdefghijkl" {
		t.Errorf("got %q, and nothing need be lost", got)
	}
	o.Write([]byte("m"))
	if got := string(o.Bytes()); got != "abcd\n... 5 bytes left out ...\njklm" {
		t.Errorf("got %q", got)
	}
}

func TestTree(t *testing.T) {
	s := begin(t, spec("family"))
	var tree proc.Tree
	eventually(t, "three generations", func() bool {
		tree = treeOf(t, s)
		return len(tree.Processes) == 3
	})
	root, child, grandchild := tree.Processes[0], tree.Processes[1], tree.Processes[2]
	if root.Pid != s.Pid() || root.Parent != s.supervisor.Process.Pid || child.Parent != root.Pid || grandchild.Parent != child.Pid {
		t.Errorf("this is no family: %+v", tree.Processes)
	}
	if root.State == 'Z' || root.Threads < 2 || root.Files < 4 || root.CPU <= 0 || root.RSS < 1<<20 {
		t.Errorf("this is no Go program: %+v", root)
	}
	if tree.Threads < 6 || tree.Files < 10 || tree.RSS < 3<<20 || tree.CPU <= root.CPU || tree.Zombies != 0 {
		t.Errorf("the sums do not add up: %+v", tree)
	}
}

func TestTreeCountsDescriptors(t *testing.T) {
	s := begin(t, spec("leaky"))
	dial(t, s)
	eventually(t, "first client accepted", func() bool { return accepted(t, s) == 1 })
	before := treeOf(t, s)
	for range 10 {
		dial(t, s)
	}
	eventually(t, "ten more accepted", func() bool { return accepted(t, s) == 11 })
	if after := treeOf(t, s); after.Files != before.Files+10 {
		t.Errorf("%d descriptors, and %d after ten clients", before.Files, after.Files)
	}
}

// A server that starts processes without end is killed before the machine has
// no number left for another one.
func TestMost(t *testing.T) {
	multiplies := spec("multiplies")
	multiplies.Most = 20
	s := begin(t, multiplies)
	select {
	case <-s.Exited():
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on")
	}
	if ending, _ := s.Ending(); ending.Had <= multiplies.Most || ending.Signal != syscall.SIGKILL {
		t.Errorf("it ended with %v", ending)
	}
	eventually(t, "nobody is left", func() bool { return len(treeOf(t, s).Processes) == 0 })
}

func TestZombies(t *testing.T) {
	s := begin(t, spec("zombies"))
	eventually(t, "three zombies", func() bool { return treeOf(t, s).Zombies == 3 })
	if tree := treeOf(t, s); len(tree.Processes) != 4 {
		t.Errorf("want the zombies in the list: %+v", tree.Processes)
	}
}

func TestCPU(t *testing.T) {
	s := begin(t, spec("burn"))
	prints(t, s, "burnt")
	tree := treeOf(t, s)
	root := tree.Processes[0]
	if root.CPU < 50*time.Millisecond || root.ChildrenCPU < 40*time.Millisecond || tree.CPU != root.CPU+root.ChildrenCPU {
		t.Errorf("each burnt 50 ms: %+v", tree)
	}
	if root.CPU%(10*time.Millisecond) == 0 {
		t.Errorf("%v is clock ticks, not nanoseconds", root.CPU)
	}
}

// Orphans stay in the tree, also in a session of their own, and go with it.
func TestOrphans(t *testing.T) {
	s := begin(t, spec("orphans"))
	tree := treeOf(t, s)
	if len(tree.Processes) != 3 || tree.Zombies != 0 {
		t.Fatalf("want the server and two orphans: %+v", tree.Processes)
	}
	if _, err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, p := range tree.Processes {
		if _, err := os.Stat("/proc/" + strconv.Itoa(p.Pid)); err == nil {
			t.Errorf("pid %d is still there", p.Pid)
		}
	}
}

// An orphan that ends is collected, and is no zombie of the server's.
func TestOrphansAreCollected(t *testing.T) {
	s := begin(t, spec("dying"))
	tree := treeOf(t, s)
	if len(tree.Processes) != 2 {
		t.Fatalf("want the server and its orphan: %+v", tree.Processes)
	}
	orphan := tree.Processes[1].Pid
	s.Operator().Close()
	eventually(t, "the orphan is collected, and its CPU time not forgotten", func() bool {
		after := treeOf(t, s)
		if after.Zombies != 0 {
			t.Fatalf("a zombie: %+v", after)
		}
		_, err := proc.Read(orphan)
		return err != nil && after.CPU >= tree.CPU
	})
}

func TestSockets(t *testing.T) {
	s := begin(t, spec("deaf"))
	client := dial(t, s)
	io.WriteString(client, "hello")
	eventually(t, "a connection that is not accepted", func() bool {
		var waiting, queue int
		for _, socket := range socketsOf(t, s) {
			switch {
			case socket.State == proc.Listen:
				queue = socket.Unread
			case socket.State == proc.Established && socket.Inode == 0 && socket.Unread == 5 && socket.Remote.String() == client.LocalAddr().String():
				waiting++
			}
		}
		return waiting == 1 && queue == 1
	})
}

func TestCloseWait(t *testing.T) {
	s := begin(t, spec("leaky"))
	dial(t, s).Close()
	eventually(t, "CLOSE-WAIT", func() bool {
		for _, socket := range socketsOf(t, s) {
			if socket.State.String() == "CLOSE-WAIT" && socket.Inode != 0 {
				return true
			}
		}
		return false
	})
}

func TestStop(t *testing.T) {
	s := begin(t, spec("polite"))
	if _, over := s.Ending(); over {
		t.Fatal("it has ended before Stop")
	}
	ending, err := s.Stop()
	if err != nil || ending.Code != 0 || ending.Signal != 0 || ending.Took <= 0 || ending.Took > Grace {
		t.Errorf("it ended with %v, %v; want exit code 0", ending, err)
	}
	if again, err := s.Stop(); again != ending || err != nil {
		t.Errorf("the second Stop says %v, %v", again, err)
	}
	<-s.Exited()
	prints(t, s, "goodbye")
	if tree := treeOf(t, s); len(tree.Processes) != 0 {
		t.Errorf("left behind: %+v", tree)
	}
	if err := s.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a signal to nobody: %v", err)
	}
}

// What makes itself a daemon and ends before anybody has seen it is collected
// all the same.
func TestStopCollectsStrays(t *testing.T) {
	s := begin(t, spec("stray"))
	io.WriteString(s.Operator(), "\n")
	<-s.Exited()
	pid, err := strconv.Atoi(strings.TrimSpace(string(s.Stdout())))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if p, err := proc.Read(pid); err == nil {
		t.Errorf("left behind: %+v", p)
	}
}

func TestStopTheStubborn(t *testing.T) {
	t.Parallel()
	s := begin(t, spec("stubborn"))
	ending, err := s.Stop()
	if err != nil || ending.Signal != syscall.SIGKILL || ending.Took < Grace {
		t.Errorf("it ended with %v, %v; want SIGKILL after %v", ending, err, Grace)
	}
	if ending.Code != -1 || !strings.HasPrefix(ending.String(), "signal 9 (killed) after 2") {
		t.Errorf("it ended with %q", ending)
	}
}

// SIGTERM waits for a stopped process to go on; Stop does not wait for that.
func TestStopTheStopped(t *testing.T) {
	s := begin(t, spec("polite"))
	if err := s.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "stopped", func() bool { return treeOf(t, s).Processes[0].State == 'T' })
	if ending, err := s.Stop(); err != nil || ending.Code != 0 || ending.Took > Grace {
		t.Errorf("it ended with %v, %v; want exit code 0 before %v", ending, err, Grace)
	}
}

func TestEndsByItself(t *testing.T) {
	s := begin(t, spec("listen"))
	if err := s.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Exited()
	ending, over := s.Ending()
	if !over || ending.Signal != syscall.SIGKILL {
		t.Errorf("it ended with %v, %v", ending, over)
	}
	if stopped, err := s.Stop(); err != nil || stopped != ending {
		t.Errorf("Stop says %v, %v; it had ended with %v", stopped, err, ending)
	}
}

func TestKillAll(t *testing.T) {
	all := []*Subject{begin(t, spec("listen")), begin(t, spec("family")), begin(t, spec("stubborn"))}
	KillAll()
	for _, s := range all {
		<-s.Exited()
		if ending, _ := s.Ending(); ending.Signal != syscall.SIGKILL {
			t.Errorf("%s ended with %v", s.Spec.Name, ending)
		}
	}
}

// What a server starts stays in its tree, and ends with it, wherever it hides.
func TestDetached(t *testing.T) {
	s := begin(t, spec("detaches"))
	eventually(t, "the server and what has left it", func() bool {
		tree := treeOf(t, s)
		return len(tree.Processes) == 2 && slices.ContainsFunc(tree.Processes, func(p proc.Process) bool { return p.Name == "sleep" })
	})
	// that it is gone after Stop, begin sees
}

// A server whose first thread has ended goes on, and looks like a zombie.
func TestLeaderless(t *testing.T) {
	s := begin(t, spec("leaderless"))
	eventually(t, "its first thread has ended", func() bool { return proc.ThreadOf(s.Pid(), s.Pid()).State() == 'Z' })
	tree := treeOf(t, s)
	if p := tree.Processes[0]; p.Ended() || tree.Zombies != 0 || p.Files < 4 || p.RSS < 1<<20 || !s.alive() {
		t.Errorf("it lives, and looks like this: %+v", p)
	}
	if sockets := socketsOf(t, s); len(sockets) != 1 {
		t.Errorf("its sockets are %+v", sockets)
	}
	if owned, known := s.owns(socketsOf(t, s)[0].Inode); !owned || !known {
		t.Errorf("it owns its socket: %v, %v", owned, known)
	}
	dial(t, s)
	if _, over := s.Ending(); over {
		t.Error("it is said to have ended")
	}
}

// Whatever ends the lab, and however it cannot stop anything then, nothing is
// left behind.
func TestLabIsKilled(t *testing.T) {
	for _, role := range []string{"stubborn", "family", "detaches"} {
		for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGSEGV} {
			t.Run(role+"/"+unix.SignalName(sig), func(t *testing.T) {
				t.Parallel()
				lab := exec.Command(os.Args[0], role)
				lab.Env = append(os.Environ(), helper+"=harness")
				stdout, err := lab.StdoutPipe()
				if err == nil {
					err = lab.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				defer lab.Wait()
				defer lab.Process.Kill()
				var pids []string
				for lines := bufio.NewScanner(stdout); lines.Scan() && lines.Text() != "started"; {
					pids = append(pids, lines.Text())
				}
				if len(pids) < 2 {
					t.Errorf("want a server and its children, have %v", pids)
				}
				stdout.Close() // it gets SIGPIPE from that
				if sig != syscall.SIGPIPE {
					lab.Process.Signal(sig)
				}
				for _, text := range pids {
					pid, err := strconv.Atoi(text)
					if err != nil {
						t.Fatal(err)
					}
					eventually(t, "pid "+text+" has ended", func() bool { return !isAlive(pid) })
				}
			})
		}
	}
}

// A server that begins to listen when the time is up is not told that its port
// is its own.
func TestJustInTime(t *testing.T) {
	for i := range 20 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second+time.Duration(i)*2*time.Millisecond)
			defer cancel()
			s, err := Start(ctx, spec("late"))
			if err == nil {
				s.Stop()
			} else if deaf, ok := errors.AsType[*DeafError](err); !ok || deaf.Instead != "" {
				t.Errorf("the error is %T %v, want none or a *DeafError", err, err)
			}
		})
	}
}

// A server in a namespace of its own has any port, and is reached there.
func TestNamespace(t *testing.T) {
	here, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	for range 2 { // side by side, on a port that is taken here
		there := spec("leaky")
		there.Namespace = true
		there.Port = uint16(here.Addr().(*net.TCPAddr).Port)
		s, err := Start(t.Context(), there)
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		dialer := net.Dialer{Control: s.Control}
		conn, err := dialer.DialContext(t.Context(), "tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		eventually(t, "the client is accepted there", func() bool { return accepted(t, s) == 1 })
	}
}

func treeOf(t *testing.T, s *Subject) proc.Tree {
	t.Helper()
	tree, err := s.Tree()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func socketsOf(t *testing.T, s *Subject) []proc.Socket {
	t.Helper()
	sockets, err := s.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	return sockets
}

// accepted counts the connections in the server's hands.
func accepted(t *testing.T, s *Subject) (n int) {
	t.Helper()
	for _, socket := range socketsOf(t, s) {
		if socket.State == proc.Established && socket.Inode != 0 {
			n++
		}
	}
	return n
}

func BenchmarkTree(b *testing.B) {
	s, err := Start(b.Context(), spec("family"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Stop()
	for b.Loop() {
		if _, err := s.Tree(); err != nil {
			b.Fatal(err)
		}
	}
}

// Starting and stopping, well or badly, costs this process nothing for good.
func TestNothingIsKept(t *testing.T) {
	s := begin(t, spec("listen")) // what is opened once and for all, is
	s.Stop()
	self := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	before := self()
	for _, spec := range []Spec{spec("listen"), spec("orphans"), spec("exit"), {Command: []string{"no-such-server"}}} {
		if s, err := Start(t.Context(), spec); err == nil {
			s.Stop()
		}
	}
	if after := self(); after != before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
	if len(live.subjects) != 0 {
		t.Errorf("%d subjects are still on the list", len(live.subjects))
	}
}
