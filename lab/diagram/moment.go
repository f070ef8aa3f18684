package diagram

import (
	"cmp"
	"slices"
	"time"
)

// A moment is a place in the order of time. A call has two: it begins, and it
// returns.
type moment struct {
	at      time.Duration
	event   Event
	index   int // in Trace.Events
	returns bool
	step    int  // of the scene
	fresh   bool // a thread begins a call, and did nothing before in this step
	alone   bool // a thread of the server's, not its first, begins by itself before the scene does
}

// moments puts the returns of the calls among the events. Of what is said to
// have happened at the same time, a return comes last: it is the effect.
func (t Trace) moments() []moment {
	var all []moment
	for i, e := range t.Events {
		all = append(all, moment{at: e.At, event: e, index: i})
		if c := e.Call; c != nil && c.Result != "" && c.Took == 0 {
			all = append(all, moment{at: e.At, event: e, index: i, returns: true})
		}
	}
	for i, e := range t.Events {
		if c := e.Call; c != nil && c.Result != "" && c.Took > 0 {
			all = append(all, moment{at: e.At + c.Took, event: e, index: i, returns: true})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	active := map[string]int{} // by actor: the step after the latest
	first := true
	for i := range all {
		m := &all[i]
		m.step = t.step(m.at)
		for _, actor := range m.event.actors() {
			m.fresh = m.event.Call != nil && !m.returns && active[actor] != m.step+1
			if m.fresh && active[actor] == 0 && t.serves(actor) {
				m.alone = !first && m.step == 0
				first = false
			}
			active[actor] = m.step + 1
		}
	}
	return all
}

// serves is true of the server's threads.
func (t Trace) serves(id string) bool {
	return slices.ContainsFunc(t.Actors, func(a Actor) bool { return a.ID == id && a.Kind == ServerThread })
}

// step is how many steps of the scene were over at a time.
func (t Trace) step(at time.Duration) int {
	n, _ := slices.BinarySearch(t.Steps, at)
	return n
}
