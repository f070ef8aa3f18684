package chat

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"socketlab/lab/certs"
	"socketlab/models/sys"
)

// A secured connection looks to the loop like a plain one.
//
// select(2) asks the kernel, and the kernel knows nothing of TLS: a socket is
// readable when half a record has come, of which nothing can be shown yet, and
// is not when a whole line lies decrypted in the program already. So the loop
// gets one end of a pair of sockets. Between the other end and the server two
// goroutines carry what is said, as stunnel(8) does. The price: what lies in
// the pair when the server leaves is not counted among the bytes not sent.
type secured struct {
	*tls.Conn
	wire  *sys.Wire
	loops *os.File      // the loop's end of the pair
	ours  *net.UnixConn // the other end
	end   chan error    // how the server's side ended; nil: with close_notify
}

// errTruncated: the server, or somebody in between, cut the connection off.
var errTruncated = &Error{1, errors.New("the connection ended without close_notify: what came last may be missing")}

// secure does the handshake, and starts to carry.
func (c Chat) secure(conn net.Conn) (*secured, error) {
	host, _, _ := net.SplitHostPort(complete(c.Addr))
	config, err := c.TLS.Config(host)
	if err != nil {
		return nil, &Error{2, err}
	}
	wire := &sys.Wire{Conn: conn}
	s := &secured{Conn: tls.Client(wire, config), wire: wire, end: make(chan error, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), certs.HandshakeTime)
	defer cancel()
	err = s.HandshakeContext(ctx)
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("no TLS handshake with %s within %v; does this server speak TLS?", conn.RemoteAddr(), certs.HandshakeTime)
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET):
		err = errors.New("the server closed the connection in the handshake; does it speak TLS?")
	}
	if err != nil {
		return nil, &Error{2, certs.Explain(err)}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s.loops = os.NewFile(uintptr(pair[0]), "the loop's end")
	other := os.NewFile(uintptr(pair[1]), "the other end")
	defer other.Close()
	ours, err := net.FileConn(other)
	if err != nil {
		s.loops.Close()
		return nil, err
	}
	s.ours = ours.(*net.UnixConn)
	go s.carryWords()
	go s.carryAnswers()
	return s, nil
}

// carryWords tells the server what the person says, and that it was all.
func (s *secured) carryWords() {
	if _, err := io.Copy(s.Conn, s.ours); err == nil {
		s.CloseWrite() // close_notify: a FIN of TLS's own
	}
}

// carryAnswers tells the loop what the server says, and that it was all.
func (s *secured) carryAnswers() {
	_, err := io.Copy(s.ours, s.Conn)
	switch {
	case errors.Is(err, unix.ECONNRESET):
		err = errReset
	case s.wire.FIN():
		err = errTruncated
	case err != nil:
		err = &Error{1, certs.Explain(err)}
	}
	s.end <- err
	s.ours.CloseWrite()
}

// Close ends both goroutines.
func (s *secured) Close() error {
	s.loops.Close()
	s.ours.Close()
	return s.Conn.Close()
}

// says tells a person what the connection is worth.
func (s *secured) says() string {
	state := s.ConnectionState()
	who := "certificate of " + state.PeerCertificates[0].Subject.CommonName
	if state.VerifiedChains == nil {
		who = "NOT CHECKED: " + who
	}
	return fmt.Sprintf("%s, %s, %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), who)
}
