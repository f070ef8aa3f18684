package sys_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// list is an empty list of epoll's, closed at the end of the test.
func list(t *testing.T) (epfd int) {
	t.Helper()
	epfd = must[int](t)(sys.EpollCreate())
	own(t, epfd)
	return epfd
}

func ctl(t *testing.T, epfd, op, fd int, events uint32) {
	t.Helper()
	if err := sys.EpollCtl(epfd, op, fd, events); err != nil {
		t.Fatal(err)
	}
}

func TestEpoll(t *testing.T) {
	nothingLeaks(t)
	epfd := list(t)
	reader, writer := pipe(t)
	ready := make([]unix.EpollEvent, 4)
	tells := func(want ...unix.EpollEvent) {
		t.Helper()
		n := must[int](t)(sys.EpollWait(epfd, ready, -1))
		if got := ready[:n]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("epoll_wait tells %v, want %v", got, want)
		}
	}
	ctl(t, epfd, unix.EPOLL_CTL_ADD, reader, unix.EPOLLIN)
	ctl(t, epfd, unix.EPOLL_CTL_ADD, writer, unix.EPOLLOUT)
	tells(unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(writer)})
	must[int](t)(sys.Write(writer, []byte("hello\n")))
	ctl(t, epfd, unix.EPOLL_CTL_MOD, writer, 0)
	tells(unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(reader)})
	tells(unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(reader)}) // level-triggered: as long as it is so
	ctl(t, epfd, unix.EPOLL_CTL_DEL, reader, 0)
	drop(reader)
	tells(unix.EpollEvent{Events: unix.EPOLLERR, Fd: int32(writer)}) // asked for or not
}

func TestEpollWaitIsRepeated(t *testing.T) {
	epfd := list(t)
	reader, writer := pipe(t)
	ctl(t, epfd, unix.EPOLL_CTL_ADD, reader, unix.EPOLLIN)
	ready := make([]unix.EpollEvent, 4)
	s := asleep(t, func() error { _, err := sys.EpollWait(epfd, ready, -1); return err })
	s.interrupt(t)
	must[int](t)(sys.Write(writer, []byte("hello\n")))
	if err := s.returned(t); err != nil {
		t.Error(err)
	}
}

// A plain file is not on the list of one who waits: epoll_ctl(2), EPERM.
func TestNeverWaits(t *testing.T) {
	epfd := list(t)
	_, writer := pipe(t)
	for _, name := range []string{os.DevNull, t.TempDir(), "/proc/self/exe"} {
		file := must[*os.File](t)(os.Open(name))
		defer file.Close()
		if err := sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, int(file.Fd()), unix.EPOLLIN); !sys.NeverWaits(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := sys.EpollCtl(epfd, unix.EPOLL_CTL_MOD, writer, unix.EPOLLIN)
	says(t, err, fmt.Sprintf("epoll_ctl fd %d: no such file or directory", writer), unix.ENOENT)
	if sys.NeverWaits(err) {
		t.Error("a pipe does wait")
	}
}

func TestEpollErrors(t *testing.T) {
	reader, _ := pipe(t)
	_, err := sys.EpollWait(reader, make([]unix.EpollEvent, 1), -1)
	says(t, err, fmt.Sprintf("epoll_wait fd %d: invalid argument", reader), unix.EINVAL)
	if !alone(t) {
		return
	}
	limit := unix.Rlimit{Cur: 0, Max: 0}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	epfd, err := sys.EpollCreate()
	says(t, err, "epoll_create: too many open files", unix.EMFILE)
	if epfd != -1 {
		t.Errorf("beside its error epoll_create returns descriptor %d", epfd)
	}
}

func TestProbeOfEpoll(t *testing.T) {
	if !alone(t) {
		return
	}
	reader, writer := pipe(t)
	j := &journal{}
	sys.Watch(j.note)
	epfd := must[int](t)(sys.EpollCreate())
	ctl(t, epfd, unix.EPOLL_CTL_ADD, writer, unix.EPOLLIN|unix.EPOLLOUT)
	ctl(t, epfd, unix.EPOLL_CTL_ADD, reader, unix.EPOLLIN)
	must[int](t)(sys.EpollWait(epfd, make([]unix.EpollEvent, 4), -1))
	ctl(t, epfd, unix.EPOLL_CTL_DEL, reader, 0)
	said := func(call, result string, args ...any) []string {
		call = fmt.Sprintf(call, args...)
		return []string{"before " + call, "after " + call + " = " + result}
	}
	var want []string
	for _, told := range [][]string{
		said("epoll_create()", fmt.Sprint(epfd)),
		said("epoll_ctl(%d, ADD {%drw})", "0", epfd, writer),
		said("epoll_ctl(%d, ADD {%dr})", "0", epfd, reader),
		said("epoll_wait(%d)", fmt.Sprintf("1 {%dw}", writer), epfd),
		said("epoll_ctl(%d, DEL {%d})", "0", epfd, reader),
	} {
		want = append(want, told...)
	}
	j.tells(t, want...)
}

// While nobody watches, they allocate nothing either.
func TestEpollAllocatesNothing(t *testing.T) {
	epfd := list(t)
	_, writer := pipe(t)
	ready := make([]unix.EpollEvent, 4)
	if n := testing.AllocsPerRun(100, func() {
		sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, writer, unix.EPOLLOUT)
		sys.EpollWait(epfd, ready, -1)
		sys.EpollCtl(epfd, unix.EPOLL_CTL_DEL, writer, 0)
	}); n > 0 {
		t.Errorf("two changes and a wait allocate %v times", n)
	}
}
