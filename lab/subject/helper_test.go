package subject

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

// helper is the environment variable that makes this test binary a server, or
// what a server starts: the name of one of the roles.
const helper = "SUBJECT_TEST_ROLE"

func init() { runtime.LockOSThread() } // main has the first thread

func TestMain(m *testing.M) {
	Child()
	role := os.Getenv(helper)
	if role == "" {
		os.Exit(m.Run())
	}
	go func() { // whatever a test forgets ends by itself
		time.Sleep(time.Minute)
		os.Exit(9)
	}()
	roles[role]()
}

var roles = map[string]func(){
	"listen":   func() { listen("127.0.0.1:" + port()); wait() },
	"listen6":  func() { listen("[::1]:" + port()); wait() },
	"anywhere": func() { listen(":" + port()); wait() },
	"v6only":   func() { listen("[::]:" + port()); wait() },
	"apart":    func() { listen("127.0.0.2:" + port()); wait() },
	"udp": func() {
		_, err := net.ListenPacket("udp", "127.0.0.1:"+port())
		must(err)
		wait()
	},
	"elsewhere": func() {
		fmt.Println("Server running")
		listen("127.0.0.1:0")
		wait()
	},
	"busy": func() {
		_, err := net.Listen("tcp", "127.0.0.1:"+port())
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	},
	"exit": func() {
		fmt.Println("on standard output")
		fmt.Fprintln(os.Stderr, "bad luck")
		os.Exit(3)
	},
	"suicide": func() { syscall.Kill(os.Getpid(), syscall.SIGKILL); wait() },
	"silent":  wait,
	"stubborn": func() {
		signal.Ignore(syscall.SIGTERM)
		start("stubbornchild", false)
		listen("127.0.0.1:" + port())
		wait()
	},
	"stubbornchild": func() { signal.Ignore(syscall.SIGTERM); wait() },
	"polite": func() {
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM)
		listen("127.0.0.1:" + port())
		<-term
		fmt.Println("goodbye")
	},
	"operator": func() {
		listen("127.0.0.1:" + port())
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			fmt.Printf("heard %q\n", lines.Text())
		}
		fmt.Println("no operator")
		wait()
	},
	"flags": func() {
		for fd := range 3 {
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			fmt.Println("nonblocking", flags&unix.O_NONBLOCK != 0, err)
		}
		listen("127.0.0.1:" + port())
		wait()
	},
	"flood": func() {
		listen("127.0.0.1:" + port())
		fmt.Println("first line")
		for range 2000 {
			os.Stdout.WriteString(strings.Repeat("x", 1023) + "\n")
		}
		fmt.Println("last line")
		wait()
	},
	"deaf": func() { // listens, and never accepts
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		must(err)
		var number int
		fmt.Sscan(port(), &number)
		must(unix.Bind(fd, &unix.SockaddrInet4{Port: number, Addr: [4]byte{127, 0, 0, 1}}))
		must(unix.Listen(fd, 5))
		wait()
	},
	"leaky": func() { // never closes
		l := listen("127.0.0.1:" + port())
		for {
			conn, err := l.Accept()
			must(err)
			kept = append(kept, conn)
		}
	},
	"zombies": func() {
		for range 3 {
			start("nothing", false)
		}
		listen("127.0.0.1:" + port())
		wait()
	},
	"nothing": func() {},
	"multiplies": func() {
		listen("127.0.0.1:" + port())
		for {
			start("nothing", false)
		}
	},
	"family": func() { // server, child, grandchild; the child in a session of its own
		start("parent", true)
		listen("127.0.0.1:" + port())
		wait()
	},
	"parent": func() { start("silent", false); wait() },
	"orphans": func() { // one orphan here and one in a new session
		must(start("forsake", false).Wait())
		must(start("forsakeapart", false).Wait())
		listen("127.0.0.1:" + port())
		wait()
	},
	"forsake":      func() { start("silent", false) },
	"forsakeapart": func() { start("silent", true) },
	"dying": func() { // its orphan ends when standard input does
		must(start("forsakereader", false).Wait())
		listen("127.0.0.1:" + port())
		wait()
	},
	"forsakereader": func() { start("reader", false) },
	"reader":        func() { bufio.NewReader(os.Stdin).ReadString(0) },
	"stray": func() { // at the end leaves a zombie in a session of its own, which nobody has seen alive
		listen("127.0.0.1:" + port())
		bufio.NewReader(os.Stdin).ReadString('\n')
		stray := start("nothing", true)
		must(unix.Waitid(unix.P_PID, stray.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil))
		fmt.Println(stray.Process.Pid)
	},
	"detaches": func() { // starts what hides in a session of its own, without an environment
		must(exec.Command("setsid", "--fork", "env", "-i", "sleep", "60").Run())
		listen("127.0.0.1:" + port())
		wait()
	},
	"leaderless": func() { // its first thread ends: TestMain has it
		l := listen("127.0.0.1:" + port())
		go func() {
			for {
				conn, err := l.Accept()
				must(err)
				io.Copy(conn, conn)
				conn.Close()
			}
		}()
		unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
	},
	"late":   func() { time.Sleep(time.Second); listen("127.0.0.1:" + port()); wait() },
	"daemon": func() { start("listen", true) },
	"burn": func() {
		listen("127.0.0.1:" + port())
		burn()
		must(start("burnchild", false).Wait())
		fmt.Println("burnt")
		wait()
	},
	"burnchild": burn,
	"files": func() {
		l := listen("127.0.0.1:" + port())
		for {
			conn, err := l.Accept()
			must(err)
			var limit unix.Rlimit
			must(unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
			fmt.Fprintln(conn, limit.Cur, limit.Max)
			conn.Close()
		}
	},
	"harness": func() { // a lab of its own, to be killed
		s, err := Start(context.Background(), Spec{
			Command: []string{os.Args[0]}, Env: []string{helper + "=" + os.Args[1]},
		})
		must(err)
		tree, err := s.Tree()
		must(err)
		for _, p := range tree.Processes {
			fmt.Println(p.Pid)
		}
		for {
			fmt.Println("started")
			time.Sleep(100 * time.Millisecond)
		}
	},
}

