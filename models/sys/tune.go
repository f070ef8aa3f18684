package sys

import (
	"runtime"
	"sync/atomic"
)

// Threads tunes the Go runtime for a page. At most n threads run Go code at a
// time; those that sleep in a system call do not count. It returns what undoes
// that. The pages work without it, but slower: docs/models/thread.md.
//
// With 1, the thread also yields before each call that may sleep. The runtime
// looks after threads that make one call after the other: one that never
// yields looks to it as if it hung in a call, and it gives the right to run Go
// code to another thread, which has to be woken for that. A yield shows that
// the thread is alive, and with only one thread nobody is woken by it.
func Threads(n int) (undo func()) {
	before := runtime.GOMAXPROCS(n)
	yields.Store(n == 1)
	return func() {
		yields.Store(false)
		runtime.GOMAXPROCS(before)
	}
}

var yields atomic.Bool

func yield() {
	if yields.Load() {
		runtime.Gosched()
	}
}
