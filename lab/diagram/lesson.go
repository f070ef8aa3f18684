package diagram

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// What a scene is about. A picture shows that in full, and folds the rest.
const (
	Opening  = "opening"  // how a connection opens: all is drawn
	Segments = "segments" // what goes over an open connection, and how it ends
	Queues   = "queues"   // the queues of a socket that listens
	Waiting  = "waiting"  // who waits where: a slide
)

// title is the lesson, if it is known.
func (t Trace) title() string { return cmp.Or(t.Lesson, t.played()) }

func (t Trace) played() string { return t.Scene + ": " + t.Subject }

// brief is t without what its scene is not about: set-up is one row, and so is
// a connection that opens. Segments that close are numbered, and a FIN that no
// call has sent says so.
func (t Trace) brief() Trace {
	t.Events = slices.Clone(t.Events)
	t.numbers()
	t.drops()
	if t.About == Segments || t.About == Queues {
		t = t.openedAtOnce()
	}
	for i, e := range t.Events { // where each end begins
		if e.State != nil && (e.State.From == "CLOSED" || e.State.From == "LISTEN") {
			t.Events[i] = e.clone()
			t.Events[i].State.To = e.State.From + " → " + e.State.To
		}
		if t.About == Queues && e.State != nil && e.State.To == "SYN-RECEIVED" {
			t.Events[i].State.To += ", SYN queue ■"
		}
		if q := e.Queue; q != nil && q.Conn == 0 && q.Limit > 0 && q.Limit <= mostSeats {
			t.Events[i] = e.clone()
			t.Events[i].Queue.Seats = strings.Repeat("■", min(q.Length, q.Limit)) + strings.Repeat("□", max(0, q.Limit-q.Length))
		}
	}
	return t
}

// mostSeats is how many places of a queue are drawn one by one.
const mostSeats = 8

// drops marks each SYN that the server did not answer: its client had to send it
// again, or is waiting.
func (t Trace) drops() {
	for i, e := range t.Events {
		if s := e.Segment; s != nil && s.Flags == "SYN" && !answered(*s, t.Events[i+1:]) {
			t.Events[i] = e.clone()
			t.Events[i].Segment.Dropped = true
		}
	}
}

// openedAtOnce has set-up, and each opening that succeeds, in one row.
func (t Trace) openedAtOnce() Trace {
	clients := 0
	for _, a := range t.Actors {
		if a.Kind == ClientProgram {
			clients++
		}
	}
	short := t
	short.Owners = t.owned()
	opened := t.opened()
	if t.About == Queues {
		delete(opened, 2) // the first that waits, in full
	}
	dropped := map[int]bool{}
	for _, e := range t.Events {
		if e.Segment != nil && e.Segment.Dropped {
			dropped[e.Segment.Conn] = true
		}
	}
	short.Events = nil
	settled := time.Duration(-1)
	if len(t.Steps) > 0 {
		settled = t.Steps[0]
	}
	setUp := map[string]int{} // by thread: its row
	closing := map[int]bool{}
	for i, e := range t.Events {
		if e.Segment != nil && e.Segment.Step > 0 && t.About == Queues { // a close is one row
			closing[e.Segment.Conn] = true
			if e.Segment.Step > 1 {
				continue
			}
			e = e.clone()
			e.Segment.Label, e.Segment.Step = "FIN, FIN, ACK", 0
		}
		switch c, s := e.Call, e.Segment; {
		case e.State != nil && closing[e.State.Conn],
			c != nil && c.Name == "close" && !t.serves(c.Actor) && t.About == Queues:
			continue
		case s != nil && i < opened[s.Conn] && prefixed(s.Flags, "SYN") && !s.Dropped,
			e.State != nil && i < opened[e.State.Conn]+1 && e.State.To != "ESTABLISHED" && opened[e.State.Conn] > 0 && !(dropped[e.State.Conn] && e.State.Client),
			c != nil && !t.serves(c.Actor) && c.Result != "" && (c.Name == "socket" || c.Name == "connect" && c.Result == "0" && !dropped[c.Conn]):
			continue
		case s != nil && i > 0 && i == opened[s.Conn]:
			e = e.clone()
			if e.Segment.Label = handshake; dropped[s.Conn] {
				e.Segment.Label = "SYN again, SYN+ACK, ACK"
			}
		case e.State != nil && e.State.To == "ESTABLISHED" && opened[e.State.Conn] > 0:
			e = e.clone()
			if !dropped[e.State.Conn] || !e.State.Client {
				e.State.From = map[bool]string{true: "CLOSED", false: "LISTEN"}[e.State.Client]
			}
			if e.State.Client && (clients > 1 || !dropped[e.State.Conn]) { // it follows from the row for all
				continue
			}
		case c != nil && c.Name == "connect" && clients > 1: // there is no room for the address
			e = e.clone()
			e.Call.Args, _, _ = strings.Cut(c.Args, ",")
		case c != nil && t.serves(c.Actor) && c.Result != "" && e.At+c.Took <= settled:
			if at, begun := setUp[c.Actor]; begun {
				first := short.Events[at].Call
				if !slices.Contains(strings.Split(first.Name, ", "), c.Name) {
					first.Name += ", " + c.Name
				}
				first.Args, first.Result = c.Args, c.Result
				first.Took = e.At + c.Took - short.Events[at].At
				continue
			}
			e = e.clone()
			setUp[c.Actor] = len(short.Events)
		}
		short.Events = append(short.Events, e)
		if s := e.Segment; s != nil && s.Label == handshake && clients < 2 {
			short.Events = append(short.Events, Event{At: e.At, State: &State{Conn: s.Conn, Client: true, From: "CLOSED", To: "ESTABLISHED"}})
		}
	}
	return short
}

