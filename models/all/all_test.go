package all_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/all"
	"socketlab/models/internal/modeltest"
	"socketlab/models/session"
	"socketlab/models/sys"
)

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
	dial     func() conn
	operator *os.File // types here; nil: there is none
	keyboard int      // and is read here
	screen   *os.File // shows here
	ended    chan error
}

// A conn is one of a client's, over TLS if the model speaks it.
type conn interface {
	net.Conn
	CloseWrite() error
	SetLinger(seconds int) error
}

// serve starts the model, and at the end of the test has it stop: it must then
// return nil, and leave no descriptor behind.
func serve(t *testing.T, m models.Model, s session.Service) *server {
	t.Helper()
	before := descriptors()
	lfd, addr := modeltest.Listen(t, 20)
	v := &server{T: t, lfd: lfd, ended: make(chan error, 1)}
	job := models.Job{Listener: lfd, Service: s, Keyboard: -1, Screen: -1, Grace: modeltest.Patience}
	v.dial = func() conn { return modeltest.Dial(t, addr) }
	if m.TLS {
		job.TLS, _ = modeltest.TLS(t)
		v.dial = func() conn { return modeltest.DialTLS(t, addr) }
	}
	var ours []*os.File
	if s.Name == "talk" {
		keyboard, operator := filePipe(t)
		screen, shown := filePipe(t)
		v.operator, v.screen, v.keyboard = operator, screen, int(keyboard.Fd())
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
		case <-time.After(modeltest.Patience):
			t.Fatalf("after %v Serve has not returned, though its clients have left", modeltest.Patience)
		}
		modeltest.NobodyReads(t)
		for _, f := range ours {
			f.Close()
		}
		sys.Close(lfd)
		modeltest.Within(t, "no descriptor is left behind", func() bool { return descriptors() <= before })
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

// eachModel runs a test for every page, as far as this machine allows it.
func eachModel(t *testing.T, test func(*testing.T, models.Model)) {
	for _, m := range all.Every() {
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
		v := serve(t, m, session.Service{Name: "talk", Greeting: "Welcome to the server!"})
		c := v.dial()
		modeltest.Expect(t, c, "Welcome to the server!\n")
		modeltest.Expect(t, v.screen, "client 1 is here\n")
		modeltest.Send(t, c, "hel")
		modeltest.Send(t, c, "lo\x1b\r\n")
		modeltest.Expect(t, v.screen, `client 1 says: hello\x1b`+"\n")
		modeltest.Send(t, v.operator, "good day\n")
		modeltest.Expect(t, c, "good day\n")
		modeltest.Send(t, c, "exit\n")
		modeltest.Expect(t, v.screen, "client 1 left\n")
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
		modeltest.Expect(t, v.screen, "client 1 is here\n")
		gone := v.dial()
		modeltest.Expect(t, v.screen, "client 2 is here\n")
		modeltest.Send(t, busy, "hello\n")
		gone.SetLinger(0) // RST instead of FIN
		gone.Close()
		modeltest.Send(t, v.operator, "@2 are you there?\n@1 hello\n")
		modeltest.Expect(t, busy, "hello\n")
		screen := make([]byte, 4096)
		var shown []byte
		for !bytes.Contains(shown, []byte("client 2 left\n")) || !bytes.Contains(shown, []byte("says: hello\n")) {
			v.screen.SetReadDeadline(time.Now().Add(modeltest.Patience))
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

// A long text that is pasted reaches a client that reads as fast as it can,
// whole: the operator is read more slowly instead.
func TestPaste(t *testing.T) {
	eachModel(t, func(t *testing.T, m models.Model) {
		if m.Limit == 1 {
			return // the operator has one read for each word of the client
		}
		v := serve(t, m, session.Service{Name: "talk"})
		c := v.dial()
		modeltest.Expect(t, v.screen, "client 1 is here\n")
		var text strings.Builder
		for n := 0; text.Len() < 1<<20; n++ {
			fmt.Fprintf(&text, "line %d\n", n)
		}
		go io.WriteString(v.operator, text.String())
		modeltest.Expect(t, c, text.String())
	})
}

// An operator's input that somebody has made non-blocking is waited for: that
// nothing is typed for a while is not its end.
func TestNonblockingOperator(t *testing.T) {
	eachModel(t, func(t *testing.T, m models.Model) {
		v := serve(t, m, session.Service{Name: "talk"})
		c := v.dial()
		for n := range 3 {
			modeltest.Send(t, c, "what now?\n")
			if n == 0 {
				modeltest.Expect(t, v.screen, "client 1 is here\n")
			}
			modeltest.Expect(t, v.screen, "client 1 says: what now?\n")
			if err := unix.SetNonblock(v.keyboard, true); err != nil {
				t.Fatal(err)
			}
			modeltest.Send(t, v.operator, "wait\n")
			modeltest.Expect(t, c, "wait\n")
		}
	})
}

// What the operator types for nobody is told, and so is what was not meant so.
func TestOperatorIsTold(t *testing.T) {
	eachModel(t, func(t *testing.T, m models.Model) {
		v := serve(t, m, session.Service{Name: "talk"})
		c := v.dial()
		modeltest.Send(t, c, "hello\n")
		modeltest.Expect(t, v.screen, "client 1 is here\nclient 1 says: hello\n")
		modeltest.Send(t, v.operator, "@9 nobody\n@1\n")
		modeltest.Expect(t, v.screen, "no client 9\n@1 alone went to all clients: for client 1 only, type @1 TEXT\n")
		modeltest.Expect(t, c, "@1\n")
	})
}

// The steps are compared with the one before, a variant with its model, and no
// step with a variant.
func TestBefore(t *testing.T) {
	defer func(before []models.Model) { all.Models = before }(all.Models)
	all.Models = []models.Model{{Name: "first"}, {Name: "second"}, {Name: "side", Variant: "first"}, {Name: "third"}}
	for i, want := range []string{"", "first", "first", "second"} {
		if m, any := all.Before(all.Models[i]); m.Name != want || any != (want != "") {
			t.Errorf("%s is compared with %q, want %q", all.Models[i].Name, m.Name, want)
		}
	}
}