func port() string { return os.Args[len(os.Args)-1] }
func wait()        { select {} }

func listen(addr string) net.Listener {
	network := "tcp"
	if strings.HasPrefix(addr, "[::]") {
		network = "tcp6" // sets IPV6_V6ONLY
	}
	l, err := net.Listen(network, addr)
	must(err)
	kept = append(kept, l)
	return l
}

var kept []any // what the garbage collector would close

func burn() {
	for used := time.Duration(0); used < 50*time.Millisecond; {
		used, _ = proc.Clock(os.Getpid())
	}
}

// start starts this binary in another role, with the same standard files.
func start(role string, newSession bool) *exec.Cmd {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), helper+"="+role)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: newSession}
	must(cmd.Start())
	return cmd
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// spec is this test binary in one of the roles.
func spec(role string) Spec {
	return Spec{Name: role, Command: []string{os.Args[0], "{port}"}, Env: []string{helper + "=" + role, "GORACE=atexit_sleep_ms=0"}}
}

// begin starts a server that must start.
func begin(t *testing.T, s Spec) *Subject {
	t.Helper()
	subject, err := Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tree, err := subject.Tree()
		if err != nil {
			t.Error(err)
		}
		if _, err := subject.Stop(); err != nil {
			t.Error(err)
		}
		for _, p := range tree.Processes {
			if isAlive(p.Pid) {
				t.Errorf("after Stop pid %d (%q) is still there", p.Pid, p.Name)
			}
		}
	})
	return subject
}

// isAlive is false for a zombie.
func isAlive(pid int) bool {
	p, err := proc.Read(pid)
	return err == nil && !p.Ended()
}

// eventually asks until the answer is yes: for what happens in the kernel, or
// in a process that does not tell.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !yes() {
		select {
		case <-ctx.Done():
			t.Fatalf("after 10 s still not: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// prints waits until the subject has printed text.
func prints(t *testing.T, s *Subject, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := s.WaitOutput(ctx, func(out []byte) bool { return bytes.Contains(out, []byte(text)) })
	if err != nil {
		t.Fatalf("%v; it printed %q, not %q", err, s.Output(), text)
	}
}

func dial(t *testing.T, s *Subject) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
