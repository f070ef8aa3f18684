package trace

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"socketlab/lab/diagram"
)

// A recorder puts together what the sources have seen. Everything has its time
// by the wall clock, which is the packets' too, so a call begins before what it
// sends, and returns after what it received.
type recorder struct {
	begin, end time.Time
	number     map[netip.AddrPort]int // of a client's connection
	missing    []string
}

func (r *recorder) misses(format string, args ...any) {
	r.missing = append(r.missing, fmt.Sprintf(format, args...))
}

func (r *recorder) since(t time.Time) time.Duration {
	return max(0, time.Duration(t.UnixNano()-r.begin.UnixNano()))
}

// recording puts the recording together. What happened at the same time stays
// in the order in which it is added here, causes before effects.
func (r *recorder) recording(s *stage, scene Scene, eyes *eyes) (Recording, error) {
	t := diagram.Trace{
		Schema: diagram.Schema, Scene: scene.Name, Subject: s.server.Spec.Name,
		Rung: eyes.rung, Source: eyes.calls, Took: r.end.Sub(r.begin),
	}
	segments, packets, err := r.segments(s)
	if err != nil {
		return Recording{}, err
	}
	states := r.pass(segments)
	server, err := r.server(s, eyes.source, states)
	if err != nil {
		return Recording{}, err
	}
	did := r.happened(server.Events)
	if eyes.calls == "strace" {
		returnsAfter(states, did)
	}
	for _, c := range s.clients {
		t.Actors = append(t.Actors, diagram.Actor{ID: c.id, Name: c.id, Kind: diagram.ClientProgram})
	}
	t.Actors = append(t.Actors,
		diagram.Actor{ID: "kernel/client", Name: "client's kernel", Kind: diagram.ClientKernel},
		diagram.Actor{ID: "kernel/server", Name: "server's kernel", Kind: diagram.ServerKernel},
	)
	t.Actors = append(t.Actors, server.Actors...)
	t.Events = append(t.Events, r.happened(s.notes)...)
	t.Events = append(t.Events, r.calls(s)...)
	t.Events = append(t.Events, states...)
	t.Events = append(t.Events, r.looks(s, states, slices.Concat(states, did))...)
	t.Events = append(t.Events, did...)
	slices.SortStableFunc(t.Events, func(a, b diagram.Event) int { return cmp.Compare(a.At, b.At) })
	for _, l := range s.looks {
		t.Steps = append(t.Steps, r.since(l.at))
	}
	t.Missing = append(r.missing, server.Missing...)
	return Recording{t, packets}, nil
}

// happened are the events of the scene, with their times in the trace.
func (r *recorder) happened(all []Happening) (events []diagram.Event) {
	for _, h := range all {
		if h.At.After(r.end) {
			continue // the scene was over
		}
		h.Event.At = r.since(h.At)
		events = append(events, h.Event)
	}
	return events
}

// segments are the segments that were captured, or are inferred.
func (r *recorder) segments(s *stage) (all []timed, packets []Packet, err error) {
	r.number = map[netip.AddrPort]int{}
	if s.capture == nil {
		all, number := infer(s.clients, s.looks)
		for c, n := range number {
			r.number[c.address()] = n
		}
		return all, nil, nil
	}
	captured, lost, err := s.capture.close()
	if err != nil {
		return nil, nil, fmt.Errorf("capture: %w", err)
	}
	if lost > 0 {
		r.misses("%d packets were lost, since the machine was too busy; record again", lost)
	}
	slices.SortStableFunc(captured, func(a, b Packet) int { return a.At.Compare(b.At) })
	d := decoder{port: s.server.Spec.Port, latest: map[netip.AddrPort]*conn{}}
	for _, p := range captured {
		seg, ok := parse(p.Frame)
		if !ok {
			r.misses("a packet of %d bytes is no TCP segment", p.Length)
			continue
		}
		all = append(all, timed{p.At, d.decode(seg)})
		packets = append(packets, p)
	}
	for client, c := range d.latest {
		r.number[client] = c.number
	}
	return all, packets, nil
}

// pass has the segments pass, and both ends go through their states.
func (r *recorder) pass(segments []timed) (events []diagram.Event) {
	machines := map[int]*machine{}
	for _, s := range segments {
		m := machines[s.Conn]
		if m == nil {
			m = newMachine(s.Conn)
			machines[s.Conn] = m
		}
		events = append(events, m.pass(r.since(s.at), s.Segment)...)
	}
	return events
}

