// Package modeltest is what the tests of the pages share.
package modeltest

import (
	"io"
	"net"
	"net/netip"
	"regexp"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/session"
	"socketlab/models/sys"
)

// Patience is how long an event may take on the slowest machine.
const Patience = 20 * time.Second

// Listen makes a listening socket, which the test closes.
func Listen(t testing.TB, backlog int) (lfd int, addr string) {
	t.Helper()
	lfd, err := sys.Listen(netip.MustParseAddrPort("127.0.0.1:0"), backlog)
	if err != nil {
		t.Fatal(err)
	}
	at, err := sys.LocalAddr(lfd)
	if err != nil {
		t.Fatal(err)
	}
	return lfd, at.String()
}

// Dial connects a client; its calls fail when they take too long.
func Dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(Patience))
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// Send writes all of text, which must work.
func Send(t testing.TB, to io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(to, text); err != nil {
		t.Fatal(err)
	}
}

// Expect reads as much as text, which it must be.
func Expect(t testing.TB, from io.Reader, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(from, got); err != nil || string(got) != text {
		t.Fatalf("got %q (%v), want %q", got[:n], err, text)
	}
}

// Within waits until something has happened that nobody tells of.
func Within(t testing.TB, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !happened(); <-tick.C {
		if time.Since(start) > Patience {
			t.Fatalf("after %v still not: %s", Patience, what)
		}
	}
}

// readers are the goroutines that a model has left reading from its operator.
var readers = regexp.MustCompile(`guests\.(start|Pass)|roles\.Serve`)

// NobodyReads waits until nobody reads what the operator types, once their end
// is closed. Only then may the other end be: its number may soon be another's.
func NobodyReads(t testing.TB) {
	t.Helper()
	Within(t, "nobody reads what the operator types", func() bool {
		stacks := make([]byte, 1<<20)
		return !readers.Match(stacks[:runtime.Stack(stacks, true)])
	})
}

// Serve has a model serve until the end of the test, without an operator. Its
// clients have left by then, and it returns nil.
func Serve(t testing.TB, m models.Model, s session.Service) (lfd int, addr string) {
	t.Helper()
	lfd, addr = Listen(t, 20)
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(models.Job{Listener: lfd, Service: s, Keyboard: -1, Screen: -1}) }()
	t.Cleanup(func() {
		sys.Shutdown(lfd, unix.SHUT_RDWR)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%s returns %v", m.Name, err)
			}
		case <-time.After(Patience):
			t.Errorf("%s has not returned, though its clients have left", m.Name)
		}
		sys.Close(lfd)
	})
	return lfd, addr
}
