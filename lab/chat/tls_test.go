package chat

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"socketlab/lab/certs"
)

// folder has certificates in it.
func folder(t *testing.T) (file func(name string) string) {
	t.Helper()
	dir := t.TempDir()
	made, err := certs.Folder(certs.Local)
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.Write(dir, made); err != nil {
		t.Fatal(err)
	}
	return func(name string) string { return filepath.Join(dir, name) }
}

// serveTLS serves one client over TLS.
func serveTLS(t *testing.T, file func(string) string, talk func(c *tls.Conn)) (addr string) {
	pair, err := certs.ReadPair(file("server.pem"), file("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, func(c *net.TCPConn) {
		talk(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}}))
	})
}

// openssl starts OpenSSL's own server, which returns each line reversed, and
// says where.
func openssl(t *testing.T, file func(string) string, options ...string) (addr string) {
	t.Helper()
	args := []string{"s_server", "-accept", "127.0.0.1:0", "-rev", "-cert", file("server.pem"), "-key", file("server.key")}
	server := exec.CommandContext(t.Context(), "openssl", append(args, options...)...)
	says, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") == "" {
			t.Skip("openssl is missing; install it: scripts/setup")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	lines := bufio.NewScanner(says)
	for lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "ACCEPT "); ok {
			go io.Copy(io.Discard, says)
			return at
		}
	}
	t.Fatal("openssl s_server does not listen")
	return ""
}

func TestOpenSSLServer(t *testing.T) {
	file := folder(t)
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		p := start(t, Chat{Addr: openssl(t, file, version), TLS: &certs.Client{CA: file("ca.pem")}})
		p.types("hello\n")
		p.out.shows("olleh\n")
		p.types("world\n")
		p.out.shows("dlrow\n")
		p.finishes()
		p.leaves(nil)
	}
}

func TestOpenSSLServerAsksWhoWeAre(t *testing.T) {
	file := folder(t)
	ask := []string{"-Verify", "1", "-verify_return_error", "-CAfile", file("ca.pem")}
	p := start(t, Chat{
		Addr: openssl(t, file, ask...),
		TLS:  &certs.Client{CA: file("ca.pem"), Cert: file("client.pem"), Key: file("client.key")},
	})
	p.types("hello\n")
	p.out.shows("olleh\n")
	p.finishes()
	p.leaves(nil)

	for _, test := range []struct{ name, want string }{
		{"", "give --cert and --key"},
		{"unknown-ca", "give another --cert and --key"},
	} {
		client := &certs.Client{CA: file("ca.pem")}
		if test.name != "" {
			client.Cert, client.Key = file(test.name+".pem"), file(test.name+".key")
		}
		p := start(t, Chat{Addr: openssl(t, file, ask...), TLS: client})
		if err := <-p.ended; err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("as %q it ended with %v, want %q", test.name, err, test.want)
		}
	}
}

func TestEightMiBSecured(t *testing.T) {
	file := folder(t)
	text := strings.Repeat("all that is owed is sent\n", 8<<20/25)
	addr := serveTLS(t, file, func(c *tls.Conn) {
		io.Copy(c, c)
		c.Close()
	})
	p := start(t, Chat{Addr: addr, TLS: &certs.Client{CA: file("ca.pem")}})
	go func() {
		io.WriteString(p.keyboard, text)
		p.finishes()
	}()
	if got := p.out.all(); got != text {
		t.Errorf("%d bytes came back, changed; want %d", len(got), len(text))
	}
	p.leaves(nil)
}

// Only close_notify is an end; FIN without it may be somebody's in between.
func TestEnds(t *testing.T) {
	file := folder(t)
	for _, test := range []struct {
		name string
		end  func(c *tls.Conn)
		want error
	}{
		{"close_notify", func(c *tls.Conn) { c.Close() }, nil},
		{"FIN alone", func(c *tls.Conn) { c.NetConn().Close() }, errTruncated},
		{"RST", func(c *tls.Conn) {
			c.NetConn().(*net.TCPConn).SetLinger(0)
			c.NetConn().Close()
		}, errReset},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := serveTLS(t, file, func(c *tls.Conn) {
				io.WriteString(c, "bye\n")
				c.Read(make([]byte, 100))
				test.end(c)
			})
			p := start(t, Chat{Addr: addr, TLS: &certs.Client{CA: file("ca.pem")}})
			p.out.shows("bye\n")
			p.types("bye\n")
			p.leaves(test.want)
		})
	}
}

func TestHandshakeFails(t *testing.T) {
	file := folder(t)
	greets := func(c *net.TCPConn) { io.WriteString(c, "Welcome to the server!\n") }
	leaves := func(c *net.TCPConn) { c.Read(make([]byte, 1<<10)) }
	secured := func(c *tls.Conn) { c.Handshake() }
	for _, test := range []struct {
		addr   string
		client certs.Client
		want   string
	}{
		{serve(t, greets), certs.Client{CA: file("ca.pem")}, "does not speak TLS"},
		{serve(t, leaves), certs.Client{CA: file("ca.pem")}, "does it speak TLS?"},
		{serveTLS(t, file, secured), certs.Client{CA: file("unknown-ca.pem")}, "is --tls the CA of this server?"},
		{serveTLS(t, file, secured), certs.Client{CA: file("none.pem")}, "there is no file"},
	} {
		p := start(t, Chat{Addr: test.addr, TLS: &test.client})
		err := <-p.ended
		var e *Error
		if !errors.As(err, &e) || e.Code != 2 || !strings.Contains(err.Error(), test.want) {
			t.Errorf("it ended with %v, want %q", err, test.want)
		}
	}
	p := start(t, Chat{Addr: serveTLS(t, file, func(c *tls.Conn) { io.WriteString(c, "hello\n"); c.Close() }), TLS: &certs.Client{Insecure: true}})
	p.out.shows("hello\n")
	p.leaves(nil)
}
