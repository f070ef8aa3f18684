//go:build linux

package prefork_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/internal/modeltest"
	"socketlab/models/prefork"
	"socketlab/models/session"
	"socketlab/models/sys"
)

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
	lfd, addr := modeltest.Listen(t, 20)
	listener := os.NewFile(uintptr(lfd), "listener")
	v := &server{T: t, lfd: lfd, addr: addr, cmd: exec.CommandContext(t.Context(), "/proc/self/exe")}
	v.cmd.Env = append(os.Environ(), "TEST_SERVE="+service)
	v.cmd.ExtraFiles = []*os.File{listener}
	v.cmd.Stderr = os.Stderr
	var err error
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

func (v *server) echoes(c net.Conn) {
	v.Helper()
	modeltest.Send(v.T, c, "hello\n")
	modeltest.Expect(v.T, c, "hello\n")
}

// workers waits until there are as many workers as the page says, none of which
// is one of those who are gone.
func (v *server) workers(gone ...int) (pids []int) {
	v.Helper()
	modeltest.Within(v.T, fmt.Sprintf("%d workers", prefork.Model.Limit), func() bool {
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

// whose is the worker that has the client at this address.
func (v *server) whose(c net.Conn) int {
	v.Helper()
	end := fmt.Sprintf("socket:[%s]", inode(v.T, c))
	for _, pid := range children(v.T, v.cmd.Process.Pid) {
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		for _, fd := range fds {
			link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
			if link == end {
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
	stays, unlucky := modeltest.Dial(v.T, v.addr), modeltest.Dial(v.T, v.addr)
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
	v.echoes(modeltest.Dial(v.T, v.addr))
}

// One client more than workers waits, and is served when another one leaves.
func TestAllWorkersAreBusy(t *testing.T) {
	v := serve(t, "echo")
	var clients []net.Conn
	for range prefork.Model.Limit {
		c := modeltest.Dial(v.T, v.addr)
		v.echoes(c)
		clients = append(clients, c)
	}
	next := modeltest.Dial(v.T, v.addr)
	modeltest.Send(v.T, next, "hello\n")
	clients[3].Close()
	modeltest.Expect(v.T, next, "hello\n")
	for i, c := range clients {
		if i != 3 {
			v.echoes(c)
		}
	}
}

// What the operator types reaches those who are here, and not who comes later
// to the same worker: it forgets what its client has left unheard, here since
// it read "exit" after a part of it.
func TestOperatorAndLaterClients(t *testing.T) {
	v := serve(t, "talk")
	witness := modeltest.Dial(v.T, v.addr)
	modeltest.Expect(v.T, v.screen, "client 1 is here\n")
	whose := v.whose(witness)
	signal := func(s unix.Signal) { // to all workers but that one
		for _, pid := range v.workers() {
			if pid != whose {
				unix.Kill(pid, s)
			}
		}
	}
	for n := 2; n < 2*prefork.Model.Limit; n++ {
		c := modeltest.Dial(v.T, v.addr)
		modeltest.Expect(v.T, v.screen, fmt.Sprintf("client %d is here\n", n))
		hello, then := fmt.Sprintf("hello %d\n", n), fmt.Sprintf("and then %d\n", n)
		late := strings.Repeat(fmt.Sprintf("too late, %*d\n", session.MaxLine/2, n), 3)
		modeltest.Send(v.T, v.keyboard, hello)
		modeltest.Expect(v.T, c, hello)
		signal(unix.SIGSTOP)
		modeltest.Send(v.T, c, "exit\n")
		modeltest.Send(v.T, v.keyboard, late+"@1 "+then)
		modeltest.Expect(v.T, witness, hello+late+then) // so the other worker has it as well
		signal(unix.SIGCONT)
		modeltest.Expect(v.T, v.screen, fmt.Sprintf("client %d left\n", n))
	}
}

// The signal to stop reaches workers asleep in accept at once, and the others
// when their clients have left.
func TestStop(t *testing.T) {
	v := serve(t, "echo")
	c := modeltest.Dial(v.T, v.addr)
	v.echoes(c)
	if err := sys.Shutdown(v.lfd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	modeltest.Within(t, "only the worker with a client is left", func() bool {
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
	c := modeltest.Dial(v.T, v.addr)
	v.echoes(c)
	v.cmd.Process.Kill()
	v.cmd.Wait()
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("the client received %d bytes, want the end or a reset", n)
	}
	for _, pid := range workers {
		modeltest.Within(t, fmt.Sprintf("worker %d is gone", pid), func() bool {
			name, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			return err != nil || !bytes.Contains(name, []byte("lab: one worker"))
		})
	}
}
