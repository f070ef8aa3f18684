package sys

import (
	"bytes"
	"sync"

	"golang.org/x/sys/unix"
)

// A Loop is a list of descriptors for one thread to wait for with epoll(7), and
// errands for that thread, which wake it. Its clients are nobody else's, so
// whoever wants something of them has it do that.
//
// Only Do and Tell may be called by other threads.
type Loop struct {
	Bell   int   // is ready while there are errands
	Failed error // why the server cannot go on

	epfd   int
	asked  map[int]uint32      // what is on the list, by descriptor
	events [64]unix.EpollEvent // the answer; who does not fit is in the next
	ready  [64]Ready

	ring    int        // the other end of the bell, a pipe
	mu      sync.Mutex // guards what follows
	errands []func()
}

// A Ready is a descriptor of the answer. In is false if it is writable and
// nothing else: what HUP and ERR mean, read finds out.
type Ready struct {
	FD int
	In bool
}

// NewLoop has the bell on its list, and nothing else.
func NewLoop() (*Loop, error) {
	l := &Loop{asked: map[int]uint32{}}
	var err error
	if l.epfd, err = EpollCreate(); err != nil {
		return nil, err
	}
	if l.Bell, l.ring, err = Pipe(); err != nil {
		Close(l.epfd)
		return nil, err
	}
	l.Ask(l.Bell, true, false)
	return l, nil
}

// Close closes the list and the bell.
func (l *Loop) Close() {
	Close(l.epfd)
	Close(l.Bell)
	Close(l.ring)
}

// Ask has Wait tell when fd is readable or writable, or neither. The kernel is
// called only for a change.
func (l *Loop) Ask(fd int, in, out bool) { l.change(fd, Events(in, out)) }

// AskOnce is Ask, but Wait tells once, and then not until it is asked again:
// EPOLLONESHOT in epoll_ctl(2).
func (l *Loop) AskOnce(fd int, in, out bool) {
	events := Events(in, out)
	if events != 0 {
		events |= unix.EPOLLONESHOT
	}
	if l.asked[fd] != 0 {
		l.asked[fd] = unix.EPOLLONESHOT // it is on the list, and may have been told of
	}
	l.change(fd, events)
}

func (l *Loop) change(fd int, events uint32) {
	op := unix.EPOLL_CTL_MOD
	switch {
	case fd < 0, events == l.asked[fd]: // the kernel knows
		return
	case events == 0: // epoll tells of HUP in any case: epoll_ctl(2)
		op = unix.EPOLL_CTL_DEL
	case l.asked[fd] == 0:
		op = unix.EPOLL_CTL_ADD
	}
	l.asked[fd] = events
	if err := EpollCtl(l.epfd, op, fd, events); err != nil {
		l.Failed = err
	}
}

// Wait sleeps until a descriptor on the list is ready, and returns those that
// are. They are valid until the next call.
func (l *Loop) Wait() []Ready {
	n, err := EpollWait(l.epfd, l.events[:], -1)
	if err != nil {
		l.Failed = err
	}
	for i, r := range l.events[:n] {
		l.ready[i] = Ready{int(r.Fd), r.Events&^unix.EPOLLOUT != 0}
	}
	return l.ready[:n]
}

// Do leaves an errand, and does not wait until it is done. Who finds no other
// errand there rings the bell.
func (l *Loop) Do(errand func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errands) == 0 {
		Write(l.ring, []byte{0})
	}
	l.errands = append(l.errands, errand)
}

// Tell makes errands of the operator's lines to one client. It is false, and
// nothing has happened, while too many wait.
func (l *Loop) Tell(say func(line []byte)) func(line []byte) bool {
	const many = 1024
	return func(line []byte) bool {
		l.mu.Lock()
		room := len(l.errands) < many
		l.mu.Unlock()
		if room {
			line = bytes.Clone(line) // the operator's is valid until the next
			l.Do(func() { say(line) })
		}
		return room
	}
}

// Run runs the errands, when the bell is ready.
func (l *Loop) Run() {
	l.mu.Lock()
	Read(l.Bell, make([]byte, 1))
	errands := l.errands
	l.errands = nil
	l.mu.Unlock()
	for _, errand := range errands {
		errand()
	}
}
