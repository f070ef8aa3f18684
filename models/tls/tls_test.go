package tls_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/internal/modeltest"
	"socketlab/models/session"
	"socketlab/models/sys"
	page "socketlab/models/tls"
)

// A server is the page, serving.
type server struct {
	*testing.T
	addr, ca string
	screen   *os.File
	stop     func() // shuts the listener down
	ended    chan error
}

// serve starts it. At the end of the test it stops, within its grace.
func serve(t *testing.T, service session.Service, change func(*models.Job)) *server {
	t.Helper()
	lfd, addr := modeltest.Listen(t, 20)
	config, ca := modeltest.TLS(t)
	screen, shown, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	job := models.Job{Listener: lfd, Service: service, Keyboard: -1, Screen: int(shown.Fd()), TLS: config, Grace: time.Millisecond}
	if change != nil {
		change(&job)
	}
	s := &server{T: t, addr: addr, ca: ca, screen: screen, ended: make(chan error, 1)}
	go func() { s.ended <- page.Serve(job) }()
	stopped := false
	s.stop = func() {
		if !stopped {
			sys.Shutdown(lfd, unix.SHUT_RDWR)
		}
		stopped = true
	}
	t.Cleanup(func() {
		s.stop()
		select {
		case err := <-s.ended:
			if err != nil {
				t.Errorf("Serve returns %v", err)
			}
		case <-time.After(modeltest.Patience):
			t.Error("Serve does not end")
		}
		sys.Close(lfd)
		screen.Close()
		shown.Close()
	})
	return s
}

var echo = session.Service{Name: "echo"}

// run runs a client that nobody here wrote, and returns all that it printed.
func run(t *testing.T, input string, command ...string) string {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing; install it: scripts/setup", command[0])
		}
		t.Skipf("%s is missing; install it: scripts/setup", command[0])
	}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(input)
	out, _ := cmd.CombinedOutput() // how it ends is said there
	return string(out)
}

func TestOpenSSLClient(t *testing.T) {
	s := serve(t, session.Service{Name: "talk", Greeting: "Welcome to the server!"}, nil)
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		out := run(t, "hello\nexit\n", "openssl", "s_client", "-quiet", "-verify_return_error", version, "-CAfile", s.ca, "-connect", s.addr)
		if !strings.Contains(out, "Welcome to the server!\n") {
			t.Errorf("openssl s_client %s: %s", version, out)
		}
	}
	out := run(t, "", "openssl", "s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-CAfile", s.ca, "-connect", s.addr)
	if !strings.Contains(out, "alert protocol version") {
		t.Errorf("openssl s_client -tls1_1: %s", out)
	}
}

// OpenSSL asks for new keys in mid-stream: R. It is refused, and the server
// goes on.
func TestRenegotiation(t *testing.T) {
	s := serve(t, echo, nil)
	out := run(t, "R\n", "openssl", "s_client", "-tls1_2", "-CAfile", s.ca, "-connect", s.addr)
	if !strings.Contains(out, "RENEGOTIATING") || !strings.Contains(out, "alert") {
		t.Errorf("openssl s_client: %s", out)
	}
	s.echoes(modeltest.DialTLS(t, s.addr))
}

const pythonClient = `
import socket, ssl, sys
host, port = sys.argv[1].split(":")
context = ssl.create_default_context(cafile=sys.argv[2])
with context.wrap_socket(socket.create_connection((host, port)), server_hostname=host) as c:
    c.sendall(b"x" * 100000)
    got = b""
    while len(got) < 100000:
        got += c.recv(65536)
    c.unwrap()  # it fails unless close_notify is answered
    print(c.version() or "ended well", len(got))
`

func TestPythonClient(t *testing.T) {
	s := serve(t, echo, nil)
	if out := run(t, "", "python3", "-c", pythonClient, s.addr, s.ca); !strings.Contains(out, "100000") || strings.Contains(out, "Error") {
		t.Errorf("Python's ssl: %s", out)
	}
}

func (s *server) echoes(c *modeltest.Secured) {
	s.Helper()
	modeltest.Send(s, c, "hello\n")
	modeltest.Expect(s, c, "hello\n")
}

// fails waits until the server has ended a connection, and returns what it sent.
func (s *server) fails(c net.Conn) []byte {
	s.Helper()
	got, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.Fatal("the server does not end the connection")
	}
	return got
}

