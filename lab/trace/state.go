package trace

import (
	"strings"
	"time"

	"socketlab/lab/diagram"
)

const (
	closed      = "CLOSED"
	listen      = "LISTEN"
	synSent     = "SYN-SENT"
	synReceived = "SYN-RECEIVED"
	established = "ESTABLISHED"
	finWait1    = "FIN-WAIT-1"
	finWait2    = "FIN-WAIT-2"
	closeWait   = "CLOSE-WAIT"
	closing     = "CLOSING"
	lastAck     = "LAST-ACK"
	timeWait    = "TIME-WAIT"
)

// A machine is both ends of a connection, going through their states as the
// segments come: RFC 9293, section 3.3.2. Names are the RFC's.
//
// Each segment is taken to arrive before the next one is sent, as it does on
// loopback nearly always. Where two FINs cross, the end that sent the later one
// is taken to have seen the earlier one; then the kernel's table says otherwise.
type machine struct {
	conn   int
	states [2]string // client's, server's
	fins   [2]uint32 // what acknowledges the end's FIN; 0: it has sent none
}

func newMachine(conn int) *machine {
	return &machine{conn: conn, states: [2]string{closed, listen}}
}

// pass lets one segment pass from end to end: the segment, and the states that
// follow from it, the sender's first.
func (m *machine) pass(at time.Duration, s diagram.Segment) []diagram.Event {
	from, to := 1, 0
	if s.FromClient {
		from, to = 0, 1
	}
	f := flagsOf(s.Flags)
	events := []diagram.Event{{At: at, Segment: &s}}
	change := func(end int, state string) {
		if old := m.states[end]; old != state {
			m.states[end] = state
			events = append(events, diagram.Event{At: at, State: &diagram.State{
				Conn: m.conn, Client: end == 0, From: old, To: state,
			}})
		}
	}
	change(from, m.sends(from, s, f))
	change(to, m.receives(to, s, f))
	return events
}

// sends is the state of an end that sends a segment.
func (m *machine) sends(end int, s diagram.Segment, f flags) string {
	state := m.states[end]
	if f.has(fin) {
		m.fins[end] = s.Seq + uint32(s.Len) + 1
	}
	switch {
	case f.has(rst) && state == listen:
		return listen // it refuses a SYN
	case f.has(rst):
		return closed
	case f.has(syn) && !f.has(ack) && state == closed:
		return synSent
	case f.has(syn) && f.has(ack) && state == listen:
		return synReceived // not at the SYN: a full queue lets it fall
	case f.has(fin) && (state == established || state == synReceived):
		return finWait1
	case f.has(fin) && state == closeWait:
		return lastAck
	}
	return state
}

// receives is the state of an end that a segment has reached.
func (m *machine) receives(end int, s diagram.Segment, f flags) string {
	state := m.states[end]
	switch {
	case f.has(rst):
		return closed
	case f.has(syn) && f.has(ack) && state == synSent:
		return established
	case f.has(syn):
		return state
	}
	if f.has(ack) {
		finAcked := m.fins[end] != 0 && int32(s.Ack-m.fins[end]) >= 0
		switch {
		case state == synReceived:
			state = established
		case finAcked && state == finWait1:
			state = finWait2
		case finAcked && state == closing:
			return timeWait
		case finAcked && state == lastAck:
			return closed
		}
	}
	if f.has(fin) {
		switch state {
		case established:
			return closeWait
		case finWait1:
			return closing
		case finWait2:
			return timeWait
		}
	}
	return state
}

// flagsOf reads what flags.String writes.
func flagsOf(text string) (f flags) {
	for i, name := range flagNames {
		if strings.Contains(text, name) {
			f |= 1 << i
		}
	}
	return f
}
