package diagram

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// An idler is a child that was started before the first client came, and went
// to sleep in its first call.
type idler struct {
	id     string
	begins int // in Trace.Events
	call   int // in Trace.Events
	fork   int // in Trace.Events: the call that returned it; -1: not seen
	wakes  time.Duration
}

// inTurn has children that are alike wake up in the order in which they were
// started. The kernel wakes who has slept longest: accept(2) is first come,
// first served. But which of them had come first was a matter of luck, and up to
// there they have done the same. So who wakes first takes over the past of who
// began first, and so on.
func (t *Trace) inTurn() {
	alike := map[string][]idler{}
	for _, i := range t.idlers() {
		like := t.Events[i.begins].Life.By + ": " + t.Events[i.call].Call.begins()
		alike[like] = append(alike[like], i)
	}
	was, is := slices.Clone(t.Events), t.Events
	for _, born := range alike {
		woken := slices.Clone(born)
		slices.SortStableFunc(woken, func(a, b idler) int { return cmp.Compare(a.wakes, b.wakes) })
		for n, past := range born {
			self := woken[n]
			life, call := was[past.begins].clone(), was[self.call].clone()
			life.Life.Actor = self.id
			call.At = was[past.call].At
			call.Call.Took += was[self.call].At - call.At
			is[past.begins], is[past.call] = life, call
			if past.fork >= 0 && self.fork >= 0 {
				fork := was[past.fork].clone()
				fork.Call.Result = was[self.fork].Call.Result
				is[past.fork] = fork
			}
		}
	}
}

// idlers are in the order in which they begin.
func (t *Trace) idlers() (all []idler) {
	came := slices.IndexFunc(t.Events, func(e Event) bool { return e.Segment != nil })
	if came < 0 {
		return nil
	}
	forks := map[string]int{}
	for i, e := range t.Events[:came] {
		c := e.Call
		if e.Life != nil && e.Life.Event == "begins" {
			all = append(all, idler{id: e.Life.Actor, begins: i, call: -1, fork: -1})
		}
		if c == nil {
			continue
		}
		if starts(*c) {
			forks[c.Result] = i
		}
		first := func(a idler) bool { return a.id == c.Actor && a.call < 0 }
		if n := slices.IndexFunc(all, first); n >= 0 {
			all[n].call, all[n].wakes = i, e.At+c.Took
			if c.Result == "" {
				all[n].wakes = math.MaxInt64
			}
		}
	}
	for n, a := range all {
		pid, _, _ := strings.Cut(a.id, "/")
		for _, name := range []string{a.id, pid} {
			if i, found := forks[name]; found {
				all[n].fork = i
			}
		}
	}
	return slices.DeleteFunc(all, func(a idler) bool { return a.call < 0 || a.wakes < t.Events[came].At })
}

// starts is true of calls that return a child.
func starts(c Call) bool { return prefixed(c.Name, "fork", "vfork", "clone", "spawn") }
