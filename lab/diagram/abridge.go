package diagram

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"socketlab/lab/text"
)

// How many events stay of a long trace: at its beginning, before and after
// what it is about, and at its end.
const (
	headKept   = 24
	beforeKept = 24
	afterKept  = 8
	tailKept   = 4

	turnsKept = 40 // where connections take a turn; of more, none is kept for that
)

// Abridge leaves the middle out of a long trace, but for what is around a point
// in time. Notes say what is left out, and who is in none of what is left has
// no column. Nor have threads that touch no connection.
func (t Trace) Abridge(around time.Duration) Trace {
	t = t.withoutBystanders()
	n := len(t.Events)
	if n <= headKept+beforeKept+afterKept+tailKept {
		return t
	}
	middle, _ := slices.BinarySearchFunc(t.Events, around, func(e Event, at time.Duration) int { return int(e.At - at) })
	keep := make([]bool, n)
	for i := range keep {
		keep[i] = i < headKept || i >= n-tailKept || i >= middle-beforeKept && i < middle+afterKept
	}
	keepTurns(t.Events, keep)
	keepOpen(t.Events, keep)
	keepOwners(t, keep)
	fill(keep)
	short := t
	short.Events, short.Steps = nil, nil
	var left gap
	for i, e := range t.Events {
		if keep[i] {
			short.Events = left.tell(short.Events)
			short.Events = append(short.Events, e)
		} else {
			left.add(e)
		}
	}
	short.Actors = slices.DeleteFunc(slices.Clone(t.Actors), func(a Actor) bool {
		return (a.Kind == ClientProgram || a.Kind == ServerThread) &&
			!slices.ContainsFunc(short.Events, func(e Event) bool { return slices.Contains(e.actors(), a.ID) })
	})
	return short
}

// withoutBystanders leaves out threads that do nothing but start others, or wait
// for those who do the work: a runtime's own.
func (t Trace) withoutBystanders() Trace {
	bystander := map[string]bool{}
	for _, a := range t.Actors {
		bystander[a.ID] = a.Kind == ServerThread && strings.Contains(a.ID, "/")
	}
	for _, e := range t.Events {
		if c := e.Call; c != nil && (c.Conn > 0 || !prefixed(c.Name, "clone", "epoll_")) {
			bystander[c.Actor] = false
		}
	}
	left := 0
	all := t
	all.Actors, all.Events = nil, nil
	for _, a := range t.Actors {
		if bystander[a.ID] {
			left++
		} else {
			all.Actors = append(all.Actors, a)
		}
	}
	for _, e := range t.Events {
		switch e = e.clone(); {
		case e.Call != nil && bystander[e.Call.Actor], e.Life != nil && bystander[e.Life.Actor]:
			continue
		case e.Life != nil && bystander[e.Life.By]:
			e.Life.By = ""
		}
		all.Events = append(all.Events, e)
	}
	if left > 0 {
		all.Missing = append(slices.Clone(t.Missing), text.Count(left, "thread that touches", "threads that touch")+" no connection: left out")
	}
	return all
}

// keepTurns keeps what opens and ends connections, unless it is too much.
func keepTurns(events []Event, keep []bool) {
	var turns []int
	for i, e := range events {
		if !keep[i] && e.turns() {
			turns = append(turns, i)
		}
	}
	if len(turns) > turnsKept {
		return
	}
	for _, i := range turns {
		keep[i] = true
	}
}

func (e Event) turns() bool {
	switch {
	case e.Segment != nil:
		return prefixed(e.Segment.Flags, "SYN", "FIN", "RST")
	case e.Call != nil:
		return e.Call.Conn > 0 && (prefixed(e.Call.Name, "close", "shutdown") || e.Call.Result == "0" && receives(*e.Call))
	}
	return e.State != nil || e.Life != nil
}

// fill keeps what is not worth a note: a few events between those that stay.
func fill(keep []bool) {
	const few = 3
	for i, last := 0, -1; i < len(keep); i++ {
		if !keep[i] {
			continue
		}
		for j := last + 1; i-last <= few+1 && j < i; j++ {
			keep[j] = true
		}
		last = i
	}
}

// keepOpen keeps the calls in which threads are at the end, so that their bars
// are drawn.
func keepOpen(events []Event, keep []bool) {
	for i, e := range events {
		keep[i] = keep[i] || e.Call != nil && e.Call.Result == ""
	}
}

// keepOwners keeps of each connection that is still there a call of its
// client's: that is how it is known whose it is.
func keepOwners(t Trace, keep []bool) {
	clients := map[string]bool{}
	for _, a := range t.Actors {
		clients[a.ID] = a.Kind == ClientProgram
	}
	first, seen := map[int]int{}, map[int]bool{}
	for i, e := range t.Events {
		conn := e.conn()
		if _, known := first[conn]; !known && e.Call != nil && clients[e.Call.Actor] {
			first[conn] = i
		}
		seen[conn] = seen[conn] || keep[i]
	}
	for conn, i := range first {
		keep[i] = keep[i] || conn > 0 && seen[conn]
	}
}

// A gap counts what is left out between two events that are kept.
type gap struct {
	at                     time.Duration
	segments, calls, other int
}

func (g *gap) add(e Event) {
	if *g == (gap{}) {
		g.at = e.At
	}
	switch {
	case e.Segment != nil:
		g.segments++
	case e.Call != nil:
		g.calls++
	default:
		g.other++
	}
}

// tell adds a note about the gap, if there is one, and closes it.
func (g *gap) tell(events []Event) []Event {
	if text := g.text(); text != "" {
		events = append(events, Event{At: g.at, Note: &Note{Text: text}})
	}
	*g = gap{}
	return events
}

func (g *gap) text() string {
	var parts []string
	if g.segments > 0 {
		parts = append(parts, text.Count(g.segments, "segment"))
	}
	if g.calls > 0 {
		parts = append(parts, text.Count(g.calls, "call"))
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("… %s left out …", strings.Join(parts, " and "))
}
