package sys_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// limit lowers or raises how many descriptors this process may have.
func limit(t *testing.T, descriptors int) {
	t.Helper()
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	if l.Cur = uint64(descriptors); l.Cur > l.Max {
		lacking(t, fmt.Sprintf("at most %d descriptors are allowed here: ulimit -Hn", l.Max))
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
}

// Out of descriptors, every call that needs one says Full, leaves none behind,
// and the client waits in the queue.
func TestFull(t *testing.T) {
	if !alone(t) {
		return
	}
	lfd, addr := listen(t)
	client := must[int](t)(sys.Connect(addr))
	must[int](t)(sys.Write(client, []byte("hello\n")))
	next := must[int](t)(unix.FcntlInt(uintptr(lfd), unix.F_DUPFD_CLOEXEC, 0))
	sys.Close(next) // and all below it are in use
	limit(t, next)
	for call, do := range map[string]func() error{
		"accept": func() error { _, err := sys.Accept(lfd, 0); return err },
		"pipe":   func() error { _, _, err := sys.Pipe(); return err },
		"socket": func() error { _, err := sys.Listen(loopback, 1); return err },
		"fork": func() error {
			_, err := sys.Start(&exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", "exit"}})
			return err
		},
		"dup": func() error { _, err := sys.NetListener(lfd); return err },
	} {
		err := do()
		if !sys.Full(err) || !strings.HasPrefix(fmt.Sprint(err), call) {
			t.Errorf("%s without a descriptor: %v; want that it is Full", call, err)
		}
	}
	limit(t, next+1)
	if _, _, err := sys.Pipe(); !sys.Full(err) {
		t.Errorf("a pipe with one descriptor: %v; want that it is Full", err)
	}
	cfd, err := sys.Accept(lfd, 0)
	if err != nil {
		t.Fatalf("with one descriptor to spare, and a client in the queue: %v", err)
	}
	var buf [8]byte
	if n := must[int](t)(sys.Read(cfd, buf[:])); string(buf[:n]) != "hello\n" {
		t.Errorf("the client that waited said %q", buf[:n])
	}
}

func TestFitSet(t *testing.T) {
	if !alone(t) {
		return
	}
	limit(t, 2*unix.FD_SETSIZE)
	lfd, _ := listen(t)
	large := must[int](t)(unix.FcntlInt(uintptr(lfd), unix.F_DUPFD_CLOEXEC, unix.FD_SETSIZE))
	says(t, sys.FitSet(lfd, large), fmt.Sprintf("select fd %d: bad file descriptor", large), unix.EBADF)
	sys.Close(large)

	if err := sys.FitSet(lfd, unix.FD_SETSIZE-1, -1); err != nil {
		t.Fatal(err)
	}
	for {
		fd, err := unix.FcntlInt(uintptr(lfd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			if !sys.Full(err) {
				t.Errorf("after the last descriptor that fits: %v; want that it is Full", err)
			}
			break
		}
		if fd >= unix.FD_SETSIZE {
			t.Fatalf("the kernel hands out descriptor %d", fd)
		}
	}
	sys.Close(unix.FD_SETSIZE - 1) // was handed out, or this closes nothing
	fd, err := unix.FcntlInt(uintptr(lfd), unix.F_DUPFD_CLOEXEC, 0)
	if fd != unix.FD_SETSIZE-1 {
		t.Errorf("the last descriptor that fits is %d (%v), want %d", fd, err, unix.FD_SETSIZE-1)
	}
}

func TestFitSetNeverRaisesTheLimit(t *testing.T) {
	if !alone(t) {
		return
	}
	limit(t, 100)
	if err := sys.FitSet(); err != nil {
		t.Fatal(err)
	}
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || l.Cur != 100 {
		t.Errorf("the limit of 100 has become %d (%v)", l.Cur, err)
	}
}

// readAll reads until the end; every writer must have ended by then.
func readAll(t *testing.T, fd int) string {
	t.Helper()
	var all []byte
	for buf := make([]byte, 4096); ; {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n := must[int](t)(sys.Poll(fds, int(patience.Milliseconds()))); n == 0 {
			t.Fatalf("after %v the other end is still open; it said %q", patience, all)
		}
		n := must[int](t)(sys.Read(fd, buf))
		if n == 0 {
			return string(all)
		}
		all = append(all, buf[:n]...)
	}
}

// reap waits until n children have ended and been collected.
func reap(t *testing.T, ended <-chan os.Signal, n int) (pids map[int]bool) {
	t.Helper()
	pids = map[int]bool{}
	for len(pids) < n {
		if pid := sys.Reap(); pid > 0 {
			pids[pid] = true
			continue
		}
		receive(t, "a child ends", ended)
	}
	return pids
}

func TestSpawn(t *testing.T) {
	nothingLeaks(t)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	reader, writer := pipe(t)
	lfd, _ := listen(t) // is not the child's
	script := `echo "$0 $SPAWNED"
		for n in 0 1 2 3 $1; do test -e /proc/$$/fd/$n && echo $n; done; exit 3`
	t.Setenv("SPAWNED", "inherited")
	pid, err := sys.Start(&exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", script, "name", fmt.Sprint(lfd)}}, -1, writer, -1, writer)
	if err != nil {
		t.Fatal(err)
	}
	drop(writer)
	if got, want := readAll(t, reader), "name inherited\n1\n3\n"; got != want {
		t.Errorf("the child has %q, want its arguments and descriptors 1 and 3 only: %q", got, want)
	}
	if pids := reap(t, ended, 1); !pids[pid] {
		t.Errorf("collected %v, want %d", pids, pid)
	}
}

// One signal may stand for many children, and none is collected before its end.
func TestReap(t *testing.T) {
	nothingLeaks(t)
	if pid := sys.Reap(); pid != 0 {
		t.Fatalf("without children it collects %d", pid)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	reader, writer := pipe(t)
	started := map[int]bool{}
	for range 5 {
		pid := must[int](t)(sys.Start(&exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", "read line"}}, reader))
		started[pid] = true
	}
	if pid := sys.Reap(); pid != 0 {
		t.Fatalf("it collects %d, which waits for a line", pid)
	}
	drop(writer) // the end, for all five at once
	if pids := reap(t, ended, 5); fmt.Sprint(pids) != fmt.Sprint(started) {
		t.Errorf("collected %v, want %v", pids, started)
	}
	if pid := sys.Reap(); pid != 0 {
		t.Errorf("all are collected, and one more: %d", pid)
	}
}

func TestSpawnFails(t *testing.T) {
	nothingLeaks(t)
	pid, err := sys.Start(&exec.Cmd{Path: "/no/such/program", Args: []string{"program"}})
	if pid != 0 {
		t.Errorf("beside its error it returns pid %d", pid)
	}
	says(t, err, "fork: no such file or directory", unix.ENOENT)
	if sys.Full(err) {
		t.Errorf("%v: it is not for lack of room", err)
	}
	if pid := sys.Reap(); pid != 0 {
		t.Errorf("it leaves child %d behind", pid)
	}
}

// A child is killed when its parent ends, even if that is killed itself. The
// test runs itself as that parent, which passes its own standard input and
// output on to a child that would wait for ever.
func TestChildEndsWithItsParent(t *testing.T) {
	if os.Getenv("TEST_PARENT") != "" {
		must[int](t)(sys.Start(&exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", "echo here; read line; echo lived"}}, 0, 1))
		select {} // until it is killed
	}
	nothingLeaks(t)
	in, keepsWaiting := pipe(t)
	out, said := pipe(t)
	parent := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$")
	parent.Env = append(os.Environ(), "TEST_PARENT=1")
	parent.Stdin = os.NewFile(uintptr(must[int](t)(unix.Dup(in))), "in")
	parent.Stdout = os.NewFile(uintptr(must[int](t)(unix.Dup(said))), "out")
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	parent.Stdin.(*os.File).Close()
	parent.Stdout.(*os.File).Close()
	drop(said)
	var buf [8]byte
	n := must[int](t)(sys.Read(out, buf[:]))
	if string(buf[:n]) != "here\n" {
		t.Fatalf("the child said %q", buf[:n])
	}
	parent.Process.Kill()
	if err := parent.Wait(); err == nil {
		t.Error("the parent was killed, and ended well")
	}
	if rest := readAll(t, out); rest != "" {
		t.Errorf("the child went on: %q", rest)
	}
	must[int](t)(sys.Write(keepsWaiting, []byte("\n"))) // its input never ended
}
