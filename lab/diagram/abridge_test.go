package diagram

import (
	"strings"
	"testing"
	"time"
)

// lengthy is a client that sends many times, a server that answers, and a thread
// that touches no connection.
func lengthy(messages int) Trace {
	t := Trace{
		Schema: Schema, Scene: "long", Subject: "server", Rung: Captured, Missing: []string{},
		Actors: []Actor{
			{ID: "client 1", Name: "client 1", Kind: ClientProgram},
			{ID: "client 2", Name: "client 2", Kind: ClientProgram},
			{ID: "kernel/server", Name: "server's kernel", Kind: ServerKernel},
			{ID: "server", Name: "server", Kind: ServerThread},
			{ID: "server/thread 1", Name: "thread 1", Kind: ServerThread},
		},
	}
	at := time.Duration(0)
	add := func(e Event) {
		at++
		e.At = at
		t.Events = append(t.Events, e)
	}
	add(Event{Call: &Call{Actor: "server/thread 1", Name: "epoll_pwait", Slept: true}})
	add(Event{Call: &Call{Actor: "client 1", Name: "connect", Result: "0", Conn: 2}})
	add(Event{Segment: &Segment{Conn: 2, FromClient: true, Flags: "SYN"}})
	for range messages {
		add(Event{Segment: &Segment{Conn: 2, FromClient: true, Flags: "PSH+ACK", Len: 1}})
		add(Event{Call: &Call{Actor: "server", Name: "read", Result: "1 byte", Conn: 2}})
	}
	add(Event{Call: &Call{Actor: "client 2", Name: "connect", Result: "0", Conn: 1}})
	for range messages {
		add(Event{Segment: &Segment{Conn: 2, FromClient: true, Flags: "PSH+ACK", Len: 1}})
	}
	add(Event{Segment: &Segment{Conn: 2, FromClient: true, Flags: "FIN+ACK"}})
	for range messages {
		add(Event{Segment: &Segment{Conn: 2, FromClient: true, Flags: "ACK"}})
	}
	return t
}

// What is around the point stays, what ends a connection stays, and what is left
// out is counted, each event once.
func TestAbridge(t *testing.T) {
	whole := lengthy(1500)
	point := whole.Events[2000].At
	short := whole.Abridge(point)
	if err := short.check(); err != nil {
		t.Fatal(err)
	}
	var segments, calls int
	var notes []string
	kept := map[time.Duration]bool{}
	for _, e := range short.Events {
		switch {
		case e.Note != nil:
			notes = append(notes, e.Note.Text)
			continue
		case e.Segment != nil:
			segments++
		case e.Call != nil:
			calls++
		}
		kept[e.At] = true
	}
	if n := len(short.Events); n > 100 || segments < 10 || calls < 10 {
		t.Errorf("%d events are left, %d segments and %d calls", n, segments, calls)
	}
	for _, e := range whole.Events {
		near := e.At >= point-beforeKept && e.At < point+afterKept
		ends := e.Segment != nil && e.Segment.Flags == "FIN+ACK"
		if (near || ends) && !kept[e.At] {
			t.Errorf("%+v at %d is left out", e, e.At)
		}
	}
	all := strings.Join(notes, "\n")
	if !strings.Contains(all, "… 1,4") || !strings.Contains(all, " segments left out …") {
		t.Errorf("the notes are %q", notes)
	}
	for _, a := range short.Actors {
		if a.ID == "server/thread 1" {
			t.Error("a thread that touches no connection has a column")
		}
	}
	if len(short.Missing) != 1 || !strings.Contains(short.Missing[0], "1 thread that touches no connection") {
		t.Errorf("missing: %q", short.Missing)
	}
}

// The second connection is client 1's, also when only its end is left.
func TestAbridgeKnowsWhose(t *testing.T) {
	short := lengthy(1000).Abridge(0)
	p := &planner{Trace: short}
	p.findClients()
	if p.client[2] != "client 1" {
		t.Errorf("connection 2 is %q's", p.client[2])
	}
}

func TestAbridgeLeavesShortAlone(t *testing.T) {
	whole := lengthy(5)
	short := whole.Abridge(3)
	if got, want := len(short.Events), len(whole.Events)-1; got != want { // thread 1's
		t.Errorf("%d events are left of %d", got, want)
	}
}
