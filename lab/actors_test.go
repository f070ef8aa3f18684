//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/prometheus/procfs"

	"socketlab/models/all"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// An actor is a program that a test has started: a server with its operator, or
// a client with its person.
type actor struct {
	t        *testing.T
	cmd      *exec.Cmd
	keyboard io.WriteCloser // its standard input
	screen   *screen        // its standard output
	notes    *screen        // its standard error; at a terminal, the screen too
	ended    chan struct{}  // closed when it has ended, and all that it printed is there
}

// enters starts a program with a pipe on each side.
func enters(t *testing.T, cmd *exec.Cmd) *actor {
	t.Helper()
	a := &actor{t: t, cmd: cmd, screen: newScreen(), notes: newScreen(), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = a.screen, a.notes
	cmd.WaitDelay = time.Second // for those whom it leaves behind
	var err error
	if a.keyboard, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait() // how it went is in ProcessState
		a.exit()
	}()
	t.Cleanup(a.sweep)
	return a
}

// atTerminal starts a program on a terminal of its own, 80 columns wide.
func atTerminal(t *testing.T, cmd *exec.Cmd) *actor {
	t.Helper()
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	screen := newScreen()
	a := &actor{t: t, cmd: cmd, keyboard: tty, screen: screen, notes: screen, ended: make(chan struct{})}
	go func() {
		io.Copy(dropCR{screen}, tty) // until nobody has the terminal open: EIO
		cmd.Wait()
		a.exit()
	}()
	t.Cleanup(func() {
		a.sweep()
		tty.Close()
	})
	return a
}

func (a *actor) exit() {
	a.screen.close()
	a.notes.close()
	close(a.ended)
}

// sweep ends what a failed test left on the stage.
func (a *actor) sweep() {
	a.cmd.Process.Kill()
	<-a.ended
}

func (a *actor) types(text string) {
	a.t.Helper()
	if _, err := io.WriteString(a.keyboard, text); err != nil {
		a.t.Fatalf("%v: typing %q: %v", a, text, err)
	}
}

// finishes ends the program's input; at a terminal one types "\x04".
func (a *actor) finishes() { a.keyboard.Close() }

// shows waits until the screen shows a text, and returns what it showed before,
// since the last time.
func (a *actor) shows(text string) string {
	a.t.Helper()
	before, err := a.screen.shows(text)
	if err != nil {
		a.t.Fatalf("%v: %v", a, err)
	}
	return before
}

// notesThat is shows for standard error.
func (a *actor) notesThat(text string) string {
	a.t.Helper()
	before, err := a.notes.shows(text)
	if err != nil {
		a.t.Fatalf("%v: %v", a, err)
	}
	return before
}

func (a *actor) gets(sig syscall.Signal) {
	a.t.Helper()
	if err := a.cmd.Process.Signal(sig); err != nil {
		a.t.Fatalf("%v: %v: %v", a, sig, err)
	}
}

// leaves waits until the program ends, with this exit code.
func (a *actor) leaves(code int) {
	a.t.Helper()
	select {
	case <-a.ended:
	case <-time.After(patience):
		a.t.Fatalf("%v does not end; it printed %q", a, a.notes.all())
	}
	if got := a.cmd.ProcessState; got.ExitCode() != code {
		a.t.Errorf("%v ended with %v, want exit code %d; it printed %q", a, got, code, a.notes.all())
	}
}

func (a *actor) pid() int       { return a.cmd.Process.Pid }
func (a *actor) String() string { return strings.Join(a.cmd.Args, " ") }

// opens waits until a server of ours says that it listens, and returns where.
func (a *actor) opens() (addr string) {
	a.t.Helper()
	a.notesThat(" on ")
	return a.notesThat(",")
}

// serve starts a server of ours on any port.
func serve(t *testing.T, args ...string) (server *actor, addr string) {
	t.Helper()
	server = enters(t, labRun("127.0.0.1:0", args...))
	return server, server.opens()
}

func labRun(listen string, args ...string) *exec.Cmd {
	return exec.Command("lab", append([]string{"run", "--listen=" + listen}, args...)...)
}

// A screen keeps what was printed, and tells when there is more.
type screen struct {
	mu      sync.Mutex // guards what follows
	text    []byte
	seen    int           // how much of it shows has gone past
	over    bool          // no more will come
	changed chan struct{} // closed by the next change
}

func newScreen() *screen { return &screen{changed: make(chan struct{})} }

func (s *screen) Write(p []byte) (int, error) {
	s.change(func() { s.text = append(s.text, p...) })
	return len(p), nil
}

func (s *screen) close() { s.change(func() { s.over = true }) }

func (s *screen) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *screen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}

