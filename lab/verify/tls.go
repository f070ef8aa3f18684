package verify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"socketlab/lab/certs"
	"socketlab/lab/proc"
	"socketlab/lab/report"
)

// The checks of servers that speak TLS. Those of the other groups hold for them
// too, over TLS: what a client says with FIN it says with close_notify then.
var tlsChecks = []Check{
	{
		ID: "tls/handshake", Level: report.Must, Service: "tls",
		Says:   "does a TLS handshake, shows a certificate that the client trusts, for the name it asked for, and serves",
		Causes: []string{"tls-handshake"},
		Try:    `openssl s_client -connect 127.0.0.1:PORT -CAfile CA -verify_return_error </dev/null`,
		Run: func(t *T) {
			c := t.bare()
			strict := t.tls.Clone()
			strict.InsecureSkipVerify = false // elsewhere it does not matter who the server is
			s, err := c.handshake(strict)
			if err != nil {
				c.fail("a handshake", certs.Explain(err).Error())
			}
			state := s.ConnectionState()
			t.Tell("%s has shaken hands: %s, %s", c.name, tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
			c.echoes(s)
		},
	},
	{
		ID: "tls/greeting", Level: report.Must, Service: "tls",
		Says:   "says nothing before the handshake, not even a greeting",
		Causes: []string{"tls-greeting"},
		Try:    `timeout 1 nc 127.0.0.1 PORT </dev/null | head -c 100`,
		Run: func(t *T) {
			c := t.bare()
			if c.Arrives(500 * time.Millisecond) {
				p := make([]byte, 64)
				n, err := c.conn.Read(p)
				if n > 0 {
					c.fail("silence until the client begins the handshake", quantity(p[:n]))
				}
				c.fail("to wait for the client's handshake", err.Error())
			}
			s, err := c.handshake(t.tls)
			if err != nil {
				c.fail("a handshake", certs.Explain(err).Error())
			}
			c.echoes(s)
		},
	},
	{
		ID: "tls/stalled", Level: report.Must, Service: "tls",
		Says:   "is not stalled by clients that stall in their handshake",
		Causes: []string{"tls-stalled"},
		Try:    `(sleep 9 | nc 127.0.0.1 PORT) & openssl s_client -connect 127.0.0.1:PORT </dev/null`,
		Run: func(t *T) {
			if t.Limit == 1 {
				t.Skip("serves one client at a time")
			}
			silent, half := t.bare(), t.bare()
			half.Send(hello[:20])
			half.Flush()
			t.Tell("%s says nothing, %s stops in its ClientHello", silent.name, half.name)
			t.Dial().Echo([]byte("and me?\n"))
		},
	},
	{
		ID: "tls/deadline", Level: report.Should, Service: "tls", Long: true,
		Says:   "lets a client go that stalls in its handshake for 30 s",
		Causes: []string{"tls-deadline"},
		Try:    `time nc 127.0.0.1 PORT </dev/zero >/dev/null`,
		Run: func(t *T) {
			c := t.bare()
			c.Send(hello[:20])
			const patience = 30 * time.Second
			begin := time.Now()
			if !c.Arrives(min(patience, 6*t.Wait)) {
				c.fail("the end of the connection", fmt.Sprintf("nothing for %.0f s", time.Since(begin).Seconds()))
			}
			t.Tell("the server let %s go after %.0f s", c.name, time.Since(begin).Seconds())
		},
	},
	{
		ID: "tls/garbage", Level: report.Must, Service: "tls",
		Says:   "ends a client that sends plain text or garbage, and only that one",
		Causes: []string{"tls-garbage"},
		Try:    `echo hello | timeout 2 nc 127.0.0.1 PORT | xxd`,
		Run: func(t *T) {
			other := t.bystander()
			for _, garbage := range garbages {
				c := t.bare()
				c.Send(garbage)
				c.ends()
				other()
			}
		},
	},
	{
		ID: "tls/alert", Level: report.Should, Service: "tls",
		Says:   "answers garbage with an alert: RFC 8446, section 6.2",
		Causes: []string{"tls-alert"},
		Try:    `printf '\026\003\001\000\005\001\000\000\001\000' | timeout 2 nc 127.0.0.1 PORT | xxd`,
		Run: func(t *T) {
			for _, garbage := range garbages {
				c := t.bare()
				c.Send(garbage)
				if got := c.ends(); len(got) < 7 || got[0] != 21 {
					c.fail("an alert: a record of type 21", quantity(got))
				}
			}
		},
	},
	{
		ID: "tls/truncated", Level: report.Must, Service: "tls",
		Says:   "closes its side after a FIN without close_notify, in mid-record too",
		Causes: []string{"tls-truncated"},
		Try:    `(echo hello; sleep 1) | timeout -s KILL 0.5 openssl s_client -quiet -connect 127.0.0.1:PORT; sleep 1; ss -tan 'sport = :PORT'`,
		Run: func(t *T) {
			other := t.bystander()
			for _, rest := range [][]byte{nil, {23, 3, 3, 0, 100, 1, 2, 3}} {
				c := t.bare()
				s, err := c.handshake(t.tls)
				if err != nil {
					c.fail("a handshake", certs.Explain(err).Error())
				}
				c.echoes(s)
				c.conn.Write(rest)
				c.HalfClose()
				c.ends()
				other()
			}
			t.Until("no socket of the server's in CLOSE_WAIT", func() (string, bool) {
				n := t.count(proc.CloseWait)
				return fmt.Sprintf("%d in CLOSE_WAIT", n), n == 0
			})
		},
	},
	{
		ID: "tls/close-notify", Level: report.Must, Service: "tls",
		Says:   "after the client's close_notify sends all it owes, then close_notify, then FIN",
		Causes: []string{"tls-close-notify"},
		Try:    `echo hello | timeout 3 openssl s_client -connect 127.0.0.1:PORT 2>&1 | grep -c 'unexpected eof'`,
		Run: func(t *T) {
			c := t.Dial()
			owed := random(mib)
			c.Send(owed)
			c.HalfClose()
			c.Expect(owed)
			c.ExpectFIN()
			if truncated(c.conn) {
				c.fail("close_notify, then FIN", "FIN alone")
			}
		},
	},
	{
		ID: "tls/version", Level: report.Must, Service: "tls",
		Says:   "refuses TLS 1.0 and 1.1: RFC 8996",
		Causes: []string{"tls-version"},
		Try:    `openssl s_client -tls1_1 -cipher ALL:@SECLEVEL=0 -connect 127.0.0.1:PORT </dev/null`,
		Run: func(t *T) {
			for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
				old := t.tls.Clone()
				old.MinVersion, old.MaxVersion = version, version
				c := t.bare()
				if _, err := c.handshake(old); err == nil {
					c.fail("a refusal", "a handshake of "+tls.VersionName(version))
				}
				t.Tell("%s was refused with %s", c.name, tls.VersionName(version))
			}
			t.Dial().Echo([]byte("hello\n"))
		},
	},
	{
		ID: "tls/resumption", Level: report.Should, Service: "tls",
		Says:   "resumes a session: the second handshake needs no certificate and no signature",
		Causes: []string{"tls-resumption"},
		Try:    `openssl s_client -reconnect -tls1_2 -connect 127.0.0.1:PORT </dev/null | grep Reused`,
		Run: func(t *T) {
			config := t.tls.Clone()
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for _, resumes := range []bool{false, true} {
				c := t.bare()
				s, err := c.handshake(config)
				if err != nil {
					c.fail("a handshake", certs.Explain(err).Error())
				}
				c.echoes(s) // tickets come with it
				if s.ConnectionState().DidResume != resumes {
					c.fail("to resume the session", "a full handshake")
				}
				s.Close()
			}
			t.Tell("the second client resumed the session")
		},
	},
	{
		ID: "tls/renegotiation", Level: report.Should, Service: "tls",
		Says:   "refuses to negotiate again on a connection of TLS 1.2",
		Causes: []string{"tls-renegotiation"},
		Try:    `(sleep 1; echo R; sleep 1) | timeout 4 openssl s_client -tls1_2 -connect 127.0.0.1:PORT 2>&1 | sed -n '/^RENEG/,$p'`,
		Run:    renegotiates,
	},
	{
		ID: "tls/client-certificate", Level: report.Must, Service: "tls", Mutual: true,
		Says:   "answers a client without the certificate that it asks for, or with a wrong one, with an alert",
		Causes: []string{"tls-client-certificate"},
		Try:    `openssl s_client -connect 127.0.0.1:PORT -cert WRONG.pem -key WRONG.key`,
		Run:    wrongCertificates,
	},
	{
		ID: "tls/burst", Level: report.Must, Service: "tls",
		Says:   "shakes hands with 200 clients that connect at the same moment",
		Causes: []string{"tls-burst"},
		Try:    `for i in $(seq 200); do openssl s_client -connect 127.0.0.1:PORT </dev/null & done`,
		Run: func(t *T) {
			n := t.Most(200)
			t.Each(n, func(int) {
				c := t.Knock()
				for c == nil {
					t.goOn()
					c = t.Knock()
				}
				c.Echo([]byte("hello\n"))
			})
			t.Tell("%d clients shook hands", n)
		},
	},
}

