//go:build linux

package main

import (
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
	"socketlab/models/sys"
)

// What the documents say about the kernel, and no experiment shows. The
// documents name these tests.

// A blocking send is partial when a signal comes while it waits for room.
func TestBlockingSendMayBePartial(t *testing.T) {
	client, server := connection(t)
	_ = server // does not read
	tid, done := make(chan int), make(chan int)
	const all = 64 << 20
	go func() {
		runtime.LockOSThread() // to its end: no other goroutine gets its signals
		tid <- unix.Gettid()
		n, err := unix.Write(client, make([]byte, all))
		if err != nil {
			t.Errorf("write: %v", err)
		}
		done <- n
	}()
	thread := proc.ThreadOf(os.Getpid(), <-tid)
	waitUntil(t, "it sleeps in write", func() bool {
		call, _ := thread.Syscall()
		return call.Number == unix.SYS_WRITE && thread.State() == 'S'
	})
	if err := unix.Tgkill(os.Getpid(), thread.Tid, unix.SIGURG); err != nil {
		t.Fatal(err)
	}
	if n := <-done; n <= 0 || n >= all {
		t.Errorf("a blocking write of %d bytes that a signal interrupted has returned %d; want less, and more than 0", all, n)
	}
}

// recv returns 0 without a FIN: after one's own SHUT_RD, and for a length of 0.
func TestRecvReturnsZeroWithoutFIN(t *testing.T) {
	client, _ := connection(t)
	if n, err := unix.Read(client, []byte{}); n != 0 || err != nil {
		t.Errorf("recv of 0 bytes: %d, %v; want 0", n, err)
	}
	if err := unix.Shutdown(client, unix.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Read(client, make([]byte, 8)); n != 0 || err != nil {
		t.Errorf("recv after SHUT_RD: %d, %v; want 0", n, err)
	}
}

// A connection in CLOSE-WAIT, whose program never closes, stays; with keepalive
// it ends when the other end has forgotten it.
func TestKeepaliveEndsCloseWait(t *testing.T) {
	for _, keepalive := range []int{0, 1} {
		client, server := connection(t)
		for option, value := range map[int]int{unix.TCP_KEEPIDLE: 1, unix.TCP_KEEPINTVL: 1, unix.TCP_KEEPCNT: 3} {
			set(t, server, unix.IPPROTO_TCP, option, value)
		}
		set(t, server, unix.SOL_SOCKET, unix.SO_KEEPALIVE, keepalive)
		set(t, client, unix.IPPROTO_TCP, unix.TCP_LINGER2, 1) // FIN-WAIT-2 is over after 1 s
		at, err := sys.LocalAddr(server)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(client)
		inCloseWait := func() bool {
			all, err := proc.Sockets(os.Getpid(), at.Port(), proc.CloseWait)
			return err == nil && len(all) > 0
		}
		waitUntil(t, "the server's end is in CLOSE-WAIT", inCloseWait)
		if keepalive == 0 {
			time.Sleep(3 * time.Second) // the time in which keepalive would have ended it
			if !inCloseWait() {
				t.Error("without keepalive CLOSE-WAIT has ended, though the program did not close")
			}
			continue
		}
		waitUntil(t, "keepalive has ended it", func() bool { return !inCloseWait() })
	}
}

// On loopback the receiver's kernel works within the sender's call: when send
// returns, everything is acknowledged already, though the other program sleeps.
func TestSendReturnsAfterTheACK(t *testing.T) {
	client, server := connection(t)
	buf := make([]byte, 64)
	for range 3 { // the first ACKs are not delayed
		if _, err := unix.Write(client, []byte("hello\n")); err != nil {
			t.Fatal(err)
		}
		if unsent, err := unix.IoctlGetInt(client, unix.SIOCOUTQ); err != nil || unsent != 0 {
			t.Errorf("%d bytes are not acknowledged when send has returned, %v; want 0", unsent, err)
		}
		if _, err := unix.Read(server, buf); err != nil {
			t.Fatal(err)
		}
	}
}

// connection is two blocking descriptors, a client's and a server's.
func connection(t *testing.T) (client, server int) {
	t.Helper()
	lfd, err := sys.Listen(netip.MustParseAddrPort("127.0.0.1:0"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(lfd)
	at, err := sys.LocalAddr(lfd)
	if err != nil {
		t.Fatal(err)
	}
	if client, err = sys.Connect(at); err != nil {
		t.Fatal(err)
	}
	if server, err = sys.Accept(lfd, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(client)
		unix.Close(server)
	})
	return client, server
}

func set(t *testing.T, fd, level, option, value int) {
	t.Helper()
	if err := unix.SetsockoptInt(fd, level, option, value); err != nil {
		t.Fatal(err)
	}
}

func waitUntil(t *testing.T, what string, seen func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !seen(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
