package sys_test

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// What TryRead and TryWrite return is what Read and Write do, and where those
// would wait it is EAGAIN.
func TestTryNeverWaits(t *testing.T) {
	nothingLeaks(t)
	client, server := connection(t)
	if err := sys.SetNonblock(server); err != nil {
		t.Fatal(err)
	}
	var buf [64 << 10]byte
	_, err := sys.TryRead(server, buf[:])
	says(t, err, fmt.Sprintf("read fd %d: resource temporarily unavailable", server), unix.EAGAIN)
	if !sys.Again(err) {
		t.Error("it is not asked again")
	}

	sys.Write(client, []byte("hello\n"))
	if n, err := sys.TryRead(server, buf[:]); err != nil || string(buf[:n]) != "hello\n" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	for err = nil; err == nil; { // until the client's queue is full
		_, err = sys.TryWrite(server, buf[:])
	}
	says(t, err, fmt.Sprintf("write fd %d: resource temporarily unavailable", server), unix.EAGAIN)

	if err := sys.Shutdown(client, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if n, err := sys.TryRead(server, buf[:]); n != 0 || err != nil {
		t.Errorf("at the end it returns %d, %v", n, err)
	}
	if n, err := sys.TryRead(server, nil); n != 0 || err != nil {
		t.Errorf("into nothing it reads %d, %v", n, err)
	}
	reset(t, client)
	_, err = sys.TryWrite(server, buf[:]) // SIGPIPE would end the test
	says(t, err, fmt.Sprintf("write fd %d: broken pipe", server), unix.EPIPE)
}

// All who wait are accepted, but no more than 64 in one go; the last is an error
// only if accept failed.
func TestTryAccept(t *testing.T) {
	nothingLeaks(t)
	lfd, addr := listen(t)
	if err := sys.SetNonblock(lfd); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(lfd, 128); err != nil { // room for all in the queue
		t.Fatal(err)
	}
	accepted := func() (n int, err error) {
		for cfd, failed := range sys.TryAccept(lfd) {
			if err = failed; err == nil {
				own(t, cfd)
				n++
			}
		}
		return n, err
	}
	for range 70 {
		own(t, must[int](t)(sys.Connect(addr)))
	}
	for _, want := range []int{64, 6, 0} {
		if n, err := accepted(); n != want || err != nil {
			t.Errorf("accepted %d (%v), want %d", n, err, want)
		}
	}
	if err := sys.Shutdown(lfd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if n, err := accepted(); n != 0 || !sys.Stopped(err) {
		t.Errorf("after shutdown: %d, %v", n, err)
	}
}
