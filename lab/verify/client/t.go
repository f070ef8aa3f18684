package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

// A T is one check on its way: the client, and the server that we play. Its
// methods end the check when the client does not do what it should.
type T struct {
	Wait     time.Duration
	ctx      context.Context
	command  []string
	pipe     bool
	listener *net.TCPListener
	server   *net.TCPConn // our end of the connection
	cmd      *exec.Cmd
	keyboard io.WriteCloser
	screen   subject.Screen
	copied   chan struct{} // closed when all it printed has been read
	ended    chan struct{} // closed when it has ended
	story    []string
	shown    int // bytes on the screen that Shows has passed
}

// A failed is what ends a check early: the client did not do what it should.
type failed struct{ expected, actual string }

func newT(ctx context.Context, command []string, pipe bool, wait time.Duration) (*T, error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	t := &T{Wait: wait, ctx: ctx, command: command, pipe: pipe, listener: listener, screen: subject.Screen{Most: 32 << 20}}
	return t, t.start()
}

// start starts the client.
func (t *T) start() (err error) {
	port := uint16(t.listener.Addr().(*net.TCPAddr).Port)
	argv := subject.WithPort(t.command, port)
	t.cmd = exec.CommandContext(t.ctx, argv[0], argv[1:]...)
	t.cmd.Env = append(os.Environ(), "PORT="+strconv.Itoa(int(port)))
	t.cmd.Stderr = io.Discard
	reader, writer, err := t.output()
	if err != nil {
		return err
	}
	t.cmd.Stdout = writer
	t.keyboard, t.ended, err = subject.Launch(t.cmd)
	writer.Close()
	if err != nil {
		reader.Close()
		t.listener.Close()
		return &subject.CommandError{Command: argv[0], Err: err}
	}
	t.copied = make(chan struct{})
	go func() {
		io.Copy(&t.screen, reader) // a terminal ends with EIO
		reader.Close()
		close(t.copied)
	}()
	return nil
}

// output is the client's standard output: a raw terminal, or a pipe.
func (t *T) output() (reader, writer *os.File, err error) {
	if t.pipe {
		return os.Pipe()
	}
	if reader, writer, err = pty.Open(); err != nil {
		return nil, nil, err
	}
	_, err = term.MakeRaw(int(writer.Fd()))
	return reader, writer, err
}

// end leaves nothing behind.
func (t *T) end() {
	syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL)
	<-t.ended
	t.keyboard.Close()
	t.listener.Close()
	if t.server != nil {
		t.server.Close()
	}
	<-t.copied
}

func (t *T) tell(format string, args ...any) { t.story = append(t.story, fmt.Sprintf(format, args...)) }

func (t *T) fail(expected, format string, args ...any) {
	panic(failed{expected, fmt.Sprintf(format, args...)})
}

// Accept waits for the client.
func (t *T) Accept() {
	t.listener.SetDeadline(time.Now().Add(t.Wait))
	conn, err := t.listener.AcceptTCP()
	if err != nil {
		t.fail("the client to connect to 127.0.0.1 and the port it was given", "it did not within %v; %s", t.Wait, t.state())
	}
	t.server = conn
	t.tell("the client connected")
}

// Type types at the client's keyboard.
func (t *T) Type(text string) {
	t.tell("the user types %s", quoted(text))
	if _, err := io.WriteString(t.keyboard, text); err != nil {
		t.fail("the client to read its standard input", "it has closed it: %v", err)
	}
}

// EOF is Ctrl-D.
func (t *T) EOF() {
	t.tell("the user types Ctrl-D: end of input")
	t.keyboard.Close()
}

// Says has the server say something.
func (t *T) Says(text string) {
	t.tell("the server says %s", quoted(text))
	t.server.SetWriteDeadline(time.Now().Add(t.Wait))
	if _, err := io.WriteString(t.server, text); err != nil {
		t.fail("the client to take what the server says", "%v; %s", reason(err), t.state())
	}
}

// Hears waits until the client has sent a text, and nothing else.
func (t *T) Hears(text string) {
	got := make([]byte, len(text))
	t.server.SetReadDeadline(time.Now().Add(t.Wait))
	n, err := io.ReadFull(t.server, got)
	if string(got[:n]) != text {
		t.fail("the client to send "+quoted(text), "the server got %s%s", quoted(string(got[:n])), because(err))
	}
	t.tell("the server got %s", quoted(text))
}

