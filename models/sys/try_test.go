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
