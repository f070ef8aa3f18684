package trace

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
)

// A timed is a segment and when it went, by the wall clock.
type timed struct {
	at time.Time
	diagram.Segment
}

// infer concludes which segments must have gone, from what the clients' calls
// returned and from what the kernel's tables said after each step. How the data
// was cut, and what was acknowledged in between or sent twice, cannot be known:
// one segment stands for what one call sent or received. Nor can a window.
func infer(clients []*client, looks []look) (all []timed, number map[*client]int) {
	guesses := make([]*guess, len(clients))
	for i, c := range clients {
		g := &guess{client: c}
		guesses[i] = g
		type clue struct {
			at   time.Time
			take func()
		}
		var clues []clue
		for _, made := range c.made() {
			if made.Name == "connect" {
				g.opens = made.begin
			}
			if !made.end.IsZero() { // else a look sees what it has done so far
				clues = append(clues, clue{made.end, func() { g.returned(made) }})
			}
		}
		for _, l := range looks {
			if i < len(l.ends) {
				clues = append(clues, clue{l.at, func() { g.looked(l.at, l.ends[i][0], l.ends[i][1]) }})
			}
		}
		slices.SortStableFunc(clues, func(a, b clue) int { return a.at.Compare(b.at) })
		for _, clue := range clues {
			clue.take()
		}
	}
	guesses = slices.DeleteFunc(guesses, func(g *guess) bool { return len(g.segments) == 0 })
	slices.SortStableFunc(guesses, func(a, b *guess) int { return a.segments[0].at.Compare(b.segments[0].at) })
	number = map[*client]int{}
	for i, g := range guesses {
		number[g.client] = i + 1
		for _, s := range g.segments {
			s.Conn = i + 1
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b timed) int { return a.at.Compare(b.at) })
	return all, number
}

// A guess is what is concluded of one connection so far. Its arrays have the
// client's end first.
type guess struct {
	client   *client
	segments []timed

	opens, closes time.Time // when the client called connect and close; zero: it did not
	open          bool
	next          [2]uint32 // relative sequence numbers
	acked         [2]uint32 // how far the other end has acknowledged
	fin           [2]bool
	reset         bool
	read          uint32 // bytes that the client has received
}

const theClient, theServer = 0, 1

// emit adds a segment.
func (g *guess) emit(at time.Time, from int, f flags, length int, data []byte) {
	if n := len(g.segments); n > 0 && at.Before(g.segments[n-1].at) {
		at = g.segments[n-1].at
	}
	to := 1 - from
	s := diagram.Segment{
		FromClient: from == theClient, Flags: f.String(), Seq: g.next[from],
		Len: length, Data: data[:min(len(data), diagram.MaxData)], Inferred: true,
	}
	if f.has(ack) {
		s.Ack, g.acked[to] = g.next[to], g.next[to]
	}
	g.next[from] += uint32(length)
	if f.has(syn | fin) {
		g.next[from]++
	}
	g.fin[from] = g.fin[from] || f.has(fin)
	g.reset = g.reset || f.has(rst)
	g.segments = append(g.segments, timed{at, s})
}

func (g *guess) emitSyn() {
	if len(g.segments) == 0 {
		g.emit(g.opens, theClient, syn, 0, nil)
	}
}

func (g *guess) emitFin(at time.Time, from int) {
	if !g.fin[from] && !g.reset {
		g.emit(at, from, fin|ack, 0, nil)
	}
}

// returned takes note of what a call of the client's returned.
func (g *guess) returned(made call) {
	failed := made.errno != 0
	switch {
	case made.Name == "connect" && !failed:
		g.emitSyn()
		g.emit(made.end, theServer, syn|ack, 0, nil)
		g.emit(made.end, theClient, ack, 0, nil)
		g.open = true
	case made.Name == "connect" && made.errno == unix.ECONNREFUSED:
		g.emitSyn()
		g.emit(made.end, theServer, rst|ack, 0, nil)
	case !g.open || g.reset:
	case made.errno == unix.ECONNRESET:
		g.emit(made.end, theServer, rst|ack, 0, nil)
	case failed:
	case made.Name == "send":
		g.emit(made.begin, theClient, psh|ack, len(made.data), made.data)
	case made.Name == "recv" && len(made.data) == 0:
		g.emitFin(made.end, theServer)
	case made.Name == "recv":
		g.read += uint32(len(made.data))
		g.arrived(made.end, g.read, made.data)
	case made.Name == "shutdown":
		g.emitFin(made.begin, theClient)
	case made.Name == "close":
		g.closes = made.begin
	}
}

// arrived takes note that the client's kernel has so many bytes from the server
// in all, and what the last of them are, if that is known.
func (g *guess) arrived(at time.Time, bytes uint32, last []byte) {
	if seen := g.next[theServer] - 1; bytes > seen && !g.fin[theServer] {
		n := int(bytes - seen)
		g.emit(at, theServer, psh|ack, n, last[max(0, len(last)-n):])
	}
}

// looked takes note of the states that the kernel's table has.
func (g *guess) looked(at time.Time, c, s end) {
	if c.known && c.state == proc.SynSent {
		g.emitSyn()
	}
	if !g.open || g.reset {
		return
	}
	if c.unread > 0 {
		g.arrived(at, g.read+uint32(c.unread), nil)
	}
	clientGone, serverGone := c.known && c.state == proc.Closed, s.known && s.state == proc.Closed
	finished := func(states ...proc.State) bool { return slices.Contains(states, c.state) }
	if !g.closes.IsZero() && !g.fin[theClient] {
		if clientGone && !g.fin[theServer] { // no TIME_WAIT: it was no orderly end
			g.emit(g.closes, theClient, rst|ack, 0, nil)
			return
		}
		g.emitFin(g.closes, theClient)
	}
	if clientGone && serverGone && !g.fin[theClient] {
		g.emit(at, theServer, rst|ack, 0, nil)
		return
	}
	if finished(proc.CloseWait, proc.LastAck, proc.Closing, proc.TimeWait) ||
		slices.Contains([]proc.State{proc.FinWait1, proc.FinWait2, proc.LastAck}, s.state) {
		g.emitFin(at, theServer)
	}
	both := g.fin[theClient] && g.fin[theServer]
	if g.acked[theClient] < g.next[theClient] && c.known && c.unsent == 0 && (!clientGone || both) {
		g.emit(at, theServer, ack, 0, nil)
	}
	if g.acked[theServer] < g.next[theServer] && s.known && s.unsent == 0 && (!serverGone || both) {
		g.emit(at, theClient, ack, 0, nil)
	}
}
