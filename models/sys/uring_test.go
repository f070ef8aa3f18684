package sys_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// ring is a ring that is closed at the end of the test. Where there is none,
// the test is skipped.
func ring(t *testing.T, entries int) *sys.Ring {
	t.Helper()
	r := anyRing(t, entries)
	t.Cleanup(r.Close)
	return r
}

// anyRing is a ring that the test closes.
func anyRing(t *testing.T, entries int) *sys.Ring {
	t.Helper()
	if err := sys.RingAllowed(); err != nil {
		t.Skip(err)
	}
	return must[*sys.Ring](t)(sys.NewRing(entries))
}

// results waits for n of them, and returns each under its operation and
// descriptor, "read 5". What was read is copied out of its buffer.
func results(t *testing.T, r *sys.Ring, n int) map[string]sys.Result {
	t.Helper()
	all := map[string]sys.Result{}
	for len(all) < n {
		if err := r.Enter(); err != nil {
			t.Fatal(err)
		}
		for d := range r.Done() {
			name := fmt.Sprint(d.Op, " ", d.FD)
			if _, twice := all[name]; twice {
				t.Errorf("%s is done twice", name)
			}
			d.Data = bytes.Clone(d.Data)
			all[name] = d
		}
	}
	return all
}

// only is the result of the one operation in flight.
func only(t *testing.T, r *sys.Ring) (d sys.Result) {
	t.Helper()
	for _, d = range results(t, r, 1) {
	}
	return d
}

func TestRing(t *testing.T) {
	nothingLeaks(t)
	r := ring(t, 8)
	lfd, addr := listen(t)
	r.Accept(lfd)
	client := must[int](t)(sys.Connect(addr))
	own(t, client)
	cfd := only(t, r).N
	own(t, cfd)

	r.Read(cfd)
	answer := []byte("good day\n")
	r.Write(cfd, answer)
	must[int](t)(sys.Write(client, []byte("hello\n")))
	both := results(t, r, 2)
	if d := both[fmt.Sprint("read ", cfd)]; string(d.Data) != "hello\n" || d.N != 6 || d.Err != nil {
		t.Errorf("read: %+v", d)
	}
	if d := both[fmt.Sprint("write ", cfd)]; d.N != 9 || d.Err != nil {
		t.Errorf("write: %+v", d)
	}
	var buf [100]byte
	if n := must[int](t)(sys.Read(client, buf[:])); !bytes.Equal(buf[:n], answer) {
		t.Errorf("the client got %q", buf[:n])
	}
	sys.Shutdown(client, unix.SHUT_WR)
	r.Read(cfd)
	if d := only(t, r); len(d.Data) != 0 || d.N != 0 || d.Err != nil {
		t.Errorf("at the end read brings %+v", d)
	}
}

// The kernel takes what it has room for, and the result says how much.
func TestRingWritesInPart(t *testing.T) {
	r := ring(t, 8)
	client, server := connection(t)
	p := make([]byte, 64<<20)
	r.Write(server, p)
	d := only(t, r)
	if d.Err != nil || d.N == 0 || d.N == len(p) {
		t.Fatalf("wrote %d of %d bytes (%v), want a part", d.N, len(p), d.Err)
	}
	reset(t, client)
	r.Write(server, p)
	d = only(t, r)
	says(t, d.Err, fmt.Sprintf("write fd %d: connection reset by peer", server), unix.ECONNRESET)
}

func TestRingEnterIsRepeated(t *testing.T) {
	r := ring(t, 8)
	reader, writer := pipe(t)
	r.Read(reader)
	var said []byte
	s := asleep(t, func() error {
		err := r.Enter()
		for d := range r.Done() {
			said = bytes.Clone(d.Data)
		}
		return err
	})
	s.interrupt(t)
	must[int](t)(sys.Write(writer, []byte("hello\n")))
	if err := s.returned(t); err != nil || string(said) != "hello\n" {
		t.Errorf("interrupted, the ring brings %q (%v)", said, err)
	}
}

