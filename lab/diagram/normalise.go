package diagram

import (
	"slices"
	"strings"
	"time"
)

// Normalise is t without what differs from one run to the next: the times,
// which become places in the order; the numbers of processes, threads,
// descriptors and ports, which are counted as they appear; the sizes of
// windows; and who was quicker, where that is a matter of luck.
//
// What is left to luck is decided as one processor would: who runs goes on
// until it has to wait, then who was woken first; segments take no time at all.
// So a receiver whose data was already there in one run, and not in another,
// waits for it if it asked before the sender got its turn. Events keep their
// order wherever one may have caused the other, and steps of the scene, which
// are told apart by rest, are never mixed.
func (t Trace) Normalise() Trace {
	t.Events = t.prompt()
	t.inTurn()
	moments := t.moments()
	order := canonical(t, moments)
	n := t
	n.Missing, n.Events, n.Steps = nil, nil, nil
	if n.Rung == Namespace {
		n.Rung = Captured // seen is seen
	}
	n.Took = time.Duration(len(order))
	place := map[int]int{} // of an event, by its old index
	step := 0
	for at, i := range order {
		m, now := moments[i], time.Duration(at+1)
		if m.step > step {
			step = m.step
			n.Steps = append(n.Steps, now-1)
		}
		if m.returns {
			begin := &n.Events[place[m.index]]
			begin.Call.Took = now - begin.At
			begin.Call.Slept = waits(moments, order[int(begin.At):at], begin.Call.Actor)
			continue
		}
		e := m.event.clone()
		e.At = now
		if e.Call != nil {
			e.Call.Took = 0
		}
		if e.Segment != nil {
			e.Segment.Window = 0
		}
		if e.State != nil {
			e.State.Confirmed = false // the table was asked in time, or not
		}
		place[m.index] = len(n.Events)
		n.Events = append(n.Events, e)
	}
	n.Actors = slices.Clone(t.Actors)
	n.inOrder()
	n.rename()
	return n
}

// prompt are the events without the ACKs that would have come with an answer,
// had the program not been a moment too slow for its kernel, in the same step
// (delayed ACK: RFC 9293, section 3.8.6.3). The kernel waits when it takes the
// connection for a dialogue, and for a FIN; first data it acknowledges at once.
// What is sent again in vain is left out, too: how often depends on the clock.
// On loopback that is all but a SYN, since nothing else is ever lost. So is what
// comes when all is over: an ACK that FIN overtook has TIME-WAIT answer, and a
// RST come back for that.
func (t Trace) prompt() (events []Event) {
	spoke := map[end]bool{} // it has sent more than ACKs
	fin := map[int]bool{}   // by connection: its latest segment was a FIN
	fins := endings{}
	gone := map[end]string{} // the state that a segment left out has ended
	skip := 0                // the connection whose changes of state are left out
	for i, e := range t.Events {
		switch s := e.Segment; {
		case s != nil:
			mine := end{s.Conn, s.FromClient}
			skip = 0
			if fins.over(*s) {
				skip = s.Conn
				continue
			}
			if s.Retransmit && (!strings.Contains(s.Flags, "SYN") || !answered(*s, t.Events[i+1:])) {
				continue
			}
			if s.bare() && (fin[s.Conn] || spoke[mine]) && t.answers(*s, t.Events[i+1:], t.step(e.At)) {
				skip = s.Conn
				continue
			}
			if s.bare() && t.holdsBack(i) {
				e = e.clone()
				e.Segment.Late = true
			}
			spoke[mine] = spoke[mine] || !s.bare() && !strings.Contains(s.Flags, "SYN")
			fin[s.Conn] = strings.Contains(s.Flags, "FIN")
		case e.State != nil:
			it := end{e.State.Conn, e.State.Client}
			if e.State.Conn == skip {
				gone[it] = e.State.From
				continue
			}
			if from, left := gone[it]; left {
				e = e.clone()
				e.State.From = from
				delete(gone, it)
			}
		}
		events = append(events, e)
	}
	return events
}

// holdsBack reports whether the other end of a connection has called send, and its
// kernel has waited for this ACK: Nagle's algorithm.
func (t Trace) holdsBack(ack int) bool {
	s := t.Events[ack].Segment
	for i := ack - 1; i >= 0; i-- {
		e := t.Events[i]
		if e.Segment != nil && e.Segment.Conn == s.Conn {
			return false
		}
		if c := e.Call; c != nil && c.Conn == s.Conn && prefixed(c.Name, "send") && t.serves(c.Actor) == s.FromClient &&
			c.Result != "" && e.At+c.Took <= t.Events[ack].At {
			return true
		}
	}
	return false
}

// An end is one of a connection.
type end struct {
	conn   int
	client bool
}

// endings are what acknowledges the FIN of each end; 1: that has come.
type endings map[end]uint32

// over reports whether both ends had finished before a segment.
func (f endings) over(s Segment) bool {
	mine, peer := end{s.Conn, s.FromClient}, end{s.Conn, !s.FromClient}
	if f[mine] == 1 && f[peer] == 1 {
		return true
	}
	if strings.Contains(s.Flags, "FIN") {
		f[mine] = s.Seq + uint32(s.Len) + 1
	}
	if f[peer] > 1 && s.Ack >= f[peer] {
		f[peer] = 1
	}
	return false
}

// answers reports whether the same end sends more than this ACK in a step.
func (t Trace) answers(ack Segment, later []Event, step int) bool {
	for _, e := range later {
		if s := e.Segment; s != nil && s.Conn == ack.Conn && s.FromClient == ack.FromClient {
			return !s.bare() && t.step(e.At) == step
		}
	}
	return false
}

// answered reports whether the other end is the next to send.
func answered(s Segment, later []Event) bool {
	i := slices.IndexFunc(later, func(e Event) bool { return e.Segment != nil && e.Segment.Conn == s.Conn })
	return i >= 0 && later[i].Segment.FromClient != s.FromClient
}
