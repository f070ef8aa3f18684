package verify

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"sync"
	"time"

	"socketlab/lab/proc"
	"socketlab/lab/report"
	"socketlab/lab/subject"
)

// A T is one check on its way: the server that it looks at, and the story so
// far. Its methods end the check when the server does not do what it should.
type T struct {
	Options
	Server *subject.Subject
	Limit  int         // clients that the server serves at once; 0: no limit
	tls    *tls.Config // what clients say over TLS; nil: they do without

	hooks
	witness Witness         // nil: nobody looks on
	ctx     context.Context // done when the user interrupts, or the check takes too long
	cancel  context.CancelCauseFunc

	start time.Time

	mu      sync.Mutex // a story may be told by several clients at once
	story   []string
	clients []*Client
	came    int // clients so far
	floods  int // of them, those who send without a pause now
	note    string
	only    uint16 // the port, if it has only one; 0: any other will do
	check   string
	phase   string
	glanced glance
	began   strain
	grew    string // how much it was, by the last look
}

// A verdict is what ends a check early; the runner recovers it.
type verdict struct {
	status           report.Status
	expected, actual string
	diff             []string
	client           string // whom it happened to; "": nobody in particular
	facts
	schedule  string
	explained bool
}

// Fail ends the check: the server did not do what it should.
func (t *T) Fail(expected, actual string) { t.FailAs("", expected, actual) }

// FailAs is Fail with a mark for the causes: in a word, what was wrong.
func (t *T) FailAs(mark, expected, actual string) {
	panic(verdict{status: report.Fail, expected: expected, actual: actual, facts: facts{mark: mark}})
}

// Phase says how far the check has come, for the causes.
func (t *T) Phase(name string) { t.phase = name }

// Skip ends the check: it does not apply to this server.
func (t *T) Skip(why string) {
	t.Note(why)
	panic(verdict{status: report.Skip})
}

// Cannot ends the check: the harness itself could not do its part.
func (t *T) Cannot(what string, err error) {
	panic(verdict{status: report.Error, expected: "to be able to " + what, actual: err.Error()})
}

// Note adds a word to the verdict, such as "waits".
func (t *T) Note(note string) { t.note = note }

// Tell adds a line to the story.
func (t *T) Tell(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	t.story = append(t.story, line)
	t.witnessed(line)
}

// Most is the number of clients to use for a story about n of them: fewer, if
// the server cannot serve so many at once.
func (t *T) Most(n int) int {
	if t.Limit > 0 {
		return min(n, t.Limit)
	}
	return n
}

// Each tells n stories at the same time, and waits for all.
func (t *T) Each(n int, story func(i int)) {
	ends := make(chan any, n)
	for i := range n {
		go func() {
			defer func() { ends <- recover() }()
			story(i)
		}()
	}
	var first any
	for range n {
		if end := <-ends; first == nil {
			first = end
		}
	}
	if first != nil {
		panic(first)
	}
}

// Until waits until it has become true. If it does not in time, the check
// fails with what it last saw.
func (t *T) Until(expected string, see func() (actual string, ok bool)) { t.UntilAs("", expected, see) }

// UntilAs is Until with a mark for the causes.
func (t *T) UntilAs(mark, expected string, see func() (actual string, ok bool)) {
	p := t.patience()
	for pause := time.Millisecond; ; pause = min(2*pause, glances) {
		actual, ok := see()
		if ok {
			return
		}
		if p.left() == 0 {
			panic(verdict{
				status: report.Fail, expected: expected, actual: fmt.Sprintf("%s, for %s", actual, p.waited()),
				facts: facts{mark: mark, sure: p.sure},
			})
		}
		t.pause(pause)
	}
}

// pause is for what the kernel gives no event for: its tables are looked at
// again after a while.
func (t *T) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.ctx.Done():
		t.goOn()
	}
}

// goOn ends the check if its time is over.
func (t *T) goOn() {
	if t.ctx.Err() != nil {
		t.Fail("the check to come to an end", "it took too long")
	}
}

// Tree is what the server's processes are doing now.
func (t *T) Tree() proc.Tree {
	tree, err := t.Server.Tree()
	if err != nil {
		t.Cannot("look at the server's processes", err)
	}
	return t.withoutWitness(tree)
}

// ExpectQuiet waits until the server uses no CPU over a stretch of 200 ms, and
// sleeps most of the time: on a busy machine one that spins gets little CPU,
// but is always ready to take it.
func (t *T) ExpectQuiet(when string) {
	const stretch, most = 200 * time.Millisecond, 5 // percent of one core
	t.UntilAs("spins", "next to no CPU used "+when, func() (string, bool) {
		before, start := t.Tree().CPU, time.Now()
		looks, awake := 0, 0
		for time.Since(start) < stretch {
			t.pause(stretch / 20)
			looks++
			if !t.asleep() {
				awake++
			}
		}
		used := t.Tree().CPU - before
		share := 100 * float64(used) / float64(time.Since(start))
		return fmt.Sprintf("%.0f %% of a core, awake %d times of %d", share, awake, looks), share < most && 2*awake < looks
	})
	t.Tell("the server is quiet %s", when)
}

// asleep reports whether all threads of the server's sleep now: none runs, or
// waits for a core to run on.
func (t *T) asleep() bool { return asleep(t.Tree()) }

func asleep(tree proc.Tree) bool {
	for _, p := range tree.Processes {
		threads, _ := proc.Threads(p.Pid)
		if slices.ContainsFunc(threads, func(t proc.Thread) bool { return t.State() == 'R' }) {
			return false
		}
	}
	return true
}