// There are more operations than entries in either queue, and more to be read
// than there are buffers; all get done, once.
func TestRingIsTooSmall(t *testing.T) {
	nothingLeaks(t)
	const clients = 600
	r := ring(t, 1)
	peers := map[int]int{}
	texts := map[int][]byte{} // the kernel needs them until the end
	for range clients {
		fds := must[[2]int](t)(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
		own(t, fds[:]...)
		fd, peer := fds[0], fds[1]
		peers[fd], texts[fd] = peer, fmt.Append(nil, "of ", fd)
		must[int](t)(sys.Write(peer, texts[fd]))
		r.Read(fd)
		r.Write(fd, texts[fd])
	}
	done := results(t, r, 2*clients)
	for fd, text := range texts {
		if d := done[fmt.Sprint("read ", fd)]; !bytes.Equal(d.Data, text) {
			t.Errorf("%q was read as %q (%v)", text, d.Data, d.Err)
		}
		var buf [100]byte
		if n := must[int](t)(sys.Read(peers[fd], buf[:])); !bytes.Equal(buf[:n], text) {
			t.Errorf("%q was written as %q", text, buf[:n])
		}
	}
}

func TestRingStopped(t *testing.T) {
	r := ring(t, 8)
	lfd, _ := listen(t)
	r.Accept(lfd)
	s := asleep(t, r.Enter)
	if err := sys.Shutdown(lfd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if err := s.returned(t); err != nil {
		t.Fatal(err)
	}
	d := only(t, r)
	says(t, d.Err, fmt.Sprintf("accept fd %d: invalid argument", lfd), unix.EINVAL)
	if !sys.Stopped(d.Err) {
		t.Error("a listener that was shut down does not stop")
	}
}

func TestRingOutOfDescriptors(t *testing.T) {
	if !alone(t) {
		return
	}
	r := ring(t, 8)
	lfd, addr := listen(t)
	own(t, must[int](t)(sys.Connect(addr)))
	r.Accept(lfd)
	limit := unix.Rlimit{Cur: 0, Max: 0}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if d := only(t, r); !sys.Full(d.Err) {
		t.Errorf("without a descriptor accept brings %+v", d)
	}
}

// After Close the kernel has nothing of ours: no memory, no descriptor, and
// what comes now is not for a read that was in flight.
func TestRingClose(t *testing.T) {
	nothingLeaks(t)
	r := anyRing(t, 8)
	lfd, addr := listen(t)
	reader, writer := pipe(t)
	client, server := connection(t)
	r.Accept(lfd)
	r.Read(reader)
	r.Read(server)
	s := asleep(t, r.Enter) // all three are in flight
	must[int](t)(sys.Write(client, []byte("hello\n")))
	if err := s.returned(t); err != nil {
		t.Fatal(err)
	}
	r.Close()

	late := must[int](t)(sys.Connect(addr))
	own(t, late)
	own(t, must[int](t)(sys.Accept(lfd, unix.SOCK_NONBLOCK)))
	drop(reader) // the last one, if the ring holds none
	_, err := sys.Write(writer, []byte("after\n"))
	says(t, err, fmt.Sprintf("write fd %d: broken pipe", writer), unix.EPIPE)
}

func TestProbeOfRing(t *testing.T) {
	if !alone(t) {
		return
	}
	r := ring(t, 8)
	reader, writer := pipe(t)
	must[int](t)(sys.Write(writer, []byte("hello\n")))
	j := &journal{}
	sys.Watch(j.note)
	r.Read(reader)
	x := []byte("x")
	r.Write(writer, x)
	results(t, r, 2)
	runtime.KeepAlive(x)
	j.mu.Lock()
	defer j.mu.Unlock()
	told := strings.Join(j.lines, "\n")
	for _, want := range []string{
		fmt.Sprintf("{read %d, write %d})", reader, writer), fmt.Sprintf("read %d = 6", reader), fmt.Sprintf("write %d = 1", writer),
	} {
		if !strings.Contains(told, want) {
			t.Errorf("the probe was not told %q:\n%s", want, told)
		}
	}
}

// Where io_uring is forbidden, or there is none, the error says so, and what
// would help.
func TestRingRefused(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		unix.EPERM:  "io_uring is forbidden here; as root: sysctl kernel.io_uring_disabled=0",
		unix.ENOSYS: "this kernel has no io_uring, or a seccomp profile hides it; Linux 5.19",
		unix.EINVAL: "this kernel's io_uring is too old; Linux 5.19",
		unix.ENOMEM: "io_uring_setup: cannot allocate memory",
	} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			nothingLeaks(t)
			refused := make(chan error)
			go func() {
				runtime.LockOSThread() // the filter ends with this thread
				if err := forbidRing(errno); err != nil {
					refused <- fmt.Errorf("seccomp: %w", err)
					return
				}
				refused <- sys.RingAllowed()
			}()
			err := <-refused
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("the error is %q, want %q", fmt.Sprint(err), want)
			}
		})
	}
}

// forbidRing has io_uring_setup(2) of this thread fail: seccomp(2).
func forbidRing(errno unix.Errno) error {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_IO_URING_SETUP, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0)
}
