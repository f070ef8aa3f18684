//go:build linux

package thread_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/internal/modeltest"
	"socketlab/models/session"
	"socketlab/models/thread"
)

// TestMain is the server too: threads are counted best in a process that does
// nothing else.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_SERVE") == "" {
		os.Exit(m.Run())
	}
	var most int
	if n, _ := fmt.Sscan(os.Getenv("TEST_MAX_THREADS"), &most); n == 1 {
		debug.SetMaxThreads(most)
	}
	err := thread.Serve(models.Job{Listener: 3, Service: session.Service{Name: "echo"}, Keyboard: -1, Screen: -1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A server is the page in a process of its own.
type server struct {
	*testing.T
	addr string
	cmd  *exec.Cmd
	said bytes.Buffer // on standard error; complete when it has ended
}

func serve(t *testing.T, program string, env ...string) *server {
	t.Helper()
	lfd, addr := modeltest.Listen(t, 128)
	listener := os.NewFile(uintptr(lfd), "listener")
	defer listener.Close() // the server has its own
	v := &server{T: t, addr: addr, cmd: exec.CommandContext(t.Context(), program)}
	v.cmd.Env = append(append(os.Environ(), "TEST_SERVE=1", "GORACE=atexit_sleep_ms=0"), env...)
	v.cmd.ExtraFiles = []*os.File{listener}
	v.cmd.Stderr = &v.said
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.cmd.Process.Kill()
		v.cmd.Wait()
	})
	return v
}

// dial connects a client, and has it answered.
func (v *server) dial() net.Conn {
	v.Helper()
	c, err := v.connect()
	if err == nil {
		err = hears(c)
	}
	if err != nil {
		v.Fatal(err)
	}
	return c
}

// connect connects a client that says a word.
func (v *server) connect() (net.Conn, error) {
	c, err := net.Dial("tcp", v.addr)
	if err != nil {
		return nil, err
	}
	v.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(modeltest.Patience))
	_, err = c.Write([]byte("hello"))
	return c, err
}

func hears(c net.Conn) error {
	_, err := c.Read(make([]byte, 5))
	return err
}

// tasks counts the server's threads, and those of them that sleep in read(2).
func (v *server) tasks() (all, reading int) {
	v.Helper()
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", v.cmd.Process.Pid))
	for _, file := range files {
		text, err := os.ReadFile(file) // proc_pid_syscall(5): "0 0x7 …", or "running"
		if err == nil && strings.HasPrefix(string(text), fmt.Sprint(unix.SYS_READ, " ")) {
			reading++
		}
	}
	return len(files), reading
}

// until waits until so many threads sleep in read(2), and returns how many
// others there are.
func (v *server) until(readers int) (others int) {
	v.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); ; <-tick.C {
		all, reading := v.tasks()
		if reading == readers {
			return all - reading
		}
		if time.Since(start) > modeltest.Patience {
			v.Fatalf("after %v %d threads sleep in read, want %d", modeltest.Patience, reading, readers)
		}
	}
}

// Each client has a kernel thread of its own, which sleeps in read(2). The
// others are the Go runtime's, and there are not more of them for more clients.
func TestAThreadEach(t *testing.T) {
	v := serve(t, "/proc/self/exe")
	if file := fmt.Sprintf("/proc/%d/syscall", v.cmd.Process.Pid); !readable(file) {
		lacking(t, "cannot see in which call a thread sleeps: "+file)
	}
	const clients, spare = 100, 80 // the runtime keeps up to a few dozen at hand
	var conns []net.Conn
	for n := range clients {
		conns = append(conns, v.dial())
		if others := v.until(n + 1); others > spare {
			t.Fatalf("with %d clients there are %d threads besides theirs, want at most %d", n+1, others, spare)
		}
	}
	for n, c := range conns {
		c.Close()
		v.until(clients - n - 1)
	}
}

// At its limit the page accepts nobody, and uses no CPU, until a client leaves.
func TestLimit(t *testing.T) {
	const ours = 100 // descriptors of this process that are not clients
	files(t, thread.Model.Limit+ours)
	program := filepath.Join(t.TempDir(), "server")
	// without the race detector, which allows 8,128 goroutines
	if out, err := exec.Command("go", "test", "-c", "-o", program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	v := serve(t, program)
	first := v.dial()
	for range thread.Model.Limit - 1 {
		v.dial()
	}
	if threads, _ := v.tasks(); threads < thread.Model.Limit || threads > 9990 {
		t.Errorf("there are %d threads, want one for each of %d clients, and room for a few", threads, thread.Model.Limit)
	}
	next, err := v.connect() // it waits in the accept queue
	if err != nil {
		t.Fatal(err)
	}
	const quiet = 300 * time.Millisecond
	before := v.cpu()
	next.SetReadDeadline(time.Now().Add(quiet))
	if err := hears(next); err == nil {
		t.Errorf("client %d was served", thread.Model.Limit+1)
	}
	if used := v.cpu() - before; used > quiet/3 {
		t.Errorf("in %v of waiting it used %v of CPU", quiet, used)
	}
	first.Close()
	next.SetReadDeadline(time.Now().Add(modeltest.Patience))
	if err := hears(next); err != nil {
		t.Errorf("one has left, and the next: %v", err)
	}
}

// What the limit is for: a Go program that wants one thread too many is ended
// by its runtime, with all its clients.
func TestTheRuntimesLimit(t *testing.T) {
	v := serve(t, "/proc/self/exe", "TEST_MAX_THREADS=60")
	var err error
	for n := 0; err == nil && n < 200; n++ {
		var c net.Conn
		if c, err = v.connect(); err == nil {
			err = hears(c)
		}
	}
	if err == nil {
		t.Fatal("it serves 200 clients with at most 60 threads")
	}
	v.cmd.Wait()
	const words = "program exceeds 60-thread limit"
	if code := v.cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(v.said.String(), words) {
		t.Errorf("it ended with exit code %d and %.200q, want 2 and %q", code, v.said.String(), words)
	}
}

// cpu is how much CPU time the server has used, in steps of 10 ms.
func (v *server) cpu() time.Duration {
	v.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", v.cmd.Process.Pid))
	if err != nil {
		v.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	var user, system time.Duration // fields 14 and 15 of proc_pid_stat(5)
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return (user + system) * 10 * time.Millisecond
}

func readable(file string) bool {
	_, err := os.ReadFile(file)
	return err == nil
}

// files sees that this process may have so many descriptors, and its children.
func files(t *testing.T, n int) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < uint64(n) {
		lacking(t, fmt.Sprintf("at most %d descriptors are allowed here, want %d: ulimit -Hn", limit.Max, n))
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}

// lacking ends a test that this machine cannot run: in CI that is a failure.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}
