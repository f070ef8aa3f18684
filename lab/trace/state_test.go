package trace

import (
	"strings"
	"testing"
	"time"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
)

// Both ends go through the states of RFC 9293, section 3.3.2. What comes is
// written "> SYN", "< SYN+ACK", with the acknowledged number where it matters.
func TestStates(t *testing.T) {
	open := []diagram.Segment{goes("SYN", 0, 0), comes("SYN+ACK", 0, 1), goes("ACK", 1, 1)}
	for _, c := range []struct {
		name           string
		segments       []diagram.Segment
		client, server string
	}{
		{"nothing is heard", open[:1], "SYN-SENT", ""},
		{"refused", []diagram.Segment{goes("SYN", 0, 0), comes("RST+ACK", 0, 1)}, "SYN-SENT CLOSED", ""}, // no end at the server ever was
		{"opened", open, "SYN-SENT ESTABLISHED", "SYN-RECEIVED ESTABLISHED"},
		{"given up before it was opened", append(open[:2:2], goes("RST", 1, 0)),
			"SYN-SENT ESTABLISHED CLOSED", "SYN-RECEIVED CLOSED"},
		{"both close at once", append(open[:3:3],
			goes("FIN+ACK", 1, 1), comes("FIN+ACK", 1, 1), goes("ACK", 2, 2), comes("ACK", 2, 2)),
			"SYN-SENT ESTABLISHED FIN-WAIT-1 CLOSING TIME-WAIT", "SYN-RECEIVED ESTABLISHED CLOSE-WAIT LAST-ACK CLOSED"}, // see machine
		{"FIN comes with the data, and is acknowledged later", append(open[:3:3],
			goes("FIN+PSH+ACK", 1, 1, "ab"), comes("ACK", 1, 3), comes("ACK", 1, 4), comes("FIN+ACK", 1, 4), goes("ACK", 4, 2)),
			"SYN-SENT ESTABLISHED FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT", "SYN-RECEIVED ESTABLISHED CLOSE-WAIT LAST-ACK CLOSED"},
		{"FIN with the ACK that opens", append(open[:2:2], goes("FIN+ACK", 1, 1)),
			"SYN-SENT ESTABLISHED FIN-WAIT-1", "SYN-RECEIVED CLOSE-WAIT"},
		{"FIN is sent twice", append(open[:3:3], goes("FIN+ACK", 1, 1), goes("FIN+ACK", 1, 1)),
			"SYN-SENT ESTABLISHED FIN-WAIT-1", "SYN-RECEIVED ESTABLISHED CLOSE-WAIT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(1)
			tr := diagram.Trace{}
			for i, s := range c.segments {
				tr.Events = append(tr.Events, m.pass(time.Duration(i), s)...)
			}
			if got := statesOf(tr, 1, true); got != c.client {
				t.Errorf("the client goes through %q, want %q", got, c.client)
			}
			if got := statesOf(tr, 1, false); got != c.server {
				t.Errorf("the server goes through %q, want %q", got, c.server)
			}
		})
	}
}

func goes(flags string, seq, ack uint32, data ...string) diagram.Segment {
	return diagram.Segment{Conn: 1, FromClient: true, Flags: flags, Seq: seq, Ack: ack, Len: len(strings.Join(data, ""))}
}

func comes(flags string, seq, ack uint32) diagram.Segment {
	return diagram.Segment{Conn: 1, Flags: flags, Seq: seq, Ack: ack}
}

// A table that says something else is not hidden.
func TestContradiction(t *testing.T) {
	states := newMachine(1).pass(0, goes("SYN", 0, 0))
	latest, client := states[1].State, end{1, true}
	if text := confirm(latest, true, client, endState{state: proc.SynSent, known: true}); text != "" || !states[1].State.Confirmed {
		t.Errorf("the same state: %q, confirmed: %v", text, states[1].State.Confirmed)
	}
	text := confirm(latest, true, client, endState{state: proc.Established, known: true})
	if !strings.Contains(text, "ESTABLISHED") || !strings.Contains(text, "SYN-SENT") {
		t.Errorf("another state: %q; want both named", text)
	}
	if text := confirm(latest, true, client, endState{}); text != "" {
		t.Errorf("where nothing is known: %q", text)
	}
}
