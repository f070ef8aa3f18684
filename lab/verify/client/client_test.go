package client

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/chat"
	"socketlab/lab/report"
)

// TestMain is also the clients of the tests: the first argument says which.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		for _, b := range broken {
			if b.name == os.Args[1] {
				b.run(os.Args[2])
				os.Exit(0)
			}
		}
	}
	os.Exit(m.Run())
}

// A brokenClient is one that is right in everything but one thing.
type brokenClient struct {
	name   string
	bug    string
	caught []string // the checks that must catch it; all others must pass
	run    func(port string)
}

var broken = []brokenClient{
	{"chat", "none: it is lab chat", nil, func(port string) {
		if err := (chat.Chat{Addr: port, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}).Run(); err != nil {
			os.Exit(1)
		}
	}},
	{"plain", "none: the loop of the others", nil, loop{}.run},
	{"spins-after-fin", "takes no notice of a recv of 0", []string{"client/much", "client/binary", "client/fin", "client/end", "client/owed"}, loop{ignoresFIN: true}.run},
	{"spins-after-reset", "takes no notice of a recv of −1", []string{"client/reset"}, loop{ignoresReset: true}.run},
	{"takes-turns", "sleeps in a read of the keyboard, and notices too late", []string{"client/halves", "client/unasked", "client/much", "client/binary", "client/fin", "client/reset", "client/owed"}, takeTurns},
	{"shows-stale-bytes", "shows the buffer up to the first NUL, and not what recv brought", []string{"client/short"}, loop{show: stale()}.run},
	{"hides-lines", "reads all that was typed, and sends one line of it", []string{"client/paste"}, loop{send: oneLine}.run},
	{"leaves-early", "closes at the end of its input", []string{"client/owed"}, loop{atEOF: func(fd int) { os.Exit(0) }}.run},
	{"floods-at-the-end", "sends its last line again and again at the end of its input", []string{"client/end", "client/owed"}, loop{atEOF: func(fd int) {
		for {
			if _, err := unix.Write(fd, []byte("hello\n")); err != nil {
				os.Exit(0)
			}
		}
	}}.run},
	{"pads", "sends its whole buffer", []string{"client/serves", "client/late", "client/halves", "client/coalesced", "client/short", "client/much", "client/binary", "client/paste", "client/empty", "client/silence", "client/fin", "client/reset", "client/end", "client/owed"}, loop{send: func(fd int, typed []byte) {
		unix.Write(fd, append(bytes.Repeat([]byte{0}, 1024-len(typed)), typed...))
	}}.run},
	{"skips-empty-lines", "does not send an empty line", []string{"client/empty"}, loop{send: func(fd int, typed []byte) {
		if string(typed) != "\n" {
			unix.Write(fd, typed)
		}
	}}.run},
	{"stops-at-nul", "prints what it received as a C string", []string{"client/binary"}, loop{show: func(got []byte) {
		before, _, _ := bytes.Cut(got, []byte{0})
		os.Stdout.Write(before)
	}}.run},
	{"shows-one-line", "shows the first line of what recv brought", []string{"client/coalesced", "client/much"}, loop{show: func(got []byte) {
		line, _, ended := bytes.Cut(got, []byte("\n"))
		if ended && !bytes.HasPrefix(got, []byte{0}) {
			line = append(line, '\n')
		} else {
			line = got
		}
		os.Stdout.Write(line)
	}}.run},
	{"adds-newlines", "takes what recv brought for a line", []string{"client/halves", "client/much"}, loop{show: func(got []byte) {
		fmt.Printf("%s\n", bytes.TrimSuffix(got, []byte("\n")))
	}}.run},
	{"loses-patience", "ends when nothing comes for a second", []string{"client/late"}, loop{patience: 1000}.run},
	{"never-sleeps", "asks again and again", []string{"client/late", "client/silence"}, loop{patience: 1}.run},
	{"fails-silently", "ends with exit code 0 when nobody listens", []string{"client/refused"}, loop{refused: 0, quiet: true}.run},
}

