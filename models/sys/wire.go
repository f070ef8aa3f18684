package sys

import (
	"io"
	"net"
	"sync/atomic"
)

// A Wire lies under a connection of crypto/tls, and remembers whether FIN has
// come. For crypto/tls a FIN between two records is an end like close_notify;
// but anybody between the two ends can send it: RFC 8446, section 6.1.
type Wire struct {
	net.Conn
	fin atomic.Bool
}

func (w *Wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err == io.EOF {
		w.fin.Store(true)
	}
	return n, err
}

// FIN reports whether the end of the stream was read. After close_notify
// crypto/tls reads no more, so where TLS has ended there was none.
func (w *Wire) FIN() bool { return w.fin.Load() }
