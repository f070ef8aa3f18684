package broken

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/certs"
	"socketlab/models/sys"
)

// Certificates are the files of a server that speaks TLS.
type Certificates struct {
	Cert, Key string
	ClientCA  string `name:"client-ca"` // clients need a certificate of this authority; "": they need none
}

// Own are those of this process.
var Own Certificates

// A secured server speaks TLS, right in all but one of these.
type secured struct {
	config    func(*tls.Config)                          // what is otherwise in it
	begin     func(c net.Conn)                           // what comes before the handshake
	handshake func(s *tls.Conn) error                    // how it is done
	alone     bool                                       // it is done where clients are accepted
	refused   func(c net.Conn, err error)                // what is done when it fails
	end       func(c net.Conn, s *tls.Conn, w *sys.Wire) // how a conversation ends
}

func tlsServers() []Server {
	return []Server{
		{
			Name: "shows-another-certificate", Service: "tls", Cause: "tls-handshake",
			Bug:    "shows a certificate that an unknown authority has signed",
			Caught: []string{"tls/handshake"},
			Serve:  secured{config: certifyElsewhere}.serve,
		},
		{
			Name: "speaks-in-the-clear", Service: "tls", Cause: "tls-greeting", Source: "Q",
			Bug:    "greets before the handshake, unencrypted, who is slow to begin it",
			Caught: []string{"tls/greeting"},
			// On a busy machine any client may be slow.
			Perhaps: []string{"*/*"},
			Serve: secured{begin: func(c net.Conn) {
				c.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
				raw, err := c.(*net.TCPConn).SyscallConn()
				if err != nil {
					return
				}
				err = raw.Read(func(fd uintptr) bool {
					_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK)
					return err != unix.EAGAIN
				})
				if errors.Is(err, os.ErrDeadlineExceeded) {
					io.WriteString(c, "Welcome to the server!\n")
				}
			}}.serve,
		},
		{
			Name: "shakes-hands-alone", Service: "tls", Cause: "tls-stalled",
			Bug:     "does the handshake where clients are accepted: all wait for the one",
			Caught:  []string{"tls/stalled"},
			Perhaps: []string{"tls/deadline", "tls/burst"},
			Serve:   secured{alone: true}.serve,
		},
		{
			Name: "waits-for-the-handshake", Service: "tls", Cause: "tls-deadline",
			Bug:    "has no deadline for the handshake, and waits for ever",
			Caught: []string{"tls/deadline"},
			Serve:  secured{handshake: (*tls.Conn).Handshake}.serve,
		},
		{
			Name: "keeps-who-speaks-plain", Service: "tls", Cause: "tls-garbage",
			Bug:    "takes note of a handshake that fails, and forgets to close the connection",
			Caught: []string{"tls/garbage", "tls/alert"},
			Serve: secured{refused: func(_ net.Conn, err error) {
				if _, garbage := errors.AsType[tls.RecordHeaderError](err); garbage {
					select {}
				}
			}}.serve,
		},
		{
			Name: "hangs-up-without-an-alert", Service: "tls", Cause: "tls-alert",
			Bug:    "closes the connection of who speaks plain text, and does not say why",
			Caught: []string{"tls/alert"},
			Serve:  secured{refused: func(net.Conn, error) {}}.serve,
		},
		{
			Name: "keeps-the-truncated", Service: "tls", Cause: "tls-truncated",
			Bug:     "takes a FIN without close_notify for an error, and forgets to close",
			Caught:  []string{"tls/truncated"},
			Perhaps: []string{"close/*", "many/*", "life/*", "random/*"}, // a close_notify that does not fit is left out
			Serve: secured{end: func(c net.Conn, s *tls.Conn, w *sys.Wire) {
				if w.FIN() {
					select {}
				}
				s.Close()
			}}.serve,
		},
		{
			Name: "closes-tcp-alone", Service: "tls", Cause: "tls-close-notify",
			Bug:    "closes the socket, and says no close_notify",
			Caught: []string{"tls/close-notify"},
			Serve:  secured{end: func(c net.Conn, _ *tls.Conn, _ *sys.Wire) { c.Close() }}.serve,
		},
		{
			Name: "speaks-old-versions", Service: "tls", Cause: "tls-version",
			Bug:    "speaks TLS 1.0 and 1.1 too",
			Caught: []string{"tls/version"},
			Serve:  secured{config: func(c *tls.Config) { c.MinVersion = tls.VersionTLS10 }}.serve,
		},
		{
			Name: "forgets-sessions", Service: "tls", Cause: "tls-resumption",
			Bug:    "gives out no tickets: each handshake is a full one",
			Caught: []string{"tls/resumption"},
			Serve:  secured{config: func(c *tls.Config) { c.SessionTicketsDisabled = true }}.serve,
		},
		{
			Name: "lets-in-whoever", Service: "tls", Cause: "tls-client-certificate",
			Bug:    "asks clients for a certificate, and looks at none",
			Caught: []string{"tls/client-certificate"},
			Serve:  secured{config: func(c *tls.Config) { c.ClientAuth = min(c.ClientAuth, tls.RequestClientCert) }}.serve,
		},
		{
			Name: "few-handshakes", Service: "tls", Cause: "tls-burst",
			Bug:     "drops clients while eight others are in their handshake",
			Caught:  []string{"tls/burst"},
			Perhaps: []string{"many/*", "life/*", "random/*"},
			Serve: secured{handshake: func(s *tls.Conn) error {
				if shaking.Add(1) > 8 {
					shaking.Add(-1)
					return errors.New("busy")
				}
				defer shaking.Add(-1)
				return punctual(s)
			}}.serve,
		},
		{
			Name: "negotiates-again", Service: "tls", Cause: "tls-renegotiation",
			Bug:     "Python's ssl with renegotiation allowed: a client has it sign as often as it likes",
			Caught:  []string{"tls/renegotiation", "tls/alert"}, // OpenSSL sends none for plain text
			Perhaps: []string{"life/term", "life/descriptors"},
			Listen:  bind,
			Serve:   negotiatesAgain,
		},
	}
}

