package verify

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"socketlab/models/sys"
)

// A connection is what a client of a check speaks through: TCP itself, or TLS
// over it.
type connection interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
	SetLinger(seconds int) error
}

// A secured connection is TLS over TCP. The handshake begins at once and is
// waited for only by who wants to read or write: a server may be held, or be
// busy with another client.
//
// What TCP says with FIN, TLS says with close_notify and FIN.
type secured struct {
	told // below: TCP, whose calls a witness is told of
	wire *sys.Wire
	tls  *tls.Conn

	ready    chan struct{} // closed when the handshake is over
	err      error         // how it went, then
	deadline atomic.Pointer[time.Time]
	closing  sync.Once
}

// secure puts TLS over a connection, if the server speaks it.
func (t *T) secure(conn told) connection {
	if t.tls == nil {
		return conn
	}
	s := &secured{told: conn, wire: &sys.Wire{Conn: conn}, ready: make(chan struct{})}
	s.tls = tls.Client(s.wire, t.tls)
	go func() {
		defer close(s.ready)
		s.err = s.tls.HandshakeContext(t.ctx)
	}()
	return s
}

// await waits for the handshake, until the deadline for reading.
func (s *secured) await() error {
	select {
	case <-s.ready:
		return s.err
	default:
	}
	var late <-chan time.Time
	if at := s.deadline.Load(); at != nil && !at.IsZero() {
		late = time.After(time.Until(*at))
	}
	select {
	case <-s.ready:
		if at := s.deadline.Load(); at != nil {
			s.told.SetReadDeadline(*at)
		}
		return s.err
	case <-late:
		return os.ErrDeadlineExceeded
	}
}

func (s *secured) Read(p []byte) (int, error) {
	if err := s.await(); err != nil {
		return 0, err
	}
	return s.tls.Read(p)
}

func (s *secured) Write(p []byte) (int, error) {
	if <-s.ready; s.err != nil {
		return 0, s.err
	}
	return s.tls.Write(p)
}

// SetReadDeadline is not for the handshake, which has one of its own: to miss a
// deadline would be its end.
func (s *secured) SetReadDeadline(at time.Time) error {
	s.deadline.Store(&at)
	select {
	case <-s.ready:
		return s.told.SetReadDeadline(at)
	default:
		return nil
	}
}

func (s *secured) SetDeadline(at time.Time) error { return s.SetReadDeadline(at) }

// CloseWrite says close_notify, and FIN.
func (s *secured) CloseWrite() error {
	if <-s.ready; s.err == nil {
		if err := s.tls.CloseWrite(); err != nil {
			return err
		}
	}
	return s.told.CloseWrite()
}

// Close says close_notify too, if it can at once, and somebody is there to hear.
func (s *secured) Close() (err error) {
	s.closing.Do(func() {
		select {
		case <-s.ready:
			if s.err == nil && !s.wire.FIN() { // nobody would read it: RST
				s.told.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
				s.tls.CloseWrite()
			}
		default:
		}
		err = s.told.Close()
	})
	return err
}

// truncated reports whether the connection has ended without close_notify.
func truncated(c connection) bool {
	s, ok := c.(*secured)
	return ok && s.wire.FIN()
}

// isAlert reports whether the other side has said what it does not like.
func isAlert(err error) bool {
	remote, ok := errors.AsType[*net.OpError](err)
	return ok && remote.Op == "remote error"
}
