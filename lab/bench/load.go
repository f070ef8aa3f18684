package bench

import (
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

// A load is a crowd of clients, divided among a few threads. Each thread waits in
// its own epoll(7) and handles its clients in turn. The threads share nothing
// while they work.
//
// A load works in phases: the clients connect, make requests, are silent, make
// requests again. Between two phases no request is under way. So the requests
// of a phase and the CPU time of a phase belong together.
type load struct {
	threads []*thread
	closed  atomic.Bool
}

// A crowd says who is to come.
type crowd struct {
	to       netip.AddrPort
	size     int           // bytes of a message
	cpus     []int         // where to run; empty: anywhere
	threads  int           // how many
	patience time.Duration // how long a client waits for an answer
}

// newLoad starts the threads. Nobody connects yet.
func newLoad(ctx stopper, c crowd) (*load, error) {
	l := &load{}
	pattern := newPattern(c.size)
	for i := range c.threads {
		t, err := newThread(ctx, c, pattern, i)
		if err != nil {
			l.close()
			return nil, err
		}
		l.threads = append(l.threads, t)
		go t.work(c.cpus)
	}
	return l, nil
}

// A stopper says when to give up: the context of the whole run.
type stopper interface{ Err() error }

// connect lets n more clients come, a few at a time, and hold their first
// conversation each: then the server has accepted them.
func (l *load) connect(n int) error {
	return l.together(func(i int, t *thread) error { return t.connect(share(n, i, len(l.threads))) })
}

// closedLoop has the first n clients make requests, each as soon as the one
// before is answered.
func (l *load) closedLoop(n int, d time.Duration) (tally, error) {
	return l.measure(func(i int, t *thread) error {
		return t.closedLoop(share(n, i, len(l.threads)), d)
	})
}

// openLoop has the first n clients make rate requests per second altogether,
// on a plan that does not wait for answers.
func (l *load) openLoop(n int, rate float64, d time.Duration) (tally, error) {
	return l.measure(func(i int, t *thread) error {
		mine := share(n, i, len(l.threads))
		if mine == 0 {
			return nil
		}
		return t.openLoop(mine, newPlan(mine, rate*float64(mine)/float64(n)), d)
	})
}

// churn has n clients at a time come, make one request and leave.
func (l *load) churn(n int, d time.Duration) (tally, error) {
	return l.measure(func(i int, t *thread) error { return t.churn(share(n, i, len(l.threads)), d) })
}

// share is how many of n fall to number i of several.
func share(n, i, several int) int { return (n + several - 1 - i) / several }

// measure is together with the tally of what was done.
func (l *load) measure(phase func(i int, t *thread) error) (tally, error) {
	start := time.Now()
	err := l.together(func(i int, t *thread) error {
		t.tally = newTally()
		before := proc.This().Schedule()
		err := phase(i, t)
		own := proc.This().Schedule().Since(before)
		t.ran, t.waited = own.Ran, own.Waited
		return err
	})
	sum := newTally()
	sum.took = time.Since(start)
	for _, t := range l.threads {
		sum.add(t.tally)
	}
	return sum, err
}

// together has every thread do its part, and returns when all have.
func (l *load) together(part func(i int, t *thread) error) error {
	errs := make([]error, len(l.threads))
	var all sync.WaitGroup
	for i, t := range l.threads {
		all.Add(1)
		t.jobs <- func() {
			defer all.Done()
			errs[i] = part(i, t)
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

// close has all clients leave.
func (l *load) close() {
	if l.closed.Swap(true) {
		return
	}
	for _, t := range l.threads {
		close(t.jobs)
		<-t.gone
	}
}

// work does what the thread is asked for, in a kernel thread of its own that
// runs where it is told to.
func (t *thread) work(cpus []int) {
	runtime.LockOSThread()
	defer close(t.gone)
	defer t.leave()
	was, err := pin(cpus)
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // wake on the plan's moment, not 50 µs later
	for job := range t.jobs {
		job()
	}
	if err == nil && len(cpus) > 0 {
		unix.SchedSetaffinity(0, &was)
	}
	unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // the default again
	runtime.UnlockOSThread()                       // the thread may serve others now
}

// pin has the calling thread run on these CPUs only, and says where it did.
func pin(cpus []int) (was unix.CPUSet, err error) {
	if err := unix.SchedGetaffinity(0, &was); err != nil || len(cpus) == 0 {
		return was, err
	}
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	return was, unix.SchedSetaffinity(0, &set)
}
