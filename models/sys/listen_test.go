package sys_test

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

func TestConversationOnEachFamily(t *testing.T) {
	for at, bound := range map[string]string{ // listen at, and be bound to
		"127.0.0.1:0":          "127.0.0.1",
		"127.0.0.2:0":          "127.0.0.2",
		"[::1]:0":              "::1",
		"[::ffff:127.0.0.1]:0": "127.0.0.1",
	} {
		t.Run(at, func(t *testing.T) {
			nothingLeaks(t)
			lfd, err := sys.Listen(netip.MustParseAddrPort(at), 1)
			if err != nil && bound == "::1" {
				lacking(t, "no IPv6 on loopback: "+err.Error())
			}
			if err != nil {
				t.Fatal(err)
			}
			defer sys.Close(lfd)
			addr := must[netip.AddrPort](t)(sys.LocalAddr(lfd))
			if addr.Addr().String() != bound || addr.Port() == 0 {
				t.Fatalf("it is bound to %v, want a port of %s", addr, bound)
			}
			client := must[int](t)(sys.Connect(addr))
			defer sys.Close(client)
			server := must[int](t)(sys.Accept(lfd, 0))
			defer sys.Close(server)
			if got := must[netip.AddrPort](t)(sys.LocalAddr(server)); got != addr {
				t.Errorf("the accepted socket is bound to %v, want %v", got, addr)
			}
			halfClosed(t, client, server)
		})
	}
}

// halfClosed has the client say a line and finish; the server still answers.
func halfClosed(t *testing.T, client, server int) {
	t.Helper()
	must[int](t)(sys.Write(client, []byte("hello\n")))
	if err := sys.Shutdown(client, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	var buf [16]byte
	if n := must[int](t)(sys.Read(server, buf[:])); string(buf[:n]) != "hello\n" {
		t.Errorf("the server read %q", buf[:n])
	}
	if n := must[int](t)(sys.Read(server, buf[:])); n != 0 {
		t.Errorf("after the client's FIN the server read %q", buf[:n])
	}
	must[int](t)(sys.Write(server, []byte("bye\n")))
	if n := must[int](t)(sys.Read(client, buf[:])); string(buf[:n]) != "bye\n" {
		t.Errorf("the client read %q", buf[:n])
	}
}

func TestListenOptions(t *testing.T) {
	nothingLeaks(t)
	lfd := must[int](t)(sys.Listen(loopback, 3))
	defer sys.Close(lfd)
	addr := must[netip.AddrPort](t)(sys.LocalAddr(lfd))
	client := must[int](t)(sys.Connect(addr))
	defer sys.Close(client)
	info := must[*unix.TCPInfo](t)(unix.GetsockoptTCPInfo(lfd, unix.SOL_TCP, unix.TCP_INFO))
	if info.Sacked != 3 || info.Unacked != 1 { // of a listening socket: limit and length
		t.Errorf("%d of %d are queued, want 1 of 3", info.Unacked, info.Sacked)
	}
	server := must[int](t)(sys.Accept(lfd, 0))
	defer sys.Close(server)
	if must[int](t)(unix.GetsockoptInt(server, unix.IPPROTO_TCP, unix.TCP_NODELAY)) == 0 {
		t.Error("the accepted socket has no TCP_NODELAY")
	}
	for _, fd := range []int{lfd, client} {
		if flags := must[int](t)(unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)); flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d is not closed on exec", fd)
		}
	}
}

// A server can be started again at once, though its last connection, which it
// closed first, is in TIME-WAIT; but not while another one listens.
func TestListenAgain(t *testing.T) {
	nothingLeaks(t)
	lfd := must[int](t)(sys.Listen(loopback, 1))
	addr := must[netip.AddrPort](t)(sys.LocalAddr(lfd))
	_, err := sys.Listen(addr, 1)
	says(t, err, fmt.Sprintf("bind fd %d: address already in use", lfd+1), unix.EADDRINUSE)
	client := must[int](t)(sys.Connect(addr))
	server := must[int](t)(sys.Accept(lfd, 0))
	sys.Close(server)
	var buf [1]byte
	if n := must[int](t)(sys.Read(client, buf[:])); n != 0 { // has come: FIN
		t.Errorf("the server said %q", buf[:n])
	}
	sys.Close(client)
	sys.Close(lfd)
	lfd, err = sys.Listen(addr, 1)
	if err != nil {
		t.Fatalf("after the old server has ended: %v", err)
	}
	sys.Close(lfd)
}

func TestConnectRefused(t *testing.T) {
	nothingLeaks(t)
	lfd := must[int](t)(sys.Listen(loopback, 1))
	addr := must[netip.AddrPort](t)(sys.LocalAddr(lfd))
	sys.Close(lfd)
	cfd, err := sys.Connect(addr)
	if cfd != -1 {
		t.Errorf("beside its error connect returns descriptor %d", cfd)
	}
	says(t, err, fmt.Sprintf("connect fd %d: connection refused", lfd), unix.ECONNREFUSED)
}

func TestLocalAddrOfNoSocketOfOurs(t *testing.T) {
	nothingLeaks(t)
	reader, _ := pipe(t)
	_, err := sys.LocalAddr(reader)
	says(t, err, fmt.Sprintf("getsockname fd %d: socket operation on non-socket", reader), unix.ENOTSOCK)
	local, _ := full(t)
	_, err = sys.LocalAddr(local)
	says(t, err, fmt.Sprintf("getsockname fd %d: address family not supported by protocol", local),
		unix.EAFNOSUPPORT)
}

// Shutting down the descriptor that the caller owns stops net's listener, and
// closing net's listener leaves the caller's descriptor alone.
func TestNetListener(t *testing.T) {
	nothingLeaks(t)
	lfd, addr := listen(t)
	for range 2 {
		listener, err := sys.NetListener(lfd)
		if err != nil {
			t.Fatal(err)
		}
		client := must[int](t)(sys.Connect(addr))
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		sys.Close(client)
		listener.Close()
	}
	listener, err := sys.NetListener(lfd)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	stopped := make(chan error)
	go func() {
		_, err := listener.Accept()
		stopped <- err
	}()
	if err := sys.Shutdown(lfd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "net's accept returns", stopped); !sys.Stopped(err) {
		t.Errorf("net's accept: %v; want that it is Stopped", err)
	}
}
