package trace

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

// Whether a call sleeps is decided here, for all sources. The kernel says so in
// /proc: the thread's state is S, and the call that it is in is this one. A call
// that has already returned slept if its thread counted, by getrusage(2), that
// it gave up its processor in it. That proves less: the Go runtime may put the
// thread to sleep after the call, before it counts. So it is believed only of
// calls that wait for input, did not say that there is none (EAGAIN), and are
// not made on a descriptor in non-blocking mode.

// waitFamily is the kind of a call that a program may sleep in, "" if it is none.
func waitFamily(name string) string {
	for _, f := range []struct{ prefix, family string }{
		{"accept", "accept"}, {"connect", "connect"},
		{"read", "read"}, {"recv", "read"},
		{"write", "write"}, {"send", "write"},
		{"select", "select"}, {"pselect", "select"},
		{"poll", "poll"}, {"ppoll", "poll"},
		{"epoll_wait", "epoll"}, {"epoll_pwait", "epoll"}, {"io_uring_enter", "ring"},
		{"wait", "wait"},
	} {
		if strings.HasPrefix(name, f.prefix) {
			return f.family
		}
	}
	return ""
}

func waitsForInput(name string) bool { return waitFamily(name) != "" && waitFamily(name) != "write" }

// waitingCalls are the numbers of the calls in which a server may sleep.
var waitingCalls = map[int]string{
	unix.SYS_ACCEPT: "accept", unix.SYS_ACCEPT4: "accept4", unix.SYS_CONNECT: "connect",
	unix.SYS_READ: "read", unix.SYS_READV: "readv", unix.SYS_RECVFROM: "recvfrom", unix.SYS_RECVMSG: "recvmsg",
	unix.SYS_WRITE: "write", unix.SYS_WRITEV: "writev", unix.SYS_SENDTO: "sendto", unix.SYS_SENDMSG: "sendmsg", unix.SYS_SENDFILE: "sendfile",
	unix.SYS_PSELECT6: "pselect6", unix.SYS_PPOLL: "ppoll", unix.SYS_EPOLL_PWAIT: "epoll_pwait", unix.SYS_EPOLL_PWAIT2: "epoll_pwait2",
	unix.SYS_IO_URING_ENTER: "io_uring_enter", unix.SYS_WAIT4: "wait4", unix.SYS_WAITID: "waitid",
}

// asleepIn reports whether a thread sleeps in a call of this name:
// proc_pid_syscall(5). A thread of a Go program that is back from it may sleep
// too, in futex(2), until the runtime has a processor for it.
func asleepIn(thread proc.Thread, name string) bool {
	call, err := thread.Syscall()
	if thread.State() != 'S' {
		return false
	}
	return err != nil || waitFamily(waitingCalls[call.Number]) == waitFamily(name) // an error: we may not look
}

// neverWaits reports whether a descriptor is in non-blocking mode, as far as the
// kernel still knows it: proc_pid_fdinfo(5).
func neverWaits(pid, fd int) bool {
	if fd < 0 {
		return false
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
	_, rest, _ := strings.Cut(string(text), "flags:")
	var flags int
	fmt.Sscanf(rest, "%o", &flags)
	return flags&unix.O_NONBLOCK != 0
}

// watchSleepers looks at the threads that are in a call which may sleep, until
// the kernel has put them to sleep or the call returns. A sleep that is shorter
// than the pause between two looks is missed.
func (a *account) watchSleepers(stop <-chan struct{}) {
	for {
		select {
		case <-a.sleepers:
		case <-stop:
			return
		}
		for pause := shortest; a.lookForSleepers(); pause = min(2*pause, longest) {
			select {
			case <-stop:
				return
			case <-a.sleepers:
				pause = shortest
			case <-time.After(pause):
			}
		}
	}
}

const shortest, longest = 100 * time.Microsecond, 10 * time.Millisecond

// lookForSleepers reports whether somebody is still to be looked at.
func (a *account) lookForSleepers() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for tid, c := range a.unseen {
		if !c.end.IsZero() || c.asleep.IsZero() && !c.held && asleepIn(proc.ThreadOf(tid, tid), c.Name) {
			a.sleeping(c, time.Now())
			delete(a.unseen, tid)
		}
	}
	return len(a.unseen) > 0
}

// sleeping takes down that a call is asleep.
func (a *account) sleeping(c *systemCall, at time.Time) {
	if c.end.IsZero() && c.asleep.IsZero() {
		c.asleep, c.Slept = at, true
	}
}
