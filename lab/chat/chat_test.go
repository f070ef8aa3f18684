package chat

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// TestMain is the client itself in a process that TestCtrlC started.
func TestMain(m *testing.M) {
	if addr := os.Getenv("CHAT_WITH"); addr != "" {
		err := Chat{Addr: addr, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}.Run()
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serve serves one client, and says where.
func serve(t *testing.T, talk func(c *net.TCPConn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		talk(c.(*net.TCPConn))
	}()
	t.Cleanup(func() {
		l.Close()
		<-served
	})
	return l.Addr().String()
}

func echo(c *net.TCPConn) { io.Copy(c, c) }

// A person sits at a client: types, reads, and waits for its end.
type person struct {
	t        *testing.T
	keyboard *os.File
	out, err *output
	ended    chan error
}

// start starts a client with a pipe on each side.
func start(t *testing.T, c Chat) *person {
	t.Helper()
	var keyboard, screen, notes *os.File
	c.Stdin, keyboard = pipe(t)
	screen, c.Stdout = pipe(t)
	notes, c.Stderr = pipe(t)
	p := &person{t, keyboard, read(t, screen), read(t, notes), make(chan error, 1)}
	go func() {
		err := c.Run()
		c.Stdout.Close()
		c.Stderr.Close()
		p.ended <- err
	}()
	return p
}

// dial is a connection for a loop without a client around it.
func dial(t *testing.T, addr string) *os.File {
	t.Helper()
	conn, err := connect(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	socket, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return socket
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := p.keyboard.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) finishes() { p.keyboard.Close() }

// leaves waits until the client has ended in this way.
func (p *person) leaves(want error) {
	p.t.Helper()
	select {
	case err := <-p.ended:
		if !errors.Is(err, want) {
			p.t.Errorf("the client ended with %v, want %v", err, want)
		}
	case <-time.After(patience):
		p.t.Fatal("the client does not end")
	}
}

// An output is read in the background, so that a test can wait for a text.
type output struct {
	t      *testing.T
	chunks chan []byte
	got    bytes.Buffer
}

func read(t *testing.T, f *os.File) *output {
	o := &output{t: t, chunks: make(chan []byte)}
	go func() {
		defer close(o.chunks)
		for {
			buf := make([]byte, 64<<10)
			n, err := f.Read(buf)
			if err != nil { // EOF, or EIO from a terminal that is gone
				return
			}
			select {
			case o.chunks <- buf[:n]:
			case <-t.Context().Done():
				return
			}
		}
	}()
	return o
}

// shows waits until all that was shown so far ends in want, and forgets it.
func (o *output) shows(want string) {
	o.t.Helper()
	o.wait(want, func() bool { return bytes.HasSuffix(o.got.Bytes(), []byte(want)) })
	o.got.Reset()
}

// all waits for the end, and returns what was shown since the last shows.
func (o *output) all() string {
	o.t.Helper()
	o.wait("the end", func() bool { return false })
	return o.got.String()
}

func (o *output) wait(want string, done func() bool) {
	o.t.Helper()
	late := time.After(patience)
	for !done() {
		select {
		case chunk, open := <-o.chunks:
			if !open && want != "the end" {
				o.t.Fatalf("it ended with %q, want %q", o.got.String(), want)
			}
			if !open {
				return
			}
			o.got.Write(chunk)
		case <-late:
			o.t.Fatalf("got %q, want %q", o.got.String(), want)
		}
	}
}

const closed = "the server closed the connection\n"

func TestPipe(t *testing.T) {
	for _, text := range []string{
		"a\nb\n",
		"a\nb", // the last line has no end
		"\x00\xff\r\n\x1b[2J\n",
		"",
	} {
		p := start(t, Chat{Addr: serve(t, echo)})
		p.types(text)
		p.finishes()
		p.leaves(nil)
		if got := p.out.all(); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
		if got := p.err.all(); got != "" {
			t.Errorf("on stderr %q, and nothing went wrong", got)
		}
	}
}

// Both sides may speak at any time, and what one side says is not kept back
// until its line is complete.
func TestBothSpeak(t *testing.T) {
	p := start(t, Chat{Addr: serve(t, func(c *net.TCPConn) {
		words := bufio.NewReader(c)
		io.WriteString(c, "who is ")
		words.ReadString('?') // not yet a line
		io.WriteString(c, "there?\n")
		words.ReadString('\n')
		io.WriteString(c, "come ")
		io.WriteString(c, "in\n")
	})})
	p.out.shows("who is ")
	p.types("what?")
	p.out.shows("there?\n")
	p.types(" me\n")
	p.out.shows("come in\n")
	p.leaves(nil)
	p.err.shows(closed)
}

// The client reads while it writes: else both sides of an echo fill up, and
// wait for each other for ever.
func TestEightMiB(t *testing.T) {
	text := make([]byte, 8<<20)
	rand.NewChaCha8([32]byte{}).Read(text)
	p := start(t, Chat{Addr: serve(t, echo)})
	go func() {
		p.keyboard.Write(text)
		p.finishes()
	}()
	if got := p.out.all(); got != string(text) {
		t.Errorf("%d bytes came back, changed; want %d", len(got), len(text))
	}
	p.leaves(nil)
}

// A server that does not read is no reason to keep all that is typed, nor to
// miss what it says.
func TestServerDoesNotRead(t *testing.T) {
	const all, bound = 8 << 20, 1 << 20
	speak, receive := make(chan bool), make(chan bool)
	defer close(receive)
	defer close(speak)
	received := make(chan int64, 1)
	socket := dial(t, serve(t, func(c *net.TCPConn) {
		c.SetReadBuffer(64 << 10)
		if !<-speak {
			return
		}
		io.WriteString(c, "I do not listen\n")
		if !<-receive {
			return
		}
		n, _ := io.Copy(io.Discard, c)
		received <- n
	}))
	unix.SetsockoptInt(int(socket.Fd()), unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<10)
	unix.SetNonblock(int(socket.Fd()), false) // the loop sees to that itself
	stdin, keyboard := pipe(t)
	r, stdout := pipe(t)
	r2, stderr := pipe(t)
	screen, notes := read(t, r), read(t, r2)
	l := &loop{
		keyboard:  int(stdin.Fd()),
		socket:    int(socket.Fd()),
		screen:    stdout,
		notes:     stderr,
		heartbeat: 50 * time.Millisecond,
	}
	ended := make(chan error, 1)
	go func() { ended <- l.hold() }()

	var typed atomic.Int64
	go func() {
		defer keyboard.Close()
		for chunk := make([]byte, 4<<10); typed.Load() < all; {
			n, err := keyboard.Write(chunk)
			if err != nil {
				return
			}
			typed.Add(int64(n))
		}
	}()
	// A full pipe and a client that says that nothing happens: it has stopped
	// reading.
	for typed.Load() < all && (typed.Load() < 128<<10 || unread(t, stdin) < 64<<10) {
		notes.shows("waiting…\n")
	}
	for range 3 { // the first may be an old one
		notes.shows("waiting…\n")
	}
	if n := typed.Load(); n > bound {
		t.Errorf("the client took %d bytes, and the server none; want less than %d", n, bound)
	}
	speak <- true
	screen.shows("I do not listen\n")
	receive <- true
	if n := <-received; n != all {
		t.Errorf("the server received %d bytes, want %d", n, all)
	}
	if err := <-ended; err != io.EOF {
		t.Errorf("the client ended with %v, want EOF", err)
	}
	if flags, _ := unix.FcntlInt(uintptr(l.socket), unix.F_GETFL, 0); flags&unix.O_NONBLOCK == 0 {
		t.Error("a write to the socket may sleep")
	}
}

// unread is how much a pipe holds.
func unread(t *testing.T, f *os.File) int {
	t.Helper()
	n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The timeout is new each time, so there is a second heartbeat, and one after
// something happened.
func TestHeartbeat(t *testing.T) {
	p := start(t, Chat{Addr: serve(t, echo), Heartbeat: 20 * time.Millisecond})
	p.err.shows("waiting…\n")
	p.err.shows("waiting…\n")
	p.types("hello\n")
	p.out.shows("hello\n")
	p.err.shows("waiting…\n")
	p.finishes()
	p.leaves(nil)
}

func TestNoHeartbeat(t *testing.T) {
	if timeout := (&loop{}).patience(); timeout != nil {
		t.Errorf("the client sleeps for %v, want for ever", timeout)
	}
}

// All lines are typed ahead, but the server never gets a line before it has
// answered the one before.
func TestTurns(t *testing.T) {
	p := start(t, Chat{Turns: true, Addr: serve(t, func(c *net.TCPConn) {
		buf := make([]byte, 100)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			io.WriteString(c, "you said ") // is not yet an answer
			io.WriteString(c, strings.ToUpper(string(buf[:n])))
		}
	})})
	p.types("a\n\nb\nc")
	p.finishes()
	p.leaves(nil)
	want := "you said A\nyou said \nyou said B\nyou said C\n"
	if got := p.out.all(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The end too waits until the last answer has come.
func TestTurnsFinish(t *testing.T) {
	l := &loop{socket: -1, turns: true, ended: true, awaiting: true}
	l.finish()
	if l.fin {
		t.Error("the client finishes while the server is to answer")
	}
	l.awaiting = false
	l.finish()
	if !l.fin {
		t.Error("the client does not finish")
	}
}

// A long line is cut, like everywhere in the lab, and does not stop the client.
func TestTurnsLongLine(t *testing.T) {
	line := strings.Repeat("x", 1<<20)
	p := start(t, Chat{Turns: true, Addr: serve(t, echo)})
	go func() {
		p.keyboard.WriteString(line)
		p.finishes()
	}()
	if got := strings.ReplaceAll(p.out.all(), "\n", ""); got != line {
		t.Errorf("%d bytes came back, changed; want %d", len(got), len(line))
	}
	p.leaves(nil)
}

// Who takes turns still notices at once that the server has left.
func TestTurnsServerLeaves(t *testing.T) {
	for _, test := range []struct {
		name string
		talk func(c *net.TCPConn)
	}{
		{"while it should answer", func(c *net.TCPConn) { c.Read(make([]byte, 100)) }},
		{"while the person is to speak", func(c *net.TCPConn) {
			c.Read(make([]byte, 100))
			io.WriteString(c, "bye\n")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, Chat{Turns: true, Addr: serve(t, test.talk)})
			p.types("hello\n")
			p.leaves(nil)
			p.err.shows(closed)
		})
	}
}

// The person neither types nor finishes, and is told all the same.
func TestServerCloses(t *testing.T) {
	p := start(t, Chat{Addr: serve(t, func(c *net.TCPConn) { io.WriteString(c, "bye") })})
	p.leaves(nil)
	if got := p.out.all(); got != "bye" {
		t.Errorf("got %q, want %q", got, "bye")
	}
	p.err.shows(closed)
}

// What could not be sent any more is counted.
func TestServerClosesTooEarly(t *testing.T) {
	p := start(t, Chat{Turns: true, Addr: serve(t, func(c *net.TCPConn) { c.Read(make([]byte, 100)) })})
	p.types("a\nbc\n")
	p.leaves(nil)
	p.err.shows("the server closed the connection; 3 bytes were not sent\n")
}

// After a reset too, all that came before it is shown.
func TestServerResets(t *testing.T) {
	p := start(t, Chat{Addr: serve(t, func(c *net.TCPConn) {
		c.Read(make([]byte, 100))
		io.WriteString(c, "oh\n")
		c.Read(make([]byte, 100))
		c.SetLinger(0)
	})})
	p.types("hello\n")
	p.out.shows("oh\n")
	p.types("what?\n")
	p.leaves(errReset)
	if got := errReset.ExitCode(); got != 1 {
		t.Errorf("exit code %d, want 1", got)
	}
	if got := p.err.all(); got != "" {
		t.Errorf("on stderr %q, and the error besides", got)
	}
}

// The server throws away what it has not read, while the client is still
// sending: whether it is a read or a write that fails, it was a reset.
func TestServerResetsWhileSending(t *testing.T) {
	p := start(t, Chat{Addr: serve(t, func(c *net.TCPConn) {
		io.ReadFull(c, make([]byte, 1<<20))
		c.SetLinger(0)
	})})
	go io.Copy(p.keyboard, zeros{})
	p.leaves(errReset)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A failure is told only once. If a write is told, and reading then says "the
// end", it was a reset all the same; but to write to a server that has closed is
// no reset. Either way, what had come before is shown.
func TestWriteFails(t *testing.T) {
	for _, test := range []struct {
		name  string
		close func(c *net.TCPConn)
		want  error
	}{
		{"reset", func(c *net.TCPConn) { c.SetLinger(0) }, errReset},
		{"closed", func(c *net.TCPConn) {}, io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			socket := dial(t, serve(t, func(c *net.TCPConn) {
				io.ReadFull(c, make([]byte, len("hello\n")))
				io.WriteString(c, "oh\n")
				test.close(c)
			}))
			var screen bytes.Buffer
			l := &loop{socket: int(socket.Fd()), screen: &screen, end: io.EOF, unsent: []byte("what?\n")}
			sys.Write(l.socket, []byte("hello\n"))
			wait(t, l.socket, unix.POLLRDHUP)
			if test.want == io.EOF {
				sys.Write(l.socket, []byte("too late\n"))
			}
			wait(t, l.socket, unix.POLLERR)
			l.onWritable()
			if string(l.unsent) != "what?\n" {
				t.Errorf("unsent is %q, want all of it", l.unsent)
			}
			if err := l.onServer(); err != nil {
				t.Fatal(err)
			}
			if screen.String() != "oh\n" {
				t.Errorf("shown %q, want %q", screen.String(), "oh\n")
			}
			if err := l.onServer(); err != test.want {
				t.Errorf("it ended with %v, want %v", err, test.want)
			}
		})
	}
}

// wait waits until poll(2) tells this of fd.
func wait(t *testing.T, fd int, event int16) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: event}}
	for fds[0].Revents&event == 0 {
		if n, err := sys.Poll(fds, int(patience.Milliseconds())); n == 0 || err != nil {
			t.Fatalf("poll told nothing: %v", err)
		}
	}
}

// A port is bound here and nobody listens on it, so nobody else can either.
func TestNobodyListens(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := sys.LocalAddr(fd)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, addr.String(), "nobody listens on "+addr.String()+
		"; start a server: lab run --model=select --listen="+addr.String())
}

