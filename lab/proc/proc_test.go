package proc

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// eventually asks until the answer is yes: the kernel does not tell when.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !yes(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s still not: %s", what)
		}
	}
}

func listen(t *testing.T, addr string) (l net.Listener, port uint16) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("%v; enable IPv6 on lo to run this", err)
	}
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().(*net.TCPAddr).AddrPort().Port()
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// The kernel tells the same of sockets through sock_diag as through its table:
// one that listens, accepted and waiting clients, what they sent, and one that
// is gone.
func TestDiagAndTable(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		t.Run(addr, func(t *testing.T) {
			l, port := listen(t, addr)
			dial(t, l)
			accepted, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer accepted.Close()
			dial(t, l).Write([]byte("hello\n"))
			dial(t, l).Close()
			eventually(t, "both say the same of four sockets", func() bool {
				table, err := Table(os.Getpid())
				if err != nil {
					t.Fatal(err)
				}
				table = slices.DeleteFunc(table, func(s Socket) bool { return s.Local.Port() != port })
				ours, err := diag(port, anyState...)
				if err != nil {
					t.Fatal(err)
				}
				for i := range ours {
					ours[i].Room = 0 // the table does not tell
				}
				for _, list := range [][]Socket{table, ours} {
					slices.SortFunc(list, func(a, b Socket) int { return a.Remote.Compare(b.Remote) })
				}
				return len(ours) == 4 && slices.Equal(table, ours)
			})
		})
	}
}

// A connection that is not accepted yet is in no program's hands.
func TestWaitsToBeAccepted(t *testing.T) {
	l, port := listen(t, "127.0.0.1:0")
	client := dial(t, l)
	client.Write([]byte("hello"))
	eventually(t, "a client and a queue of one", func() bool {
		var waiting, queue int
		sockets, err := Sockets(os.Getpid(), port)
		for _, s := range sockets {
			switch {
			case s.State == Listen:
				queue = s.Unread
			case s.State == Established && s.Inode == 0 && s.Unread == 5 && s.Remote.String() == client.LocalAddr().String():
				waiting++
			}
		}
		return err == nil && waiting == 1 && queue == 1
	})
}

func TestListener(t *testing.T) {
	_, port := listen(t, "127.0.0.1:0")
	us := os.Getpid()
	for ip, want := range map[string]int{"127.0.0.1": us, "0.0.0.0": us, "::": us, "127.0.0.2": 0, "::1": 0} {
		pid, name, taken := Listener(netip.AddrPortFrom(netip.MustParseAddr(ip), port))
		if pid != want || taken != (want != 0) || taken != (name != "") {
			t.Errorf("%s is held by pid %d %q %v, want pid %d", ip, pid, name, taken, want)
		}
	}
	everywhere, port := listen(t, ":0")
	if pid, _, _ := Listener(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)); pid != us {
		t.Errorf("%v is held by pid %d, want %d", everywhere.Addr(), pid, us)
	}
}

// A family is found, a zombie is told from who lives, and the sum adds up.
func TestFamily(t *testing.T) {
	shell := exec.Command("sh", "-c", `true & exec sleep 60`)
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	defer shell.Wait()
	defer shell.Process.Kill()
	var tree Tree
	eventually(t, "a sleeper and its zombie", func() bool {
		all, err := All()
		if err != nil {
			t.Fatal(err)
		}
		root := slices.IndexFunc(all, func(p Process) bool { return p.Pid == shell.Process.Pid })
		tree = Sum(Family(all, all[root]))
		return tree.Zombies == 1 && tree.Processes[0].Name == "sleep"
	})
	if p := tree.Processes; len(p) != 2 || p[0].Ended() || !p[1].Ended() || tree.Files < 3 || tree.RSS == 0 || tree.CPU == 0 {
		t.Errorf("this is no family: %+v", tree)
	}
}

// A thread that sleeps in a call says in which one.
func TestThread(t *testing.T) {
	sleeper := exec.Command("sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer sleeper.Wait()
	defer sleeper.Process.Kill()
	pid := sleeper.Process.Pid
	eventually(t, "it sleeps", func() bool {
		threads, err := Threads(pid)
		if err != nil || len(threads) != 1 {
			t.Fatal(threads, err)
		}
		call, err := threads[0].Syscall()
		return err == nil && call.Number == unix.SYS_CLOCK_NANOSLEEP && threads[0].State() == 'S'
	})
	thread := ThreadOf(pid, pid)
	if voluntary, _ := thread.Switches(); voluntary == 0 {
		t.Error("it sleeps, and has never given up its CPU")
	}
	if thread.Schedule().Ran == 0 || thread.Traced() || Number(pid, "smaps_rollup", "Rss:") == 0 {
		t.Errorf("it ran %+v; traced: %v", thread.Schedule(), thread.Traced())
	}
	if children := ThreadOf(os.Getpid(), os.Getpid()).Children(); len(children) > 1 {
		t.Errorf("we have children %v", children)
	}
}

func TestParseSyscall(t *testing.T) {
	for text, want := range map[string]Syscall{
		"": {Number: -1}, "running\n": {Number: -1}, "-1 0x7ffd 0x7f\n": {Number: -1, Args: [6]uint64{0x7ffd, 0x7f}},
		"7 0x1 0x7ffd 0x3 0x0 0x0 0xff 0x7ffe 0x7f\n": {7, [6]uint64{1, 0x7ffd, 3, 0, 0, 0xff}, 0x7ffe, 0x7f},
	} {
		if got := parseSyscall([]byte(text)); got != want {
			t.Errorf("%q is read as %+v, want %+v", text, got, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat([]byte("7 (a) b (c) S 1 6 5 0 -1 4194560 1 0 0 0 10 20 30 40 20 0 3 0 99 4096 2 18446744073709551615\n"))
	want := Process{
		Pid: 7, Parent: 1, Group: 6, Session: 5, Name: "a) b (c", State: 'S',
		CPU: 300 * time.Millisecond, ChildrenCPU: 700 * time.Millisecond,
		User: 400 * time.Millisecond, System: 600 * time.Millisecond,
		Threads: 3, Born: 99, RSS: 2 * int64(os.Getpagesize()),
	}
	if got != want || err != nil {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func FuzzParseStat(f *testing.F) {
	self, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(self)
	f.Add([]byte("7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 10 20 30 40 20 0 3 0 99 4096 2 18446744073709551615"))
	f.Add([]byte("1 () Z"))
	f.Fuzz(func(t *testing.T, line []byte) {
		p, err := parseStat(line)
		if err != nil && (!errors.Is(err, errStat) || p != Process{}) {
			t.Errorf("%+v, %v", p, err)
		}
		rest, found := bytes.CutPrefix(line[bytes.Index(line, []byte(" ("))+1:], []byte("("+p.Name+") "))
		if err == nil && (!found || bytes.TrimSpace(rest)[0] != p.State) {
			t.Errorf("name %q and state %q are not in %q", p.Name, p.State, line)
		}
	})
}

// What the kernel answers is read whatever it is.
func FuzzDiagAnswer(f *testing.F) {
	f.Add(make([]byte, 16+72))
	f.Add(diagRequest{family: unix.AF_INET}.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _, err := diagAnswer(b)
		for _, s := range all {
			if err == nil && !s.Local.IsValid() {
				t.Errorf("%+v", s)
			}
		}
	})
}

func BenchmarkAll(b *testing.B) {
	for b.Loop() {
		if _, err := All(); err != nil {
			b.Fatal(err)
		}
	}
}
