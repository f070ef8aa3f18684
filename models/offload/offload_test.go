//go:build linux

package offload_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"socketlab/models/epollloop"
	"socketlab/models/internal/modeltest"
	"socketlab/models/offload"
	"socketlab/models/session"
)

// One message of each of eight clients takes its time: together they take
// little more than one. On the epoll page each waits for those before it.
func TestOthersDoNotWait(t *testing.T) {
	const clients, sleep = 8, 200 * time.Millisecond
	together := func(addr string) time.Duration {
		var conns []*net.TCPConn
		for range clients {
			conns = append(conns, modeltest.Dial(t, addr))
		}
		start := time.Now()
		for _, conn := range conns {
			modeltest.Send(t, conn, "hello\n")
		}
		for _, conn := range conns {
			modeltest.Expect(t, conn, "hello\n")
			conn.Close()
		}
		return time.Since(start)
	}
	service := session.Service{Name: "echo", Sleep: sleep}
	_, addr := modeltest.Serve(t, offload.Model, service)
	if took := together(addr); took > clients*sleep/2 {
		t.Errorf("%d messages of %v took %v", clients, sleep, took)
	}
	_, addr = modeltest.Serve(t, epollloop.Model, service)
	if took := together(addr); took < clients*sleep {
		t.Errorf("without workers %d messages of %v took only %v", clients, sleep, took)
	}
}

// Whoever sends faster than the workers work is slowed down, and gets all its
// bytes back in order.
func TestOrder(t *testing.T) {
	_, addr := modeltest.Serve(t, offload.Model, session.Service{Name: "echo", Sleep: time.Millisecond})
	for range 4 {
		conn := modeltest.Dial(t, addr)
		var want bytes.Buffer
		for n := range 100_000 {
			fmt.Fprintf(&want, "line %d\n", n)
		}
		go func() {
			conn.Write(want.Bytes())
			conn.CloseWrite()
		}()
		got, err := io.ReadAll(conn)
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%d bytes came back as %d, or others (%v)", want.Len(), len(got), err)
		}
		conn.Close()
	}
}