// HearsNothing looks whether the client sends something it should not.
func (t *T) HearsNothing(during time.Duration) {
	t.server.SetReadDeadline(time.Now().Add(during))
	buf := make([]byte, 2048)
	if n, _ := t.server.Read(buf); n > 0 {
		t.fail("the client to send no more than was typed", "the server also got %s", quoted(string(buf[:n])))
	}
}

// HearsFIN waits for the client's end, with nothing before it.
func (t *T) HearsFIN() {
	t.server.SetReadDeadline(time.Now().Add(t.Wait))
	buf := make([]byte, 2048)
	n, err := t.server.Read(buf)
	switch {
	case n > 0:
		t.fail("FIN from the client, and nothing before it", "the server got %s", quoted(string(buf[:n])))
	case !errors.Is(err, io.EOF):
		t.fail("FIN from the client", "%v", reason(err))
	}
	t.tell("the server got FIN")
}

// Shows waits until the client shows a text, behind what was shown before.
func (t *T) Shows(text string) {
	if t.until(t.Wait, func() bool { return strings.Contains(t.screen.After(t.shown), text) }) {
		t.shown += strings.Index(t.screen.After(t.shown), text) + len(text)
		t.tell("the client shows %s", quoted(text))
		return
	}
	got := t.screen.After(t.shown)
	if len(got) > 200 {
		got = got[:200] + "…"
	}
	t.fail("the client to show "+quoted(text), "within %v it showed %q; %s", t.Wait, got, t.state())
}

// Leave closes the server's end: FIN.
func (t *T) Leave() {
	t.tell("the server closes: FIN")
	t.server.Close()
}

// Reset throws the connection away: RST.
func (t *T) Reset() {
	t.tell("the server resets: RST")
	t.server.SetLinger(0)
	t.server.Close()
}

// Ends waits until the client has ended, and nobody types meanwhile.
func (t *T) Ends() {
	const grace = 2 * time.Second
	start := time.Now()
	select {
	case <-t.ended:
		t.tell("the client ended: %v", t.cmd.ProcessState)
	case <-time.After(max(grace, t.Wait)):
		t.fail("the client to see it and end, though nobody types", "%v later it still runs%s", time.Since(start).Round(100*time.Millisecond), t.busy())
	}
}

// Stays looks whether the client is still there, and sleeps. On a busy machine
// one that spins gets little CPU, but is always ready to take it.
func (t *T) Stays(during time.Duration) {
	const most = 0.3
	before, start := t.cpu(), time.Now()
	looks, awake := 0, 0
	for time.Since(start) < during {
		select {
		case <-t.ended:
			t.fail("the client to wait", "it has ended: %v", t.cmd.ProcessState)
		case <-time.After(20 * time.Millisecond):
			looks++
			if t.awake() {
				awake++
			}
		}
	}
	if share := float64(t.cpu()-before) / float64(time.Since(start)); share > most || awake > looks/2 {
		t.fail("the client to sleep while nothing happens", "it uses %.0f %% of a core, and was awake %d times of %d", 100*share, awake, looks)
	}
	t.tell("the client waits, and uses next to no CPU")
}

// awake reports whether a thread of the client's runs, or waits for a core.
func (t *T) awake() bool {
	threads, _ := proc.Threads(t.cmd.Process.Pid)
	return slices.ContainsFunc(threads, func(thread proc.Thread) bool { return thread.State() == 'R' })
}

// busy is what to add about a client that spins.
func (t *T) busy() string {
	const look = 200 * time.Millisecond
	before := t.cpu()
	time.Sleep(look)
	if share := float64(t.cpu()-before) / float64(look); share > 0.3 {
		return fmt.Sprintf(" and uses %.0f %% of a core", 100*share)
	}
	return ""
}

// cpu is what the client and its children have used.
func (t *T) cpu() (used time.Duration) {
	all, err := proc.All()
	if err != nil {
		panic(err)
	}
	root, err := proc.Read(t.cmd.Process.Pid)
	if err != nil {
		return 0 // it has ended
	}
	return proc.Sum(proc.Family(all, root)).CPU
}

func (t *T) state() string {
	select {
	case <-t.ended:
		return fmt.Sprintf("it has ended: %v", t.cmd.ProcessState)
	default:
		return "it runs"
	}
}

func (t *T) until(within time.Duration, seen func() bool) bool {
	for deadline := time.Now().Add(within); !seen(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) || t.ctx.Err() != nil {
			return false
		}
	}
	return true
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ", then " + reason(err).Error()
}

// reason is an error in a word or two.
func reason(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("nothing, until time was up")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("FIN: it has closed the connection")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("the connection was reset")
	}
	return err
}
