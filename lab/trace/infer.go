package trace

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
)

// A guess is what is concluded of one connection so far, from what the client's
// calls returned and from what the kernel's tables said. How the data was cut,
// and what was acknowledged in between or sent twice, cannot be known: one
// segment stands for what one call sent or received. Nor can a window.
//
// Its arrays have the client's end first.
type guess struct {
	emits func(at time.Time, s diagram.Segment) // takes the segments
	begun bool                                  // there was one
	last  time.Time                             // when the latest was sent

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
	if at.UnixNano() < g.last.UnixNano() {
		at = g.last
	}
	g.begun, g.last = true, at
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
	g.emits(at, s)
}

func (g *guess) emitSyn() {
	if !g.begun {
		g.emit(g.opens, theClient, syn, 0, nil)
	}
}

func (g *guess) emitFin(at time.Time, from int) {
	if !g.fin[from] && !g.reset {
		g.emit(at, from, fin|ack, 0, nil)
	}
}

// returned takes note of what a call of the client's returned.
func (g *guess) returned(made *systemCall) {
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
func (g *guess) looked(at time.Time, c, s endState) {
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
		if clientGone && !g.fin[theServer] { // no TIME-WAIT: it was no orderly end
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