// hello is the beginning of a ClientHello: a handshake record of 512 bytes.
var hello = []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is nobody's random")

// garbages are what no TLS client says first: plain text; another version; a
// handshake message that is none.
var garbages = [][]byte{
	[]byte("hello, is this plain text?\n"),
	bytes.Repeat([]byte{0x80, 0xff, 0x00}, 100),
	[]byte("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"),
}

// bare connects a client that speaks only TCP so far.
func (t *T) bare() *Client {
	secure := t.tls
	t.tls = nil
	defer func() { t.tls = secure }()
	return t.Dial()
}

// handshake does what a client of its own would: nothing is told of its calls.
func (c *Client) handshake(config *tls.Config) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(c.t.ctx, c.t.Wait)
	defer cancel()
	c.conn.SetDeadline(time.Time{})
	s := tls.Client(c.conn, config)
	return s, s.HandshakeContext(ctx)
}

// echoes says a word over TLS, and hears it.
func (c *Client) echoes(s *tls.Conn) {
	word := []byte("hello\n")
	got := make([]byte, len(word))
	s.SetDeadline(time.Now().Add(c.t.Wait))
	defer s.SetDeadline(time.Time{})
	_, err := s.Write(word)
	if err == nil {
		_, err = io.ReadFull(s, got)
	}
	if err != nil {
		c.fail(quantity(word)+" over TLS", certs.Explain(err).Error())
	}
	if !bytes.Equal(got, word) {
		c.fail(quantity(word), quantity(got))
	}
}

