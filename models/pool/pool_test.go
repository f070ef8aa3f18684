//go:build linux

package pool_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/internal/modeltest"
	"socketlab/models/pool"
	"socketlab/models/session"
)

// Eight clients are served, eight wait in the program's queue and one in the
// hand of the thread that fills it; the others wait in the kernel's. Nobody is
// dropped, and the next to be served is the one that waits longest.
func TestQueues(t *testing.T) {
	const served, waiting, more = 8, 8 + 1, 3
	lfd, addr := modeltest.Serve(t, pool.Model, session.Service{Name: "echo"})
	var conns []*net.TCPConn
	for n := range served + waiting + more {
		conns = append(conns, modeltest.Dial(t, addr))
		modeltest.Send(t, conns[n], "hello\n")
		if n < served {
			modeltest.Expect(t, conns[n], "hello\n")
		}
	}
	modeltest.Within(t, "three wait in the accept queue", func() bool { return accepting(t, lfd) == more })
	for _, conn := range conns[served:] {
		conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		if n, _ := conn.Read(make([]byte, 1)); n > 0 {
			t.Error("a client too many is served")
		}
		conn.SetReadDeadline(time.Now().Add(modeltest.Patience))
	}
	for n := range conns {
		if n >= served {
			modeltest.Expect(t, conns[n], "hello\n") // client n-8 has just left
		}
		conns[n].Close()
	}
}

// accepting is the length of the accept queue: tcpi_unacked of tcp(7) for a
// listening socket.
func accepting(t *testing.T, lfd int) int {
	t.Helper()
	info, err := unix.GetsockoptTCPInfo(lfd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Unacked)
}
