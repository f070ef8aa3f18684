package sys

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// EpollCreate makes an empty list of descriptors in the kernel, which is closed
// on exec: epoll_create1(2).
func EpollCreate() (epfd int, err error) {
	call := watch("epoll_create", -1)
	epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return call.done(-1, failed("epoll_create", -1, err))
	}
	return call.done(epfd, nil)
}

// EpollCtl puts fd on the list epfd, changes what is asked about it, or takes
// it off; op is unix.EPOLL_CTL_ADD, MOD or DEL: epoll_ctl(2).
func EpollCtl(epfd, op, fd int, events uint32) error {
	call := watchEpollCtl(epfd, op, fd, events)
	err := unix.EpollCtl(epfd, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	_, err = call.done(0, failed("epoll_ctl", fd, err))
	return err
}

// NeverWaits asks whether epoll refused a descriptor because it is always
// ready (EPERM): a plain file, a directory, or /dev/null. select(2) and poll(2)
// report such a descriptor as ready; epoll_ctl(2) does not accept it.
func NeverWaits(err error) bool { return errors.Is(err, unix.EPERM) }

// EpollWait waits until a descriptor on the list is ready, and says how many
// of them are in ready: epoll_wait(2). The timeout is in milliseconds, negative
// for ever.
func EpollWait(epfd int, ready []unix.EpollEvent, timeout int) (int, error) {
	yield()
	call := watch("epoll_wait", epfd)
	var end time.Time
	if timeout > 0 {
		end = time.Now().Add(time.Duration(timeout) * time.Millisecond)
	}
	for {
		n, err := unix.EpollWait(epfd, ready, timeout)
		if err == nil {
			return call.gotEvents(ready[:n]).done(n, nil)
		}
		if err != unix.EINTR {
			return call.done(0, failed("epoll_wait", epfd, err))
		}
		if timeout > 0 {
			timeout = milliseconds(time.Until(end))
		}
	}
}

func watchEpollCtl(epfd, op, fd int, events uint32) *Call {
	if probe == nil {
		return nil
	}
	return begin(Call{Name: "epoll_ctl", FD: epfd, Args: epollCtls[op] + " {" + awaited(fd, events) + "}"})
}

var epollCtls = [...]string{unix.EPOLL_CTL_ADD: "ADD", unix.EPOLL_CTL_DEL: "DEL", unix.EPOLL_CTL_MOD: "MOD"}

func (c *Call) gotEvents(ready []unix.EpollEvent) *Call {
	if c != nil {
		var set []string
		for _, r := range ready {
			set = append(set, awaited(int(r.Fd), r.Events))
		}
		c.Got = "{" + strings.Join(set, " ") + "}"
	}
	return c
}

// awaited is interest in the words of epoll.
func awaited(fd int, events uint32) string {
	out := events&unix.EPOLLOUT != 0
	in := events&^unix.EPOLLOUT != 0 // or HUP, or ERR: reading finds out
	return interest(fd, in, out)
}