var shaking atomic.Int32 // handshakes now

// certifyElsewhere has an authority of its own sign.
func certifyElsewhere(config *tls.Config) {
	stranger, err := certs.NewAuthority("stranger")
	if err != nil {
		fatal(err)
	}
	pair, err := stranger.Server(certs.Local...)
	if err != nil {
		fatal(err)
	}
	other, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		fatal(err)
	}
	config.Certificates = []tls.Certificate{other}
}

// serve is the server around it.
func (v secured) serve(lfd int) {
	config, err := Own.config()
	if err != nil {
		fatal(err)
	}
	if v.config != nil {
		v.config(config)
	}
	listener, err := sys.NetListener(lfd)
	if err != nil {
		fatal(err)
	}
	left := make(chan struct{}, 1)
	for {
		c, err := listener.Accept() // sleeps until a client comes
		switch {
		case err == nil:
			wire := &sys.Wire{Conn: c}
			s := tls.Server(wire, config)
			if v.alone {
				punctual(s)
			}
			go func() {
				v.converse(c, s, wire)
				select {
				case left <- struct{}{}:
				default:
				}
			}()
		case sys.Full(err):
			<-left // there is no room until a client leaves
		default:
			fatal(err)
		}
	}
}

func (v secured) converse(c net.Conn, s *tls.Conn, wire *sys.Wire) {
	if v.begin != nil {
		v.begin(c)
		c.SetReadDeadline(time.Time{})
	}
	handshake := punctual
	if v.handshake != nil {
		handshake = v.handshake
	}
	if err := handshake(s); err != nil {
		if v.refused != nil {
			v.refused(c, err)
		} else if _, garbage := errors.AsType[tls.RecordHeaderError](err); garbage {
			c.Write([]byte{21, 3, 3, 0, 2, 2, 10}) // alert unexpected_message
		}
		c.Close()
		return
	}
	io.Copy(s, s) // sleeps until the client speaks, or reads
	if v.end != nil {
		v.end(c, s, wire)
		return
	}
	s.Close()
}

// punctual is a handshake that does not wait for ever.
func punctual(s *tls.Conn) error {
	s.SetDeadline(time.Now().Add(5 * time.Second))
	defer s.SetDeadline(time.Time{})
	return s.Handshake()
}

func (c Certificates) config() (*tls.Config, error) {
	own, err := certs.ReadPair(c.Cert, c.Key)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12, ClientCAs: x509.NewCertPool()}
	if c.ClientCA != "" {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.ClientCAs, err = certs.ReadAuthorities(c.ClientCA)
	}
	return config, err
}

// negotiatesAgain is in Python, since package tls refuses what it is to do.
func negotiatesAgain(lfd int) { becomePython(lfd, negotiating, Own.Cert, Own.Key, Own.ClientCA) }

const negotiating = `
import errno, signal, socket, ssl, sys, threading, time
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
if sys.argv[4]:
    context.load_verify_locations(sys.argv[4])
    context.verify_mode = ssl.CERT_REQUIRED
context.minimum_version = ssl.TLSVersion.TLSv1_2
context.options &= ~ssl.OP_NO_RENEGOTIATION
context.options |= 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION

def serve(client):
    tls = None
    try:
        client.settimeout(5)
        tls = context.wrap_socket(client, server_side=True)
        tls.settimeout(None)
        while data := tls.recv(65536):
            tls.sendall(data)
        tls.unwrap()
    except OSError:
        pass
    finally:
        (tls or client).close()

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listener = socket.socket(fileno=int(sys.argv[1]))
listener.setblocking(True)
listener.listen(1024)
while True:
    try:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()
    except OSError as error:
        if error.errno == errno.EMFILE:
            time.sleep(0.05)
`
