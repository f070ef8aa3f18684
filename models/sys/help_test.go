package sys_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// patience is how long an event may take on the slowest machine.
const patience = 10 * time.Second

// must fails the test on the error of a step that is not under test.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// within fails the test if happened does not become true.
func within(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for start := time.Now(); !happened(); runtime.Gosched() {
		if time.Since(start) > patience {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// receive takes what must come, and names it if it does not.
func receive[T any](t *testing.T, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("after %v still not: %s", patience, what)
	}
	return v
}

// lacking ends a test that this machine cannot run: in CI that is a failure.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// nothingLeaks compares the descriptors at the end of the test with those at
// its beginning.
func nothingLeaks(t *testing.T) {
	t.Helper()
	before := descriptors(t)
	t.Cleanup(func() {
		for fd, what := range descriptors(t) {
			if before[fd] != what {
				t.Errorf("descriptor %s is left behind: %s", fd, what)
			}
		}
	})
}

func descriptors(t *testing.T) map[string]string {
	t.Helper()
	fds := map[string]string{}
	for _, link := range must[[]string](t)(filepath.Glob("/proc/self/fd/*")) {
		if what, err := os.Readlink(link); err == nil { // else it was Glob's own
			fds[filepath.Base(link)] = what
		}
	}
	return fds
}

// alone runs the test that calls it once more in a process of its own, and is
// true there: what the test does to its process, it does to no other test.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv("TEST_ALONE") == t.Name() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "TEST_ALONE="+t.Name())
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "--- SKIP: "+t.Name()) {
		t.Skipf("in a process of its own:\n%s", out)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a process of its own: %v\n%s", err, out)
	}
	return false
}

// TestMain lets the Go runtime open the descriptors that it keeps for itself.
func TestMain(m *testing.M) {
	lfd, err := sys.Listen(loopback, 1)
	if err != nil {
		panic(err)
	}
	listener, err := sys.NetListener(lfd)
	if err != nil {
		panic(err)
	}
	listener.Close()
	sys.Close(lfd)
	os.Exit(m.Run())
}

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// owned are the descriptors that are closed at the end of their test, if drop
// has not closed them before.
var owned = map[int]bool{}

func own(t *testing.T, fds ...int) {
	for _, fd := range fds {
		owned[fd] = true
		t.Cleanup(func() { drop(fd) })
	}
}

func drop(fd int) {
	if owned[fd] {
		delete(owned, fd)
		sys.Close(fd)
	}
}

// listen is a listening socket on loopback, closed at the end of the test.
func listen(t *testing.T) (lfd int, addr netip.AddrPort) {
	t.Helper()
	lfd = must[int](t)(sys.Listen(loopback, 20))
	own(t, lfd)
	return lfd, must[netip.AddrPort](t)(sys.LocalAddr(lfd))
}

// connection is both ends of a TCP connection, closed at the end of the test.
func connection(t *testing.T) (client, server int) {
	t.Helper()
	lfd, addr := listen(t)
	client = must[int](t)(sys.Connect(addr))
	server = must[int](t)(sys.Accept(lfd, 0))
	own(t, client, server)
	return client, server
}

// pipe is both ends of a pipe, closed at the end of the test.
func pipe(t *testing.T) (reader, writer int) {
	t.Helper()
	reader, writer, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	own(t, reader, writer)
	return reader, writer
}

// reset closes an owned fd so that the peer gets RST instead of FIN: socket(7), SO_LINGER.
func reset(t *testing.T, fd int) {
	t.Helper()
	err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	if err != nil {
		t.Fatal(err)
	}
	drop(fd)
}

// A sleeper is a thread that makes one call, in which it sleeps.
type sleeper struct {
	tid  int
	done chan error // what the call returned
}

// asleep starts the call on a thread of its own, and returns when it sleeps.
func asleep(t *testing.T, call func() error) *sleeper {
	t.Helper()
	s := &sleeper{done: make(chan error, 1)}
	tid := make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with us
		tid <- unix.Gettid()
		s.done <- call()
	}()
	s.tid = <-tid
	s.untilAsleep(t)
	return s
}

// untilAsleep waits until the kernel says that the thread sleeps in its call:
// proc_pid_syscall(5). A Go thread that sleeps for the runtime does so in
// futex(2).
func (s *sleeper) untilAsleep(t *testing.T) {
	t.Helper()
	within(t, "the call sleeps", func() bool {
		select {
		case err := <-s.done:
			t.Fatalf("the call returned instead of sleeping: %v", err)
		default:
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", s.tid))
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOENT) {
			lacking(t, "cannot see in which call a thread sleeps: "+err.Error())
		}
		var call int
		_, err = fmt.Sscan(string(text), &call) // or "running"
		return err == nil && call != unix.SYS_FUTEX
	})
}

// interrupt sends the sleeping thread signals, a few, one after the other, and
// waits after each one until it has been handled and the thread sleeps again.
func (s *sleeper) interrupt(t *testing.T) {
	t.Helper()
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, unix.SIGUSR1)
	defer signal.Stop(handled)
	for range 5 {
		if err := unix.Tgkill(os.Getpid(), s.tid, unix.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		receive(t, "the signal is handled", handled)
		s.untilAsleep(t)
	}
}

// returned is what the call returned, which it must now do.
func (s *sleeper) returned(t *testing.T) error {
	t.Helper()
	return receive(t, "the call returns", s.done)
}

// says checks an error's whole text and its cause.
func says(t *testing.T, err error, text string, cause error) {
	t.Helper()
	if err == nil || err.Error() != text {
		t.Errorf("the error is %q, want %q", fmt.Sprint(err), text)
	}
	if !errors.Is(err, cause) {
		t.Errorf("the cause of %q is not %v", fmt.Sprint(err), cause)
	}
}