// numbers counts the segments of each close: each FIN, and what acknowledges one.
func (t Trace) numbers() {
	fins := map[end]uint32{} // what acknowledges each end's FIN, as long as nothing has
	count := map[int]int{}
	for i, e := range t.Events {
		s := e.Segment
		if s == nil {
			continue
		}
		peer := end{s.Conn, !s.FromClient}
		acks := fins[peer] > 0 && s.Ack >= fins[peer]
		if acks {
			delete(fins, peer)
		}
		finishes := prefixed(s.Flags, "FIN")
		if finishes {
			fins[end{s.Conn, s.FromClient}] = s.Seq + uint32(s.Len) + 1
		}
		if !finishes && !(acks && s.bare()) {
			continue
		}
		count[s.Conn]++
		t.Events[i] = e.clone()
		s = t.Events[i].Segment
		s.Step = count[s.Conn]
		s.ByExit = finishes && !s.FromClient && t.exits(s.Conn, i)
	}
}

// exits reports whether a server's FIN was sent since its process ended: who
// read last from the connection has not closed it, and ends.
func (t Trace) exits(conn, at int) bool {
	reader := ""
	for i, e := range t.Events {
		c := e.Call
		switch {
		case c != nil && i < at && c.Conn == conn && t.serves(c.Actor) && prefixed(c.Name, "read", "recv"):
			reader = c.Actor
		case c != nil && i < at && c.Conn == conn && c.Actor == reader && prefixed(c.Name, "close", "shutdown"):
			return false
		case e.Life != nil && e.Life.Event == "ends" && e.Life.Actor == reader:
			return true
		}
	}
	return false
}

// operated is t with the operator's terminal in a column of its own: what is
// typed at it, and what the server prints.
func (t Trace) operated() Trace {
	events := t.Events
	t.Events = nil
	for _, e := range events {
		if e.Note != nil && e.Note.Actor == "" && prefixed(e.Note.Text, "the operator types", "the server prints") {
			if !slices.ContainsFunc(t.Actors, func(a Actor) bool { return a.Kind == terminal }) {
				t.Actors = append(slices.Clone(t.Actors), Actor{string(terminal), "operator's terminal", terminal})
			}
			e = e.clone()
			e.Note.Actor = string(terminal)
		}
		t.Events = append(t.Events, e)
	}
	return t
}

// pipe is true of a call with which one thread of the server's wakes up another
// one, or is woken up: it is about no connection, and about no terminal.
func (t Trace) pipe(c Call) bool {
	return t.serves(c.Actor) && c.Conn == 0 && prefixed(c.Name, "write", "read") &&
		!prefixed(c.Args, "0", "1,", "2,") && c.Result != "" && c.Result != "EAGAIN"
}

// named is t with the pipe that wakes threads up called so.
func (t Trace) named() Trace {
	t.Events = slices.Clone(t.Events)
	for i, e := range t.Events {
		if e.Call != nil && t.pipe(*e.Call) {
			t.Events[i] = e.clone()
			t.Events[i].Call.Args += ": wake-up pipe"
		}
	}
	return t
}
