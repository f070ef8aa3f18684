package diagram

import (
	"cmp"
	"slices"
	"strings"
)

// waits reports whether an actor waits, in a call during which this happens:
// somebody else gets a turn, or time passes.
func waits(moments []moment, meanwhile []int, actor string) bool {
	for _, i := range meanwhile {
		e := moments[i].event
		if e.Call != nil && e.Call.Actor != actor || e.Note != nil || e.again() || moments[i].step != moments[meanwhile[0]].step {
			return true
		}
	}
	return false
}

// canonical puts moments into the order of one processor.
func canonical(t Trace, moments []moment) (order []int) {
	c := newCauses(t)
	waits := make([]int, len(moments)) // for how many others
	frees := make([][]int, len(moments))
	for j := range moments {
		for i := range j {
			if c.before(moments[i], moments[j]) {
				waits[j]++
				frees[i] = append(frees[i], j)
			}
		}
	}
	ready, since := []int{}, make([]int, len(moments))
	for i, n := range waits {
		if n == 0 {
			ready = append(ready, i)
		}
	}
	running := ""
	for len(ready) > 0 {
		if !slices.ContainsFunc(ready, func(i int) bool { return slices.Contains(moments[i].event.actors(), running) }) {
			running = "" // it waits
		}
		next := slices.MinFunc(ready, func(a, b int) int {
			return cmp.Or(slices.Compare(c.turn(moments[a], running, since[a]), c.turn(moments[b], running, since[b])), a-b)
		})
		ready = slices.DeleteFunc(ready, func(i int) bool { return i == next })
		order = append(order, next)
		if call := moments[next].event.Call; call != nil {
			running = call.Actor
		}
		for _, j := range frees[next] {
			if waits[j]--; waits[j] == 0 {
				ready = append(ready, j)
				since[j] = len(order)
			}
		}
	}
	return order
}

type causes struct {
	kinds map[string]ActorKind
	place map[string]int
}

func newCauses(t Trace) causes {
	c := causes{map[string]ActorKind{}, map[string]int{}}
	byName := slices.Clone(t.Actors)
	slices.SortStableFunc(byName, func(a, b Actor) int { return cmp.Compare(a.Name, b.Name) })
	for i, a := range byName {
		c.kinds[a.ID], c.place[a.ID] = a.Kind, i
	}
	return c
}

// again is true of what a timer sends: again, or late.
func (e Event) again() bool { return e.Segment != nil && (e.Segment.Retransmit || e.Segment.Late) }

// turn says whose turn it is among moments that may come in any order: the
// network's, the running one's, then that of who is ready since the earliest.
// Threads that begin by themselves do it when the others wait, in the order of
// their names: when they are told to, nobody sees. A timer runs out when nothing
// else is left to do.
func (c causes) turn(m moment, running string, since int) []int {
	switch e := m.event; {
	case e.again():
		return []int{5, e.conn()}
	case e.Segment != nil, e.State != nil, e.Queue != nil:
		return []int{0, since, e.conn()}
	case running != "" && slices.Contains(e.actors(), running):
		return []int{1}
	case m.alone:
		return []int{3, c.place[e.Call.Actor]}
	case e.Call != nil:
		return []int{2, since, e.conn(), c.place[e.Call.Actor]}
	case e.Life != nil:
		return []int{2, since, 0, c.place[e.Life.Actor]}
	}
	return []int{4}
}