// ends waits until the server has ended the connection, and returns what it
// said before: nothing, or an alert.
func (c *Client) ends() []byte {
	c.conn.SetReadDeadline(time.Now().Add(c.t.Wait))
	got, err := io.ReadAll(c.conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.fail("the end of this connection", "nothing for "+c.t.Wait.String())
	}
	c.t.Tell("%s received %s, and the end", c.name, quantity(got))
	return got
}

// wrongCertificates shows none, and one that nobody knows.
func wrongCertificates(t *T) {
	asked := false
	right := t.tls.GetClientCertificate
	config := t.tls.Clone()
	config.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		if right == nil {
			return new(tls.Certificate), nil
		}
		return right(request)
	}
	c := t.bare()
	s, err := c.handshake(config)
	switch {
	case !asked && err == nil:
		t.Skip("asks for no client certificate")
	case err != nil:
		c.fail("a handshake", certs.Explain(err).Error())
	case right == nil:
		t.Skip("asks for a client certificate: give one with --cert and --key")
	}
	c.echoes(s)
	stranger, err := strangersCertificate()
	if err != nil {
		t.Cannot("make a certificate", err)
	}
	for _, wrong := range []*tls.Certificate{{}, stranger} {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return wrong, nil }
		c := t.bare()
		s, err := c.handshake(config)
		if err == nil { // in TLS 1.3 the server's opinion comes later
			s.SetDeadline(time.Now().Add(t.Wait))
			s.Write([]byte("hello\n"))
			_, err = s.Read(make([]byte, 6))
		}
		name := "a certificate that a stranger has signed"
		if wrong != stranger {
			name = "no certificate"
		}
		switch {
		case err == nil:
			c.fail("an alert", "an answer to a client with "+name)
		case !isAlert(err):
			c.fail("an alert", "with "+name+": "+c.ending(err))
		}
		t.Tell("%s, with %s, received: %v", c.name, name, err)
	}
}

func strangersCertificate() (*tls.Certificate, error) {
	stranger, err := certs.NewAuthority("stranger")
	if err != nil {
		return nil, err
	}
	pair, err := stranger.Client("stranger")
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	return &cert, err
}

// renegotiates has OpenSSL's client ask: package tls cannot.
func renegotiates(t *T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: it asks for the renegotiation")
	}
	ctx, cancel := context.WithTimeout(t.ctx, max(t.Wait, 5*time.Second)) // a program has to start
	defer cancel()
	client := exec.CommandContext(ctx, "openssl", "s_client", "-tls1_2", "-connect", t.Server.Addr().String())
	keyboard, err := client.StdinPipe()
	if err != nil {
		t.Cannot("run openssl", err)
	}
	says, err := client.StdoutPipe()
	if err != nil {
		t.Cannot("run openssl", err)
	}
	client.Stderr = client.Stdout
	if err := client.Start(); err != nil {
		t.Cannot("run openssl", err)
	}
	t.Tell("openssl s_client -tls1_2 connects")
	var all []byte
	heard := func(words ...string) bool {
		for buf := make([]byte, 4096); ; {
			for _, word := range words {
				if bytes.Contains(all, []byte(word)) {
					return true
				}
			}
			n, err := says.Read(buf)
			all = append(all, buf[:n]...)
			if err != nil {
				return false
			}
		}
	}
	defer client.Wait()
	defer client.Process.Kill()
	established := heard("Extended master secret")
	if ctx.Err() != nil {
		t.Fail("a handshake", fmt.Sprintf("none with openssl; it printed %q", all))
	}
	if !established || bytes.Contains(all, []byte("Cipher is (NONE)")) {
		t.Skip("does not speak TLS 1.2, and TLS 1.3 has no renegotiation")
	}
	if bytes.Contains(all, []byte("alert number")) {
		t.Skip("does not let openssl in: it has no certificate")
	}
	io.WriteString(keyboard, "R\n")
	if !heard("RENEGOTIATING\n") {
		t.Cannot("have openssl ask for a renegotiation", fmt.Errorf("it printed %q", all))
	}
	all = all[bytes.Index(all, []byte("RENEGOTIATING\n")):]
	t.Tell("it asks for a renegotiation")
	if heard("verify return:", "depth=") {
		t.Fail("a refusal", "a new handshake")
	}
	if ctx.Err() != nil {
		t.Fail("a refusal", fmt.Sprintf("no answer for %v", t.Wait))
	}
	t.Tell("it was refused")
}