// A loop is a client that waits for both with poll(2). Its zero value is right.
type loop struct {
	ignoresFIN, ignoresReset, quiet bool
	patience, refused               int // ms of silence after which it ends; 1: it only goes on
	send                            func(fd int, typed []byte)
	show                            func(got []byte)
	atEOF                           func(fd int)
}

func (l loop) run(port string) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		if l.quiet {
			os.Exit(0)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		panic(err)
	}
	fd := int(file.Fd())
	if l.send == nil {
		l.send = func(fd int, typed []byte) { unix.Write(fd, typed) }
	}
	if l.show == nil {
		l.show = func(got []byte) { os.Stdout.Write(got) }
	}
	if l.atEOF == nil {
		l.atEOF = func(fd int) { unix.Shutdown(fd, unix.SHUT_WR) }
	}
	both := []unix.PollFd{{Fd: 0, Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}}
	buf := make([]byte, 4096)
	for {
		wait := -1
		if l.patience == 1 {
			wait = 0
		} else if l.patience > 0 {
			wait = l.patience
		}
		ready, _ := unix.Poll(both, wait)
		if ready == 0 && l.patience > 1 {
			return
		}
		if both[0].Revents != 0 {
			n, _ := unix.Read(0, buf)
			if n <= 0 {
				both[0].Fd = -1
				l.atEOF(fd)
			} else {
				l.send(fd, buf[:n])
			}
		}
		if both[1].Revents != 0 {
			n, err := unix.Read(fd, buf)
			switch {
			case err != nil && !l.ignoresReset:
				return
			case err != nil:
				for spins := true; spins; { // −1 is not 0: it reads on
					spins = time.Now().Unix() > 0
				}
			case n == 0 && !l.ignoresFIN:
				return
			case n > 0:
				l.show(buf[:n])
			}
		}
	}
}

// stale shows a buffer that keeps what longer answers have left in it.
func stale() func(got []byte) {
	var buf [8192]byte
	return func(got []byte) {
		copy(buf[:], got)
		shown, _, _ := bytes.Cut(buf[:], []byte{0})
		if bytes.IndexByte(got, 0) >= 0 || len(got) > 2000 {
			shown = got
		}
		os.Stdout.Write(shown)
		if len(got) > 2000 {
			clear(buf[:])
		}
	}
}

// oneLine sends the first line of what was typed.
func oneLine(fd int, typed []byte) {
	line, _, _ := strings.Cut(string(typed), "\n")
	unix.Write(fd, []byte(line+"\n"))
}

// takeTurns reads a line, sends it, waits for an answer.
func takeTurns(port string) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		os.Exit(1)
	}
	buf := make([]byte, 1<<20)
	for {
		n := 0
		for n == 0 || buf[n-1] != '\n' { // a line, byte by byte
			if k, err := os.Stdin.Read(buf[n : n+1]); err != nil || k == 0 {
				conn.(*net.TCPConn).CloseWrite()
				for {
					n, err := conn.Read(buf)
					os.Stdout.Write(buf[:n])
					if err != nil {
						return
					}
				}
			}
			n++
		}
		conn.Write(buf[:n])
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		os.Stdout.Write(buf[:n])
	}
}

// TestClients holds the checks to clients of which is known what is wrong with
// them: each must be caught by just the checks that its bug concerns.
func TestClients(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	proved := map[string]bool{}
	t.Cleanup(func() { // when all have run
		for _, c := range Checks {
			if !proved[c.ID] && !t.Failed() {
				t.Errorf("no broken client is caught by %s", c.ID)
			}
		}
	})
	for _, b := range broken {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			result, err := Verify(context.Background(), []string{exe, b.name, "{port}"}, Checks, Options{Wait: 1500 * time.Millisecond, Together: 4})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range result.Subjects[0].Checks {
				caught := c.Status == report.Fail
				if caught {
					mu.Lock()
					proved[c.ID] = true
					mu.Unlock()
				}
				if want := slices.Contains(b.caught, c.ID); caught != want {
					t.Errorf("it %s: %s: caught %v, want %v: expected %s; actual %s", b.bug, c.ID, caught, want, c.Expected, c.Actual)
				}
			}
		})
	}
}