// Who stalls in the handshake is let go after a while, and stalls nobody.
func TestStalledHandshake(t *testing.T) {
	s := serve(t, session.Service{Name: "talk"}, nil)
	stalled := modeltest.Dial(t, s.addr)
	modeltest.Send(t, stalled, "\x16\x03\x01")
	other := modeltest.DialTLS(t, s.addr)
	modeltest.Send(t, other, "hello\n")
	modeltest.Expect(t, s.screen, "client 2 is here\nclient 2 says: hello\n")
	s.fails(stalled)
	modeltest.Expect(t, s.screen, "client 1: context deadline exceeded\n")
}

// Garbage is answered by an alert, and is the end of this client only.
func TestGarbage(t *testing.T) {
	s := serve(t, session.Service{Name: "talk"}, nil)
	for i, garbage := range []string{"hello, is this plain?\n", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"} {
		c := modeltest.Dial(t, s.addr)
		modeltest.Send(t, c, garbage)
		if got := s.fails(c); len(got) != 7 || got[0] != 21 || got[5] != 2 {
			t.Errorf("%q is answered by %x, want a fatal alert", garbage, got)
		}
		modeltest.Expect(t, s.screen, "client "+strconv.Itoa(i+1)+": ")
		if said := s.line(); !strings.Contains(said, "tls: ") {
			t.Errorf("%q: the operator is told %q", garbage, said)
		}
	}
	c := modeltest.DialTLS(t, s.addr)
	modeltest.Send(t, c, "hello\n")
	modeltest.Expect(t, s.screen, "client 3 is here\nclient 3 says: hello\n")
}

// line reads the rest of a line on the screen.
func (s *server) line() (text string) {
	for c := make([]byte, 1); ; text += string(c) {
		if n, err := s.screen.Read(c); n == 0 || err != nil || c[0] == '\n' {
			return text
		}
	}
}

// After close_notify all that is owed is sent; FIN alone may be somebody else's,
// and the operator is told.
func TestEnds(t *testing.T) {
	s := serve(t, echo, nil)
	c := modeltest.DialTLS(t, s.addr)
	want := bytes.Repeat([]byte("all that is owed\n"), 1<<16)
	go func() {
		c.Write(want)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) || c.Wire.FIN() {
		t.Errorf("%d bytes came back, want %d: %v, FIN alone: %v", len(got), len(want), err, c.Wire.FIN())
	}

	talk := serve(t, session.Service{Name: "talk"}, nil)
	c = modeltest.DialTLS(t, talk.addr)
	modeltest.Send(t, c, "hello\nand th")
	modeltest.Expect(t, talk.screen, "client 1 is here\nclient 1 says: hello\n")
	c.TCP.CloseWrite()
	talk.fails(c)
	modeltest.Expect(t, talk.screen, "client 1 says: and th\nclient 1 left\nclient 1: FIN without close_notify")
}

// When the server stops, those who are left are told by close_notify.
func TestGoodbye(t *testing.T) {
	s := serve(t, echo, nil)
	c := modeltest.DialTLS(t, s.addr)
	s.echoes(c)
	s.stop()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF || c.Wire.FIN() {
		t.Errorf("the server stops: %v, FIN: %v; want close_notify", err, c.Wire.FIN())
	}
}

// With authorities for clients, who has no certificate or another one gets an
// alert.
func TestMutual(t *testing.T) {
	own, _ := modeltest.TLS(t)
	trusted, err := x509.ParseCertificate(own.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, echo, func(job *models.Job) {
		job.TLS.ClientCAs = x509.NewCertPool()
		job.TLS.ClientCAs.AddCert(trusted)
		job.TLS.ClientAuth = tls.RequireAndVerifyClientCert
	})
	other, _ := modeltest.TLS(t)
	for _, test := range []struct {
		name string
		own  tls.Certificate
		want string
	}{
		{"the right one", own.Certificates[0], ""},
		{"none", tls.Certificate{}, "certificate required"},
		{"another", other.Certificates[0], "unknown certificate"},
	} {
		c := tls.Client(modeltest.Dial(t, s.addr), &tls.Config{
			InsecureSkipVerify:   true,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &test.own, nil },
		})
		c.Write([]byte("hello\n"))
		_, err := io.ReadFull(c, make([]byte, 6))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