// calls are the calls of the clients. One that has not returned when the scene
// ends lasts until then, and is asleep.
func (r *recorder) calls(s *stage) (events []diagram.Event) {
	for _, c := range s.clients {
		for _, made := range c.made() {
			if made.end.IsZero() || made.end.After(r.end) {
				made.end, made.Result, made.Slept = r.end, "", true
			}
			made.Took = r.since(made.end) - r.since(made.begin) // by the same clock as all
			made.Conn = r.number[c.address()]
			events = append(events, diagram.Event{At: r.since(made.begin), Call: &made.Call})
		}
	}
	return events
}

// returnsAfter corrects when calls returned that strace saw. It says how long a
// call took once it went on from the first stop, and not when that was, so what
// a call received or sent may seem to come later, by some 50 µs.
func returnsAfter(segments, calls []diagram.Event) {
	next := map[string]time.Duration{} // by actor: when its next call begins
	for _, e := range slices.Backward(calls) {
		c := e.Call
		if c == nil {
			continue
		}
		limit, more := next[c.Actor]
		next[c.Actor] = e.At
		if !more || c.Result == "" {
			continue
		}
		inward := receiving(c.Name) || isWait(c.Name) || strings.HasPrefix(c.Name, "accept")
		for _, seen := range between(segments, e.At, limit) {
			s := seen.Segment
			if s != nil && s.FromClient == inward && s.Flags != "SYN" && (s.Conn == c.Conn || c.Conn == 0) && (s.Len > 0 || s.Flags != "ACK" || s.Ack == 1) {
				c.Took = max(c.Took, seen.At-e.At+1)
				break
			}
		}
	}
}

// between are the events after one time and before another. They are in order.
func between(events []diagram.Event, after, before time.Duration) []diagram.Event {
	first := func(at time.Duration) int {
		i, _ := slices.BinarySearchFunc(events, at, func(e diagram.Event, at time.Duration) int { return cmp.Compare(e.At, at) })
		return i
	}
	return events[first(after+1):max(first(after+1), first(before))]
}

// server is what is known of the server's threads: what a source saw, or else
// which processes there were after each step.
func (r *recorder) server(s *stage, source Source, states []diagram.Event) (Calls, error) {
	if source != nil {
		return source.Collect(func(client netip.AddrPort) int { return r.number[client] })
	}
	var calls Calls
	ids := map[int]string{}
	zombie := map[int]bool{}
	for i, l := range s.looks {
		at := l.at
		life := func(pid int, event, by string) {
			life := diagram.Life{Actor: ids[pid], Event: event, By: by}
			calls.Events = append(calls.Events, Happening{at, diagram.Event{Life: &life}})
		}
		now := map[int]bool{}
		for _, p := range l.family {
			now[p.pid] = true
			if ids[p.pid] == "" {
				ids[p.pid] = fmt.Sprintf("%d/%d", p.pid, p.pid)
				name := s.server.Spec.Name
				if n := len(calls.Actors); n > 0 {
					name = fmt.Sprintf("child %d", n)
				}
				calls.Actors = append(calls.Actors, diagram.Actor{ID: ids[p.pid], Name: name, Kind: diagram.ServerThread})
				if i > 0 {
					at = r.opened(states, s.looks[i-1].at, l.at)
					life(p.pid, "begins", ids[p.parent])
					at = l.at
				}
			}
			if p.zombie && !zombie[p.pid] {
				zombie[p.pid] = true
				life(p.pid, "ends", "")
			}
		}
		for _, pid := range slices.Sorted(maps.Keys(ids)) {
			if !now[pid] {
				if !zombie[pid] {
					life(pid, "ends", "")
				}
				life(pid, "reaped", "")
				delete(ids, pid)
			}
		}
	}
	return calls, nil
}

// opened is when the last connection opened between two looks. A child that was
// not there at the first of them and is at the second was born no earlier, and
// before it answered; if no connection opened, all that is known is the second.
func (r *recorder) opened(states []diagram.Event, first, second time.Time) time.Time {
	at := second
	for _, e := range states {
		when := r.begin.Add(e.At)
		if e.State != nil && !e.State.Client && e.State.To == "ESTABLISHED" && when.After(first) && when.Before(second) {
			at = when
		}
	}
	return at
}
