//go:build linux

package pool_test

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/models/internal/modeltest"
	"socketlab/models/pool"
	"socketlab/models/session"
)

// Eight clients are served, and the others wait in the kernel's queue: nobody is
// accepted, dropped or overtaken.
func TestQueues(t *testing.T) {
	const served, waiting = 8, 5
	lfd, addr := modeltest.Serve(t, pool.Model, session.Service{Name: "echo"})
	var conns []*net.TCPConn
	for n := range served + waiting {
		conns = append(conns, modeltest.Dial(t, addr))
		modeltest.Send(t, conns[n], "hello\n")
		if n < served {
			modeltest.Expect(t, conns[n], "hello\n")
		}
	}
	modeltest.Within(t, "five wait in the accept queue", func() bool { return accepting(t, lfd) == waiting })
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