// before says whether a, which was seen first, may be a cause of b.
func (c causes) before(a, b moment) bool {
	switch x, y := a.event, b.event; {
	case a.index == b.index:
		return true // a call begins before it returns
	case a.step != b.step, x.Note != nil, y.Note != nil:
		return true // a scene's word parts what was before from what is after
	case share(x.actors(), y.actors()):
		return true // a thread does one thing after the other
	case x.Call != nil && y.Call != nil:
		return c.hands(a, b)
	case x.Life != nil && y.Call != nil:
		return b.fresh && !c.client(y.Call) // a signal of its end
	case x.Call != nil && y.Segment != nil:
		return c.sends(a, *y.Segment)
	case x.Segment != nil && y.Call != nil:
		return b.returns && c.wakes(*x.Segment, *y.Call)
	case x.Queue != nil && y.Queue != nil && x.Queue.Conn == y.Queue.Conn:
		return true
	case x.Queue != nil && (x.Queue.Conn == 0 || y.Call != nil):
		return c.changes(b, *x.Queue)
	case y.Queue != nil && (y.Queue.Conn == 0 || x.Call != nil):
		return c.changes(a, *y.Queue)
	case x.Call == nil && y.Call == nil && x.Life == nil && y.Life == nil:
		return x.conn() == y.conn() // a connection's segments and states, as they were seen
	}
	return false
}

func (c causes) client(call *Call) bool { return c.kinds[call.Actor] == ClientProgram }

// hands says whether one call may have led to another one, of another thread.
// The clients are one scene, which does one thing after the other. A thread of
// the server's that begins something out of nothing was told to: by who had
// just come back from a call. One that waits may have been written to, in a
// pipe.
func (c causes) hands(a, b moment) bool {
	x, y := a.event.Call, b.event.Call
	switch {
	case c.client(x) != c.client(y):
		return a.returns && x.Name == "listen" && y.Name == "connect" // or it is refused
	case c.client(x):
		return !a.returns && !b.returns
	case b.returns:
		return !a.returns && x.Conn == 0 && sending(*x) && y.Conn == 0 && receives(*y)
	}
	return a.returns && b.fresh && !b.alone
}

// sends says whether a segment may be what a call was made for: one with more
// in it than an ACK, which the kernel sends when it likes. Who receives sends
// nothing, but may answer when it returns, or end, which closes.
func (c causes) sends(m moment, s Segment) bool {
	call := m.event.Call
	switch {
	case s.FromClient != c.client(call) || s.bare():
		return false
	case m.returns:
		return receives(*call) && call.Conn == s.Conn
	}
	return sending(*call) && (call.Conn == s.Conn || call.Conn == 0)
}

// changes says whether a moment may be what changed the length of a queue.
func (c causes) changes(m moment, q Queue) bool {
	call := m.event.Call
	switch {
	case call != nil && q.Conn == 0:
		return m.returns && strings.HasPrefix(call.Name, "accept")
	case call != nil: // what was read waits no more
		return m.returns && (call.Conn == q.Conn || call.Name == "io_uring_enter") && receives(*call) && !c.client(call)
	case m.event.Segment != nil:
		return m.event.Segment.third()
	}
	return m.event.State != nil
}

// wakes says whether a call may have returned because of a segment.
func (c causes) wakes(s Segment, call Call) bool {
	if s.FromClient == c.client(&call) || call.Conn > 0 && call.Conn != s.Conn || !receives(call) {
		return false
	}
	return !s.bare() || s.third()
}

// third is true of the segment that completes the handshake.
func (s Segment) third() bool { return s.bare() && s.FromClient && s.Seq == 1 && s.Ack == 1 }

// bare segments carry nothing but an acknowledgement.
func (s Segment) bare() bool { return s.Len == 0 && s.Flags == "ACK" }

// receives is true of calls whose result depends on what has arrived.
func receives(c Call) bool {
	return prefixed(c.Name, "accept", "connect", "read", "recv", "select", "pselect", "poll", "ppoll", "epoll_wait", "epoll_pwait", "io_uring_enter")
}

// sending is true of calls that may send more than an ACK.
func sending(c Call) bool {
	return prefixed(c.Name, "connect", "write", "send", "shutdown", "close", "io_uring_enter")
}

func prefixed(name string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

func share(a, b []string) bool {
	return slices.ContainsFunc(a, func(id string) bool { return id != "" && slices.Contains(b, id) })
}
