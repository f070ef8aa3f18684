package certs

import (
	"io"
	"net"
	"sync/atomic"
)

// A Wire lies between TLS and a connection. It remembers whether FIN has come:
// package tls takes it for a proper end, with close_notify before it or without.
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

// Truncated reports whether FIN has come where TLS has just ended: TLS stops
// reading at close_notify, so there was none.
func (w *Wire) Truncated() bool { return w.fin.Load() }
