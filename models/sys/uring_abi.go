package sys

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What io_uring.h of Linux says, as far as a Ring needs it. The structs have
// the kernel's layout; names are those of io_uring(7), shortened.

const (
	offSQRing = 0          // IORING_OFF_SQ_RING; both rings are in it since Linux 5.4
	offSQEs   = 0x10000000 // IORING_OFF_SQES

	setupSubmitAll   = 1 << 7 // IORING_SETUP_SUBMIT_ALL: a bad entry stops no other
	setupCoopTaskrun = 1 << 8 // IORING_SETUP_COOP_TASKRUN: no interrupt for a completion
	enterGetEvents   = 1 << 0 // IORING_ENTER_GETEVENTS
	registerPbufRing = 22     // IORING_REGISTER_PBUF_RING
	bufferSelect     = 1 << 5 // IOSQE_BUFFER_SELECT: the kernel chooses a buffer
	cqeHasBuffer     = 1 << 0 // IORING_CQE_F_BUFFER
	cqeBufferShift   = 16     // IORING_CQE_BUFFER_SHIFT
	cancelAll        = 1 << 0 // IORING_ASYNC_CANCEL_ALL
	cancelAny        = 1 << 2 // IORING_ASYNC_CANCEL_ANY
)

// An Op is what the kernel is asked to do: IORING_OP_….
type Op uint8

const (
	OpAccept Op = 13
	OpCancel Op = 14
	OpRead   Op = 22
	OpWrite  Op = 23
)

func (op Op) String() string {
	return map[Op]string{OpAccept: "accept", OpCancel: "cancel", OpRead: "read", OpWrite: "write"}[op]
}

// sqe is struct io_uring_sqe, an entry of the submission queue.
type sqe struct {
	op       Op
	flags    uint8
	_        uint16
	fd       int32
	off      uint64
	addr     uint64
	len      uint32
	opFlags  uint32
	userData uint64
	bufGroup uint16
	_        uint16
	_        int32
	_        [2]uint64
}

// cqe is struct io_uring_cqe, an entry of the completion queue.
type cqe struct {
	userData uint64
	res      int32
	flags    uint32
}

// ringParams is struct io_uring_params.
type ringParams struct {
	sqEntries, cqEntries, flags, _, _, features, _ uint32

	_  [3]uint32
	sq struct { // offsets into the mapping
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// buffer is struct io_uring_buf. That of index 0 has the tail of its ring where
// the others have nothing: struct io_uring_buf_ring.
type buffer struct {
	addr uint64
	len  uint32
	last struct{ id, tail uint16 }
}

// bufferRing is struct io_uring_buf_reg.
type bufferRing struct {
	addr         uint64
	entries      uint32
	group, flags uint16
	_            [3]uint64
}

// ringSetup is io_uring_setup(2).
func ringSetup(entries int, p *ringParams) (fd int, err error) {
	r, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(p)), 0)
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

// ringEnter is io_uring_enter(2).
func ringEnter(fd int, submit, wait, flags uint32) error {
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(fd), uintptr(submit), uintptr(wait), uintptr(flags), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// ringRegister is io_uring_register(2), for the one thing that a Ring registers.
func ringRegister(fd int, b *bufferRing) error {
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(fd), registerPbufRing, uintptr(unsafe.Pointer(b)), 1, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// at is what the kernel keeps at an offset of a mapping: n of them.
func at[T any](mapping []byte, offset uint32, n uint32) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(&mapping[offset])), n)
}

// setTail tells the kernel how far the ring of buffers is filled. Go has no
// atomic store of 16 bits, so the neighbour goes along, which is ours too.
func setTail(first *buffer, tail uint16) {
	last := first.last
	last.tail = tail
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&first.last)), *(*uint32)(unsafe.Pointer(&last)))
}
