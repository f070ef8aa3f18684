//go:build linux

package prefork_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/prefork"
	"socketlab/models/session"
	"socketlab/models/sys"
)

// patience is how long an event may take on the slowest machine.
const patience = 20 * time.Second

// TestMain is a worker of the page's too, a parent, and a process of the herd.
func TestMain(m *testing.M) {
	prefork.Child()
	herdChild()
	service := os.Getenv("TEST_SERVE")
	if service == "" {
		// A process under the race detector else sleeps for a second at its end.
		os.Setenv("GORACE", "atexit_sleep_ms=0")
		os.Exit(m.Run())
	}
	job := models.Job{Listener: 3, Service: session.Service{Name: service}, Keyboard: -1, Screen: -1}
	if service == "talk" {
		job.Keyboard, job.Screen = 0, 1
	}
	if err := prefork.Serve(job); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A server is the page in a process of its own, and its listening socket.
type server struct {
	*testing.T
	lfd      int
	addr     string
	cmd      *exec.Cmd
	keyboard io.Writer
	screen   io.Reader
}

func serve(t *testing.T, service string) *server {
	t.Helper()
	lfd, err := sys.Listen(netip.MustParseAddrPort("127.0.0.1:0"), 20)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := sys.LocalAddr(lfd)
	if err != nil {
		t.Fatal(err)
	}
	listener := os.NewFile(uintptr(lfd), "listener")
	v := &server{T: t, lfd: lfd, addr: addr.String(), cmd: exec.CommandContext(t.Context(), "/proc/self/exe")}
	v.cmd.Env = append(os.Environ(), "TEST_SERVE="+service)
	v.cmd.ExtraFiles = []*os.File{listener}
	v.cmd.Stderr = os.Stderr
	v.keyboard, err = v.cmd.StdinPipe()
	if err == nil {
		v.screen, err = v.cmd.StdoutPipe()
	}
	if err == nil {
		err = v.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.cmd.Process.Kill()
		v.cmd.Wait()
		listener.Close()
	})
	return v
}