func TestBadAddress(t *testing.T) {
	refused(t, "127.0.0.1:99999", "cannot connect to 127.0.0.1:99999: invalid port; want HOST:PORT, such as 127.0.0.1:7000")
	refused(t, "127.0.0.1:nonsense", "cannot connect to 127.0.0.1:nonsense: unknown port; want HOST:PORT, such as 127.0.0.1:7000")
	refused(t, "::1:x", "cannot connect to [::1:x]:7000: no such host; want HOST:PORT, such as 127.0.0.1:7000")
}

// refused wants a conversation that does not begin, exit code 2, and why.
func refused(t *testing.T, addr, want string) {
	t.Helper()
	err := Chat{Addr: addr, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}.Run()
	var failed *Error
	if !errors.As(err, &failed) || failed.ExitCode() != 2 {
		t.Fatalf("got %v, want exit code 2", err)
	}
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestComplete(t *testing.T) {
	for typed, want := range map[string]string{
		"7001":           "127.0.0.1:7001",
		":7001":          "127.0.0.1:7001",
		"localhost":      "localhost:7000",
		"localhost:7001": "localhost:7001",
		"localhost:":     "localhost:7000",
		"192.0.2.1":      "192.0.2.1:7000",
		"::1":            "[::1]:7000",
		"[::1]":          "[::1]:7000",
		"[::1]:7001":     "[::1]:7001",
		"fe80::1%lo":     "[fe80::1%lo]:7000",
		"":               "127.0.0.1:7000",
	} {
		if got := complete(typed); got != want {
			t.Errorf("complete(%q) = %q, want %q", typed, got, want)
		}
	}
}

// The same text is shown however it was split on its way.
func TestTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain\n":                "plain\n",
		"a\tb\r\nc\n":            "a\tb\nc\n",
		"\x1b[2J\a\x00\x7f\r!\n": `\x1b[2J\a\x00\x7f\r!` + "\n",
		"ä € 𝄞 日本\n":             "ä € 𝄞 日本\n",
		"\xff\xc3(\n":            `\xff\xc3(` + "\n",
		"cut \xf0\x9d\x84":       `cut \xf0\x9d\x84` + "\n", // and the line is ended
		"cut \r":                 "cut \n",
		"no end":                 "no end\n",
		"\u202etxt.exe\n":        `\u202etxt.exe` + "\n",
		"":                       "",
	} {
		for cut := range len(text) + 1 {
			for second := cut; second <= len(text); second++ {
				var got bytes.Buffer
				screen := &terminal{w: &got}
				for _, part := range []string{text[:cut], text[cut:second], text[second:]} {
					if n, err := io.WriteString(screen, part); n != len(part) || err != nil {
						t.Fatalf("Write = %d, %v", n, err)
					}
				}
				screen.Close()
				if got.String() != want {
					t.Fatalf("%q cut at %d and %d: got %q, want %q", text, cut, second, got.String(), want)
				}
			}
		}
	}
}

