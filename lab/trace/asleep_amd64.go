package trace

import "golang.org/x/sys/unix"

// Newer machines do without these.
func init() {
	waitingCalls[unix.SYS_SELECT] = "select"
	waitingCalls[unix.SYS_POLL] = "poll"
	waitingCalls[unix.SYS_EPOLL_WAIT] = "epoll_wait"
}