func (v *server) dial() net.Conn {
	v.Helper()
	c, err := net.Dial("tcp", v.addr)
	if err != nil {
		v.Fatal(err)
	}
	v.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func (v *server) send(to io.Writer, text string) {
	v.Helper()
	if _, err := io.WriteString(to, text); err != nil {
		v.Fatal(err)
	}
}

func (v *server) expect(from io.Reader, text string) {
	v.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(from, got); err != nil || string(got) != text {
		v.Fatalf("got %q (%v), want %q", got[:n], err, text)
	}
}

func (v *server) echoes(c net.Conn) {
	v.Helper()
	v.send(c, "hello\n")
	v.expect(c, "hello\n")
}

// workers waits until there are as many workers as the page says, none of which
// is one of those who are gone.
func (v *server) workers(gone ...int) (pids []int) {
	v.Helper()
	within(v.T, fmt.Sprintf("%d workers", prefork.Model.Limit), func() bool {
		pids = children(v.T, v.cmd.Process.Pid)
		old := func(pid int) bool { return slices.Contains(gone, pid) }
		return len(pids) == prefork.Model.Limit && !slices.ContainsFunc(pids, old)
	})
	return pids
}

// children are the processes that a process has started: proc_tid_children(5).
func children(t *testing.T, parent int) (pids []int) {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", parent, task.Name()))
		for _, field := range strings.Fields(string(text)) {
			var pid int
			fmt.Sscan(field, &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

func within(t testing.TB, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !happened(); <-tick.C {
		if time.Since(start) > patience {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// whose is the worker that has the client at this address.
func (v *server) whose(c net.Conn) int {
	v.Helper()
	for _, pid := range children(v.T, v.cmd.Process.Pid) {
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		for _, fd := range fds {
			link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
			if link == fmt.Sprintf("socket:[%s]", inode(v.T, c)) {
				return pid
			}
		}
	}
	v.Fatal("no worker has this client")
	return 0
}

// inode is that of the server's end of a connection: proc_net_tcp(5).
func inode(t *testing.T, c net.Conn) string {
	t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	hex := func(addr net.Addr) string { return fmt.Sprintf("0100007F:%04X", addr.(*net.TCPAddr).Port) }
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 9 && f[1] == hex(c.RemoteAddr()) && f[2] == hex(c.LocalAddr()) {
			return f[9]
		}
	}
	t.Fatalf("the kernel has no connection with %v", c.LocalAddr())
	return ""
}

// A worker that dies takes its client with it and nobody else, and another one
// takes its place.
func TestWorkerIsReplaced(t *testing.T) {
	v := serve(t, "echo")
	v.workers()
	stays, unlucky := v.dial(), v.dial()
	v.echoes(stays)
	v.echoes(unlucky)
	keeps, killed := v.whose(stays), v.whose(unlucky)
	if err := unix.Kill(killed, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if n, err := unlucky.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("its client received %d bytes, want the end or a reset", n)
	}
	v.echoes(stays)
	var all []int
	for _, pid := range v.workers(killed) {
		if pid != keeps {
			unix.Kill(pid, unix.SIGKILL) // those who sleep in accept, too
			all = append(all, pid)
		}
	}
	v.workers(all...)
	v.echoes(stays)
	v.echoes(v.dial())
}

// One client more than workers waits, and is served when another one leaves.
func TestAllWorkersAreBusy(t *testing.T) {
	v := serve(t, "echo")
	var clients []net.Conn
	for range prefork.Model.Limit {
		c := v.dial()
		v.echoes(c)
		clients = append(clients, c)
	}
	next := v.dial()
	v.send(next, "hello\n")
	clients[3].Close()
	v.expect(next, "hello\n")
	for i, c := range clients {
		if i != 3 {
			v.echoes(c)
		}
	}
}

// What the operator types reaches those who are here, and not who comes later
// to the same worker.
func TestOperatorAndLaterClients(t *testing.T) {
	v := serve(t, "talk")
	witness := v.dial()
	v.expect(v.screen, "client 1 is here\n")
	for n := 2; n < 3*prefork.Model.Limit; n++ {
		c := v.dial()
		v.expect(v.screen, fmt.Sprintf("client %d is here\n", n))
		hello, late, then := fmt.Sprintf("hello %d\n", n), fmt.Sprintf("too late, %d\n", n), fmt.Sprintf("and then %d\n", n)
		v.send(v.keyboard, hello)
		v.expect(c, hello)
		v.send(c, "exit\n")
		v.send(v.keyboard, late+"@1 "+then)
		v.expect(witness, hello+late+then) // so the other workers have it as well
		v.expect(v.screen, fmt.Sprintf("client %d left\n", n))
	}
}

// The signal to stop reaches workers asleep in accept at once, and the others
// when their clients have left.
func TestStop(t *testing.T) {
	v := serve(t, "echo")
	c := v.dial()
	v.echoes(c)
	if err := sys.Shutdown(v.lfd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	within(t, "only the worker with a client is left", func() bool {
		return len(children(t, v.cmd.Process.Pid)) == 1
	})
	v.echoes(c)
	c.Close()
	if err := v.cmd.Wait(); err != nil {
		t.Errorf("Serve ended with %v", err)
	}
}

// However the parent ends, its workers do not survive it.
func TestParentIsKilled(t *testing.T) {
	v := serve(t, "echo")
	workers := v.workers()
	c := v.dial()
	v.echoes(c)
	v.cmd.Process.Kill()
	v.cmd.Wait()
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("the client received %d bytes, want the end or a reset", n)
	}
	for _, pid := range workers {
		within(t, fmt.Sprintf("worker %d is gone", pid), func() bool {
			name, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			return err != nil || !bytes.Contains(name, []byte("lab: one worker"))
		})
	}
}