// On a real terminal: the hint, text made harmless, and Ctrl-D.
func TestOnTerminal(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer tty.Close()
	addr := serve(t, func(c *net.TCPConn) {
		words := bufio.NewReader(c)
		line, _ := words.ReadString('\n')
		io.WriteString(c, "\x1b[2J"+line)
		io.Copy(io.Discard, words)
		io.WriteString(c, "bye")
	})
	p := &person{t, master, read(t, master), nil, make(chan error, 1)}
	go func() { p.ended <- Chat{Addr: addr, Stdin: tty, Stdout: tty, Stderr: tty}.Run() }()
	p.out.shows("; Ctrl-D finishes\r\n")
	p.types("grüße\n")
	p.out.shows("grüße\r\n\\x1b[2Jgrüße\r\n") // as typed, and as answered
	p.types("\x04")
	p.out.shows("bye\r\n" + strings.ReplaceAll(closed, "\n", "\r\n"))
	p.leaves(nil)
}

// Ctrl-C ends it at once, by the signal itself: a shell makes 130 of that.
func TestCtrlC(t *testing.T) {
	gone := make(chan error, 1)
	addr := serve(t, func(c *net.TCPConn) {
		_, err := io.Copy(io.Discard, c)
		gone <- err
	})
	client := exec.Command(os.Args[0])
	client.Env = append(os.Environ(), "CHAT_WITH="+addr)
	master, err := pty.Start(client)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	p := &person{t, master, read(t, master), nil, make(chan error, 1)}
	p.out.shows("; Ctrl-D finishes\r\n")
	p.types("\x03")
	go func() { p.ended <- client.Wait() }()
	select {
	case <-p.ended:
	case <-time.After(patience):
		client.Process.Kill()
		t.Fatal("Ctrl-C does not end the client")
	}
	status := client.ProcessState.Sys().(interface{ Signal() unix.Signal })
	if got := status.Signal(); got != unix.SIGINT {
		t.Errorf("the client ended with %v, want SIGINT", client.ProcessState)
	}
	if err := <-gone; err != nil {
		t.Errorf("the server saw %v, want the end", err)
	}
}
