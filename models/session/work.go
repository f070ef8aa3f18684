package session

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// busy is the one session that waits, and it does so on purpose: it shows what
// a slow handler does to each model. For every message, that is for all that
// one read brought, it burns CPU or sleeps before the conversation goes on.
type busy struct {
	Session
	work, sleep time.Duration
}

func (b *busy) Feed(p []byte) {
	if b.work > 0 {
		burn(b.work)
	}
	if b.sleep > 0 {
		time.Sleep(b.sleep) // this goroutine, and in an event loop all clients
	}
	b.Session.Feed(p)
}

// burn uses so much CPU time. Two that share a core take twice as long, as they
// would if they computed something.
func burn(work time.Duration) {
	runtime.LockOSThread() // it is this thread's clock
	defer runtime.UnlockOSThread()
	for start := used(); used()-start < work; {
	}
}

// used is the CPU time that this thread has had.
func used() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // fails for a clock that is not there
	return time.Duration(t.Nano())
}
