package trace

import "golang.org/x/sys/unix"

// waitingOnce is waiting for the calls that newer machines do without.
func waitingOnce(number int) string {
	switch number {
	case unix.SYS_SELECT:
		return "select"
	case unix.SYS_POLL:
		return "poll"
	case unix.SYS_EPOLL_WAIT:
		return "epoll_wait"
	}
	return ""
}
