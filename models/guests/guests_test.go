package guests_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/guests"
	"socketlab/models/internal/modeltest"
	"socketlab/models/session"
	"socketlab/models/sys"
)

// An operator types at one end, and sees the other.
func operator(t *testing.T) (keyboard, screen int, types io.WriteCloser, sees io.Reader) {
	t.Helper()
	pipe := func() (reader, writer *os.File) {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { reader.Close(); writer.Close() })
		return reader, writer
	}
	in, typed := pipe()
	seen, out := pipe()
	seen.SetReadDeadline(time.Now().Add(modeltest.Patience))
	t.Cleanup(func() { // before the pipes are closed, and their numbers are others'
		typed.Close()
		modeltest.NobodyReads(t)
	})
	return int(in.Fd()), int(out.Fd()), typed, seen
}

// A client who has room for a number of lines, and takes them when told to.
func client(room int) (tell guests.Tell, lines chan string) {
	lines = make(chan string, room)
	return func(line []byte) bool {
		select {
		case lines <- string(line):
			return true
		default:
			return false
		}
	}, lines
}

func hears(t *testing.T, lines chan string, want string) {
	t.Helper()
	select {
	case got := <-lines:
		if got != want {
			t.Fatalf("the client hears %q, want %q", got, want)
		}
	case <-time.After(modeltest.Patience):
		t.Fatalf("after %v the client has not heard %q", modeltest.Patience, want)
	}
}

func TestRelay(t *testing.T) {
	keyboard, screen, types, sees := operator(t)
	l := guests.NewList()
	tell1, hears1 := client(10)
	tell2, hears2 := client(10)
	l.Come(1, tell1)
	l.Come(2, tell2)
	l.Relay(keyboard, screen)
	modeltest.Send(t, types, "to all\n@2 to one\n@9 to nobody\n@2\nagain to all\n")
	hears(t, hears1, "to all\n")
	hears(t, hears2, "to all\n")
	hears(t, hears2, "@2 to one\n")
	modeltest.Expect(t, sees, "no client 9\n")
	hears(t, hears1, "@2\n")
	hears(t, hears2, "@2\n")
	modeltest.Expect(t, sees, "@2 alone went to all clients: for client 2 only, type @2 TEXT\n")
	hears(t, hears1, "again to all\n")
	l.Leave(1)
	modeltest.Send(t, types, "@1 are you there?\n")
	modeltest.Expect(t, sees, "no client 1\n")
}

// A client that reads slowly, but reads, misses nothing: the operator waits.
func TestPasteWaitsForAReader(t *testing.T) {
	keyboard, screen, types, sees := operator(t)
	l := guests.NewList()
	tell, lines := client(1)
	l.Come(1, tell)
	l.Relay(keyboard, screen)
	const n = 300
	go func() {
		for i := range n {
			fmt.Fprintf(types, "line %d\n", i)
		}
		fmt.Fprint(types, "@7 is the mark\n")
	}()
	for i := range n {
		hears(t, lines, fmt.Sprintf("line %d\n", i))
		if i%100 == 0 {
			time.Sleep(guests.Patience / 5) // is slow, and reads
		}
	}
	modeltest.Expect(t, sees, "no client 7\n") // and before that nothing
}

// One that does not read is waited for once, and not for each line.
func TestOneWhoDoesNotReadStallsNobody(t *testing.T) {
	keyboard, screen, types, sees := operator(t)
	l := guests.NewList()
	deaf, heap := client(1)
	tell, lines := client(100)
	l.Come(1, deaf)
	l.Come(2, tell)
	l.Relay(keyboard, screen)
	start := time.Now()
	for i := range 20 {
		line := fmt.Sprintf("line %d\n", i)
		modeltest.Send(t, types, line)
		hears(t, lines, line)
	}
	if took := time.Since(start); took > 3*guests.Patience {
		t.Errorf("20 lines took %v, want one wait of %v at most", took, guests.Patience)
	}
	modeltest.Expect(t, sees, strings.Repeat(string(session.Missed(1)), 19))
	hears(t, heap, "line 0\n") // now it reads: so it is told again, and waited for
	modeltest.Send(t, types, "good morning\n")
	hears(t, heap, "good morning\n")
}

// An operator's input that somebody has made non-blocking is not at its end
// because nothing is typed for a while.
func TestNonblockingKeyboard(t *testing.T) {
	keyboard, screen, types, _ := operator(t)
	if err := unix.SetNonblock(keyboard, true); err != nil {
		t.Fatal(err)
	}
	l := guests.NewList()
	tell, lines := client(10)
	l.Come(1, tell)
	l.Relay(keyboard, screen)
	for range 3 {
		modeltest.Within(t, "the relay waits", func() bool { return waiting(keyboard) })
		modeltest.Send(t, types, "hello\n")
		hears(t, lines, "hello\n")
	}
}

// waiting reports whether there is nothing to read.
func waiting(fd int) bool {
	n, _ := sys.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n == 0
}

func TestSomeoneLeaves(t *testing.T) {
	l := guests.NewList()
	if l.SomeoneLeaves() {
		t.Error("nobody is here, and somebody leaves")
	}
	l.Come(1, nil)
	reader, writer, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l.Come(2, nil, reader, writer)
	if n := l.Count(); n != 2 {
		t.Errorf("%d are here, want 2", n)
	}
	left := make(chan bool)
	go func() { left <- l.SomeoneLeaves() }()
	l.Leave(2)
	if !<-left {
		t.Error("one has left, and nobody leaves")
	}
	if _, err := sys.Write(writer, []byte{0}); err == nil {
		t.Error("its descriptors are open still")
	}
	go l.Leave(1)
	l.AllLeave()
	if n := l.Count(); n != 0 {
		t.Errorf("all have left, and %d are here", n)
	}
}
