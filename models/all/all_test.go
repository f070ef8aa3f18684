package all_test

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/all"
	"socketlab/models/session"
	"socketlab/models/sys"
)

// patience is how long an event may take on the slowest machine.
const patience = 20 * time.Second

// TestMain is the process model's child too, as main is.
func TestMain(m *testing.M) {
	all.Child()
	if conn, err := net.Dial("udp", "127.0.0.1:9"); err == nil {
		conn.Close() // the Go runtime has opened what it keeps for itself
	}
	os.Exit(m.Run())
}

// A server is a model that is serving.
type server struct {
	*testing.T
	lfd      int
	addr     string
	operator *os.File // types here; nil: there is none
	screen   *os.File // shows here
	ended    chan error
}

// serve starts the model, and at the end of the test has it stop: it must then
// return nil, and leave no descriptor behind.
func serve(t *testing.T, m models.Model, s session.Service) *server {
	t.Helper()
	before := descriptors()
	lfd, err := sys.Listen(netip.MustParseAddrPort("127.0.0.1:0"), 20)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := sys.LocalAddr(lfd)
	if err != nil {
		t.Fatal(err)
	}
	v := &server{T: t, lfd: lfd, addr: addr.String(), ended: make(chan error, 1)}
	job := models.Job{Listener: lfd, Service: s, Keyboard: -1, Screen: -1}
	var ours []*os.File
	if s.Name == "talk" {
		keyboard, operator := filePipe(t)
		screen, shown := filePipe(t)
		v.operator, v.screen = operator, screen
		ours = []*os.File{keyboard, operator, screen, shown}
		job.Keyboard, job.Screen = int(keyboard.Fd()), int(shown.Fd())
	}
	go func() { v.ended <- m.Serve(job) }()
	t.Cleanup(func() {
		if err := sys.Shutdown(lfd, unix.SHUT_RDWR); err != nil {
			t.Error(err)
		}
		if v.operator != nil {
			v.operator.Close() // whoever listens to the operator ends too
		}
		select {
		case err := <-v.ended:
			if err != nil {
				t.Errorf("Serve returns %v, want nil after its listener was shut down", err)
			}
		case <-time.After(patience):
			t.Fatalf("after %v Serve has not returned, though its clients have left", patience)
		}
		for _, f := range ours {
			f.Close()
		}
		sys.Close(lfd)
		within(t, "no descriptor is left behind", func() bool { return descriptors() <= before })
	})
	return v
}

// filePipe is a pipe whose ends are closed on exec.
func filePipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return reader, writer
}

func descriptors() int {
	fds, _ := filepath.Glob("/proc/self/fd/*")
	return len(fds)
}

func within(t *testing.T, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !happened(); <-tick.C {
		if time.Since(start) > patience {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// dial connects a client; its calls fail when they take too long.
func (v *server) dial() *net.TCPConn {
	v.Helper()
	conn, err := net.Dial("tcp", v.addr)
	if err != nil {
		v.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	v.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// send writes all of text, which must work.
func (v *server) send(to io.Writer, text string) {
	v.Helper()
	if _, err := io.WriteString(to, text); err != nil {
		v.Fatal(err)
	}
}

// expect reads as much as text, which it must be.
func (v *server) expect(from io.Reader, text string) {
	v.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(from, got); err != nil || string(got) != text {
		v.Fatalf("got %q (%v), want %q", got[:n], err, text)
	}
}

// eachModel runs a test for every page, as far as this machine allows it.
func eachModel(t *testing.T, test func(*testing.T, models.Model)) {
	for _, m := range all.Models {
		t.Run(m.Name, func(t *testing.T) {
			if m.Available != nil && m.Available() != nil {
				t.Skip(m.Available())
			}
			test(t, m)
		})
	}
}

// After the client's FIN it gets all that it is owed, then the server's FIN.
func TestModelsEcho(t *testing.T) {
	eachModel(t, func(t *testing.T, m models.Model) {
		v := serve(t, m, session.Service{Name: "echo"})
		c := v.dial()
		want := bytes.Repeat([]byte("\x00\xffhello\r\n"), 1<<17)
		go func() {
			c.Write(want)
			c.CloseWrite()
		}()
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes came back as %d, or others (%v)", len(want), len(got), err)
		}
	})
}

func TestModelsTalk(t *testing.T) {
	eachModel(t, func(t *testing.T, m models.Model) {
		v := serve(t, m, session.Service{Name: "talk"})
		c := v.dial()
		v.expect(v.screen, "client 1 is here\n")
		v.send(c, "hel")
		v.send(c, "lo\x1b\r\n")
		v.expect(v.screen, `client 1 says: hello\x1b`+"\n")
		v.send(v.operator, "good day\n")
		v.expect(c, "good day\n")
		v.send(c, "exit\n")
		v.expect(v.screen, "client 1 left\n")
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after exit the client reads %d bytes, %v; want the end", n, err)
		}
	})
}

// The operator speaks at the moment when a client has been reset: the server
// finds out twice, by writing to it and by its readiness. To have both happen
// at once, a third one keeps the model busy. Nobody else notices.
func TestOperatorSpeaksToAResetClient(t *testing.T) {
	eachModel(t, func(t *testing.T, m models.Model) {
		if m.Limit == 1 {
			return // nobody is beside this client
		}
		v := serve(t, m, session.Service{Name: "talk", Sleep: 100 * time.Millisecond})
		busy := v.dial()
		v.expect(v.screen, "client 1 is here\n")
		gone := v.dial()
		v.expect(v.screen, "client 2 is here\n")
		v.send(busy, "hello\n")
		gone.SetLinger(0) // RST instead of FIN
		gone.Close()
		v.send(v.operator, "@2 are you there?\n@1 hello\n")
		v.expect(busy, "hello\n")
		screen := make([]byte, 4096)
		var shown []byte
		for !bytes.Contains(shown, []byte("client 2 left\n")) || !bytes.Contains(shown, []byte("says: hello\n")) {
			v.screen.SetReadDeadline(time.Now().Add(patience))
			n, err := v.screen.Read(screen)
			if err != nil {
				t.Fatalf("the screen shows %q, and then %v", shown, err)
			}
			shown = append(shown, screen[:n]...)
		}
		if n := strings.Count(string(shown), "client 2 left\n"); n != 1 {
			t.Errorf("client 2 left %d times: %q", n, shown)
		}
	})
}
