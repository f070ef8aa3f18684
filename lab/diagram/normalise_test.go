package diagram

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNormaliseTwiceIsNormaliseOnce(t *testing.T) {
	for name, trace := range traces {
		once := trace().Normalise()
		if err := once.check(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(once, once.Normalise()); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// Another run has other numbers and other times, and sees what is independent
// in another order; the normal form is the same.
func TestNormaliseForgetsTheRun(t *testing.T) {
	for name, trace := range traces {
		if name == "hostile" {
			continue
		}
		want := trace().Normalise()
		for seed := range uint64(20) {
			if diff := cmp.Diff(want, anotherRun(trace().Trace, seed).Normalise()); diff != "" {
				t.Fatalf("%s, run %d:\n%s", name, seed, diff)
			}
		}
	}
}

// anotherRun is t at other times, with neighbours swapped where neither can be
// the cause of the other, and with other pids, ports and windows.
func anotherRun(t Trace, seed uint64) Trace {
	random := rand.New(rand.NewPCG(seed, 7))
	moments := t.moments()
	c := newCauses(t)
	for range 20 * len(moments) {
		i := random.IntN(len(moments)-1) + 1
		if !c.before(moments[i-1], moments[i]) && !c.before(moments[i], moments[i-1]) {
			moments[i-1], moments[i] = moments[i], moments[i-1]
		}
	}
	other := func(s string) string {
		return strings.NewReplacer("4711", "30815", "4720", "30901", "4721", "30911", "7000", strconv.Itoa(20000+int(seed))).Replace(s)
	}
	events := t.Events
	t.Events, t.Steps, t.Actors, t.Rung = nil, nil, slices.Clone(t.Actors), cmpRung(t.Rung)
	for i := range t.Actors {
		t.Actors[i].ID, t.Actors[i].Name = other(t.Actors[i].ID), other(t.Actors[i].Name)
	}
	now := time.Duration(0)
	place := map[int]int{}
	for _, m := range moments {
		if m.step > len(t.Steps) {
			t.Steps = append(t.Steps, now)
		}
		now += time.Duration(1 + random.IntN(1e6))
		if m.returns {
			e := t.Events[place[m.index]]
			e.Call.Took = now - e.At
			continue
		}
		e := events[m.index].clone()
		e.At = now
		switch {
		case e.Call != nil:
			e.Call.Actor, e.Call.Args = other(e.Call.Actor), other(e.Call.Args)
			if e.Call.Result != "" {
				e.Call.Result = other(e.Call.Result)
			}
		case e.Segment != nil:
			e.Segment.Window = random.IntN(1 << 20)
		case e.State != nil:
			e.State.Confirmed = random.IntN(2) == 0
		case e.Life != nil:
			e.Life.Actor, e.Life.By = other(e.Life.Actor), other(e.Life.By)
		case e.Note != nil:
			e.Note.Actor = other(e.Note.Actor)
		}
		place[m.index] = len(t.Events)
		t.Events = append(t.Events, e)
	}
	return t
}

// cmpRung is where the other run was captured.
func cmpRung(r Rung) Rung {
	if r == Namespace {
		return Captured
	}
	return r
}

// What was seen in an order that one thread, one connection or the scene
// prescribes stays in it.
func TestNormaliseKeepsCausesFirst(t *testing.T) {
	for name, trace := range traces {
		n := trace().Normalise()
		seen := map[string]int{}
		for i, e := range n.Events {
			if e.At != time.Duration(0) && i > 0 && e.At <= n.Events[i-1].At {
				t.Errorf("%s: event %d is at %d", name, i, e.At)
			}
			if s := e.Segment; s != nil && s.Flags == "SYN+ACK" && seen["SYN"+strconv.Itoa(s.Conn)] == 0 {
				t.Errorf("%s: connection %d answers a SYN that is still to come", name, s.Conn)
			}
			if s := e.Segment; s != nil {
				seen[s.Flags+strconv.Itoa(s.Conn)]++
			}
			if s := e.State; s != nil && s.To == "ESTABLISHED" && seen["SYN+ACK"+strconv.Itoa(s.Conn)] == 0 {
				t.Errorf("%s: connection %d is established before it is answered", name, s.Conn)
			}
		}
	}
	n := echoing().Normalise()
	var data time.Duration
	for _, e := range n.Events {
		if e.Segment != nil && e.Segment.Len > 0 && e.Segment.FromClient {
			data = e.At
		}
		if c := e.Call; c != nil && c.Name == "read" && c.Result != "" && strings.HasSuffix(c.Actor, "1/1") {
			defer func() {
				if e.At+c.Took <= data {
					t.Errorf("the server reads at %d what comes at %d", e.At+c.Took, data)
				}
			}()
		}
	}
}

// What a kernel sends too late, or once more, is of that run only.
func TestNormaliseForgetsLateSegments(t *testing.T) {
	run := func(late bool) string {
		s := serving("close-prompt", "blocking", 1)
		s.accepts(1)
		s.leaves(1)
		s.sends(1, false, "FIN+ACK", "")
		s.state(1, false, "LAST-ACK")
		s.state(1, true, "TIME-WAIT")
		if late {
			s.event(Event{Segment: &Segment{Conn: 1, Flags: "FIN+ACK", Seq: 1, Ack: 2, Retransmit: true}})
		}
		s.sends(1, true, "ACK", "")
		s.state(1, false, "CLOSED")
		if late {
			s.event(Event{Segment: &Segment{Conn: 1, Flags: "ACK", Seq: 1, Ack: 2}}) // the FIN overtook it
			s.sends(1, true, "ACK", "")
			s.sends(1, false, "RST", "")
			s.state(1, true, "CLOSED")
		}
		return draw(t, "normal.txt", s.Trace)
	}
	if diff := cmp.Diff(run(false), run(true)); diff != "" {
		t.Error(diff)
	}
}

func TestNormaliseNames(t *testing.T) {
	s := scene("wake", "select", append(clients(1), Actor{server, "pid 4711", ServerThread})...)
	s.does(server, 0, "socket", "", "7")
	s.does(server, 0, "bind", "7, 127.0.0.1:41234", "0")
	s.does(server, 1, "accept", "7", "12")
	s.does(server, 0, "select", "13, {7 12}, {}, forever", "1")
	s.does(server, 1, "read", "12", "4711 bytes")
	s.does(server, 0, "fork", "", "4711")
	n := s.Normalise()
	var got []string
	for _, e := range n.Events {
		got = append(got, e.Call.begins()+" = "+e.Call.Result)
	}
	want := []string{
		"socket() = 3", "bind(3, 127.0.0.1:PORT) = 0", "accept(3) = 4",
		"select(5, {3 4}, {}, forever) = 1", "read(4) = 4711 bytes", "fork() = 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if last := n.Actors[len(n.Actors)-1]; last.ID != "1/1" || last.Name != "pid 1" {
		t.Errorf("%+v", last)
	}
}
