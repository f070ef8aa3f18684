package sys_test

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// A journal is a probe that writes down what it is told.
type journal struct {
	mu    sync.Mutex // guards what follows
	lines []string
}

func (j *journal) note(phase sys.Phase, c sys.Call) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, told(phase, c))
}

// told is a report without what differs from run to run; descriptors do not
// differ within a test that compares them.
func told(phase sys.Phase, c sys.Call) string {
	line := fmt.Sprintf("%s %s(%s)", phase, c.Name, c.Asked())
	if phase == sys.After {
		line += fmt.Sprintf(" = %d %s", c.N, c.Got)
		if c.Errno != 0 {
			line += unix.ErrnoName(c.Errno)
		}
	}
	if c.Slept {
		line += " slept"
	}
	return strings.TrimRight(line, " ")
}

func (j *journal) tells(t *testing.T, want ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.lines, want) {
		t.Errorf("the probe was told\n\t%s\nwant\n\t%s", strings.Join(j.lines, "\n\t"), strings.Join(want, "\n\t"))
	}
	j.lines = nil
}

// A probe is set for good, so these tests have a process of their own.

func TestProbe(t *testing.T) {
	if !alone(t) {
		return
	}
	reader, writer := pipe(t)
	lfd, addr := listen(t)
	j := &journal{}
	sys.Watch(j.note)
	ask := fmt.Sprintf
	client := must[int](t)(sys.Connect(addr)) // nobody's page: not told
	cfd := must[int](t)(sys.Accept(lfd, unix.SOCK_NONBLOCK))
	j.tells(t, ask("before accept(%d)", lfd), ask("after accept(%d) = %d", lfd, cfd))

	var buf [100]byte
	sys.Read(cfd, buf[:])
	sys.Write(cfd, []byte(strings.Repeat("long ", 20)))
	sys.Close(cfd)
	j.tells(t,
		ask("before read(%d)", cfd), ask("after read(%d) = 0 EAGAIN", cfd),
		ask(`before write(%d, "long long long long long long lo"…)`, cfd),
		ask(`after write(%d, "long long long long long long lo"…) = 100`, cfd),
		ask("before close(%d)", cfd), ask("after close(%d) = 0", cfd))

	s := asleep(t, func() error { _, err := sys.Read(reader, buf[:]); return err })
	must[int](t)(sys.Write(writer, []byte("a\t\n")))
	if err := s.returned(t); err != nil {
		t.Error(err)
	}
	j.mu.Lock()
	slices.Sort(j.lines) // two threads
	j.mu.Unlock()
	j.tells(t,
		ask(`after read(%d) = 3 "a\t\n" slept`, reader), ask(`after write(%d, "a\t\n") = 3`, writer),
		ask("before read(%d)", reader), ask(`before write(%d, "a\t\n")`, writer))

	var readers, writers unix.FdSet
	readers.Set(reader)
	writers.Set(writer)
	sys.Select(max(reader, writer)+1, &readers, &writers, nil)
	sys.Poll([]unix.PollFd{{Fd: int32(writer), Events: unix.POLLIN | unix.POLLOUT}, {Fd: -1}}, -1)
	j.tells(t,
		ask("before select({%dr %dw})", reader, writer), ask("after select({%dr %dw}) = 1 {%dw}", reader, writer, writer),
		ask("before poll({%drw})", writer), ask("after poll({%drw}) = 1 {%dw}", writer, writer))
	sys.Close(client)
}

// What package net does on the goroutine page is told as if the page did it,
// and the connection is as good as net's own.
func TestProbeOfNet(t *testing.T) {
	if !alone(t) {
		return
	}
	lfd, addr := listen(t)
	j := &journal{}
	sys.Watch(j.note)
	listener := must[net.Listener](t)(sys.NetListener(lfd))
	client := make(chan net.Conn)
	go func() {
		within(t, "accept has to wait", func() bool {
			j.mu.Lock()
			defer j.mu.Unlock()
			return len(j.lines) == 2
		})
		c, _ := net.Dial("tcp", addr.String())
		client <- c
	}()
	conn := must[net.Conn](t)(listener.Accept())
	peer := <-client
	j.mu.Lock()
	if want := []string{"before accept", "parks accept", "after accept"}; len(j.lines) != 3 ||
		!slices.EqualFunc(j.lines, want, strings.HasPrefix) || !strings.HasSuffix(j.lines[2], " slept") {
		t.Errorf("of accept the probe was told %q", j.lines)
	}
	j.lines = nil
	j.mu.Unlock()

	peer.Write([]byte("hello\n"))
	var buf [100]byte
	n := must[int](t)(conn.Read(buf[:]))
	if string(buf[:n]) != "hello\n" {
		t.Errorf("read %q", buf[:n])
	}
	conn.SetReadDeadline(time.Unix(1, 0))
	if _, err := conn.Read(buf[:]); !os.IsTimeout(err) {
		t.Errorf("after the deadline read fails with %v", err)
	}
	conn.SetReadDeadline(time.Time{})
	peer.Close()
	if n, err := conn.Read(buf[:]); n != 0 || fmt.Sprint(err) != "EOF" {
		t.Errorf("at the end read returns %d, %v", n, err)
	}
	conn.Close()
	if _, err := conn.Write([]byte("x")); err == nil {
		t.Error("a closed connection can be written to")
	}
	sys.Shutdown(lfd, unix.SHUT_RDWR)
	if _, err := listener.Accept(); !sys.Stopped(err) {
		t.Errorf("after shutdown accept fails with %v", err)
	}
	listener.Close()
}

// While nobody watches, a wrapper allocates nothing. (An address that accept
// makes is x/sys/unix's.)
func TestNoProbeNoAllocation(t *testing.T) {
	reader, writer := pipe(t)
	p := []byte("hello\n")
	var readers, writers unix.FdSet
	fds := []unix.PollFd{{Fd: int32(writer), Events: unix.POLLOUT}}
	if n := testing.AllocsPerRun(100, func() {
		sys.Write(writer, p)
		sys.Read(reader, p)
		writers.Set(writer)
		sys.Select(writer+1, &readers, &writers, nil)
		sys.Poll(fds, -1)
	}); n > 0 {
		t.Errorf("a write, a read, a select and a poll allocate %v times", n)
	}
}

// BenchmarkWrapper is what a wrapper costs while nobody watches, beside the
// call alone.
func BenchmarkWrapper(b *testing.B) {
	fds := make([]int, 2)
	if err := unix.Pipe2(fds, unix.O_CLOEXEC); err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	p := []byte("hello\n")
	b.Run("sys", func(b *testing.B) {
		for b.Loop() {
			sys.Write(fds[1], p)
			sys.Read(fds[0], p)
		}
	})
	b.Run("unix", func(b *testing.B) {
		for b.Loop() {
			unix.Write(fds[1], p)
			unix.Read(fds[0], p)
		}
	})
}
