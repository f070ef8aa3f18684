package sys

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel and we must mean the same bytes: io_uring.h.
func TestRingLayout(t *testing.T) {
	for name, size := range map[string][2]uintptr{
		"struct io_uring_sqe":     {unsafe.Sizeof(sqe{}), 64},
		"struct io_uring_cqe":     {unsafe.Sizeof(cqe{}), 16},
		"struct io_uring_params":  {unsafe.Sizeof(ringParams{}), 120},
		"struct io_uring_buf":     {unsafe.Sizeof(buffer{}), 16},
		"struct io_uring_buf_reg": {unsafe.Sizeof(bufferRing{}), 40},
		"sqe.user_data":           {unsafe.Offsetof(sqe{}.userData), 32},
		"sqe.buf_group":           {unsafe.Offsetof(sqe{}.bufGroup), 40},
		"params.sq_off":           {unsafe.Offsetof(ringParams{}.sq), 40},
		"params.cq_off":           {unsafe.Offsetof(ringParams{}.cq), 80},
		"buf_ring.tail":           {unsafe.Offsetof(buffer{}.last) + 2, 14},
	} {
		if size[0] != size[1] {
			t.Errorf("%s: %d, want %d", name, size[0], size[1])
		}
	}
}

// Who died in the queue, an interruption and the want of a buffer are nothing
// to the page.
func TestRingAgain(t *testing.T) {
	for _, try := range []struct {
		op    Op
		errno unix.Errno
		again bool
	}{
		{OpAccept, unix.ECONNABORTED, true},
		{OpAccept, unix.EINTR, true},
		{OpAccept, unix.ENOBUFS, false},
		{OpAccept, unix.EINVAL, false},
		{OpRead, unix.EINTR, true},
		{OpRead, unix.ENOBUFS, true},
		{OpRead, unix.ECONNRESET, false},
		{OpWrite, unix.EPIPE, false},
		{OpWrite, unix.ENOBUFS, false},
	} {
		c := cqe{userData: uint64(try.op) << 32, res: -int32(try.errno)}
		if c.again() != try.again {
			t.Errorf("%v after %v is tried again: %v, want %v", try.op, try.errno, c.again(), try.again)
		}
	}
}