func (s *screen) shows(want string) (before string, err error) {
	late := time.After(patience)
	for {
		before, more, ok := s.find(want)
		if ok {
			return before, nil
		}
		if more == nil {
			return "", fmt.Errorf("it ended and had printed %q, want %q", s.all(), want)
		}
		select {
		case <-more:
		case <-late:
			return "", fmt.Errorf("it printed %q, want %q", s.all(), want)
		}
	}
}

// find looks for a text once; more is nil if no more will come.
func (s *screen) find(want string) (before string, more <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.text[s.seen:]
	if i := bytes.Index(news, []byte(want)); i >= 0 {
		s.seen += i + len(want)
		return string(news[:i]), nil, true
	}
	if !s.over {
		more = s.changed
	}
	return "", more, false
}

// dropCR undoes what a terminal does to a newline.
type dropCR struct{ io.Writer }

func (w dropCR) Write(p []byte) (int, error) {
	_, err := w.Writer.Write(bytes.ReplaceAll(p, []byte("\r"), nil))
	return len(p), err
}

// everyModel runs a test for each model, at the same time.
func everyModel(t *testing.T, test func(t *testing.T, model string)) {
	for _, m := range all.Models {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			needsModel(t, m.Name)
			test(t, m.Name)
		})
	}
}

// severalAtOnce runs a test for each model that serves more than one client at
// a time: client and operator may speak at any time.
func severalAtOnce(t *testing.T, test func(t *testing.T, model string)) {
	everyModel(t, func(t *testing.T, model string) {
		if oneAtATime(t, model) {
			t.Skip("client and operator take turns")
		}
		test(t, model)
	})
}

func oneAtATime(t *testing.T, model string) bool {
	t.Helper()
	m, err := all.Named(model)
	if err != nil {
		t.Fatal(err)
	}
	return m.Limit == 1
}

// needsModel skips a test of a model that this machine forbids.
func needsModel(t *testing.T, name string) {
	t.Helper()
	m, err := all.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Runs(); err != nil {
		t.Skip(err)
	}
}

// needs skips a test where a program is missing; in CI it fails.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		lacks(t, program+" is not installed; make setup installs what the tests need")
	}
}

// lacks skips a test that this machine does not allow; in CI it fails.
func lacks(t *testing.T, sentence string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(sentence)
	}
	t.Skip(sentence)
}

// dial is a client that is no program.
func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// hears waits until a client that is no program receives exactly this.
func hears(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("received %q and %v, want %q", got[:n], err, want)
	}
}

// echoes has a client say something to an echo.
func echoes(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	hears(t, conn, text)
}

// eventually asks until the answer is yes: for what happens in the kernel, which
// tells nobody.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !yes() {
		select {
		case <-ctx.Done():
			t.Fatalf("after %v still not: %s", patience, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// processes are those that the question is true for, zombies included.
func processes(t *testing.T, ask func(p procfs.Proc, stat procfs.ProcStat) bool) []procfs.ProcStat {
	t.Helper()
	all, err := procfs.AllProcs()
	if err != nil {
		t.Fatal(err)
	}
	var found []procfs.ProcStat
	for _, p := range all {
		if stat, err := p.Stat(); err == nil && ask(p, stat) { // else it has ended
			found = append(found, stat)
		}
	}
	return found
}

// children are the child processes of a server.
func (a *actor) children() []procfs.ProcStat {
	a.t.Helper()
	return processes(a.t, func(_ procfs.Proc, stat procfs.ProcStat) bool { return stat.PPID == a.pid() })
}

// A socket is a line of the kernel's table, in its own numbers: proc_net(5).
type socket struct {
	local, state, unread, inode uint64 // local is the port alone
}

const (
	established = 1
	timeWait    = 6
	listen      = 10
)

// sockets are all TCP sockets of this machine. One that is ESTABLISHED, and has
// no inode, was not accepted yet.
func sockets() (all []socket, err error) {
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6 here
		}
		if err != nil {
			return nil, err
		}
		_, lines, _ := strings.Cut(string(text), "\n") // the heading
		for line := range strings.Lines(lines) {
			var s socket
			var bad error
			number := func(text string, base int) uint64 {
				n, err := strconv.ParseUint(text, base, 64)
				bad = errors.Join(bad, err)
				return n
			}
			if f := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" :\n", r) }); len(f) > 13 {
				s.local, s.state = number(f[2], 16), number(f[5], 16)
				s.unread, s.inode = number(f[7], 16), number(f[13], 10)
			}
			if bad != nil || s.state == 0 {
				return nil, fmt.Errorf("%s: %q: %w", file, line, bad)
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// anySocket asks whether there is such a socket at the server's end of addr.
func anySocket(t *testing.T, addr string, ask func(s socket) bool) bool {
	t.Helper()
	all, err := sockets()
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(addr).Port()
	return slices.ContainsFunc(all, func(s socket) bool { return s.local == uint64(port) && ask(s) })
}
