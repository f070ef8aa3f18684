package trace

import (
	"slices"
	"time"

	"socketlab/lab/diagram"
)

// tell tells what has happened up to a time.
func (w *watch) tell(until time.Time) error {
	a := w.follower.account
	a.mu.Lock()
	defer a.mu.Unlock()
	w.follower.refresh()
	w.take()
	w.mu.Lock()
	w.waiting = append(w.waiting, w.said...)
	w.said = nil
	w.mu.Unlock()
	items := append(slices.Clone(w.waiting), w.follower.news(w.call, w.life)...)
	inOrder(items, w.decoder.port, w.eyes.calls)
	w.waiting = nil
	for _, it := range items {
		switch {
		case !it.at.After(until):
			w.last = max(w.last, it.at.Sub(w.begin))
			it.tell(w.last)
		case it.rank != aCall: // those the follower has
			w.waiting = append(w.waiting, it)
		}
	}
	return w.draw()
}

// take takes over the packets that have come.
func (w *watch) take() {
	if w.eyes.capture == nil {
		return
	}
	c := w.eyes.capture
	c.mu.Lock()
	news := slices.Clone(c.packets[w.captured:])
	c.mu.Unlock()
	w.captured += len(news)
	for _, p := range news {
		w.waiting = append(w.waiting, item{at: p.At, rank: aSegment, packet: &p, tell: func(at time.Duration) { w.segment(p, at) }})
	}
}

// add tells an event.
func (w *watch) add(e diagram.Event) {
	w.beats = append(w.beats, diagram.Beat{Event: e})
	w.trace.Events = append(w.trace.Events, e)
}

func (w *watch) segment(p Packet, at time.Duration) {
	s, ok := parse(p.Frame)
	if !ok {
		return
	}
	seg := w.decoder.decode(s)
	client := s.from
	if !seg.FromClient {
		client = s.to
	}
	c := w.conn(seg.Conn, client)
	w.packets = append(w.packets, p)
	for _, e := range c.machine.pass(at, seg) {
		w.add(e)
	}
	c.closes()
}

func (w *watch) call(i int, at time.Duration, returns bool) {
	c := w.follower.account.calls[i]
	call := c.Call
	call.Conn = w.number[c.client]
	if returns {
		made := w.trace.Events[w.places[i]]
		made.Call.Result, made.Call.Took = call.Result, at-made.At
		call.Took = made.Call.Took
		w.columns.calls(call, true)
		w.beats = append(w.beats, diagram.Beat{Event: diagram.Event{At: at, Call: &call}, Returns: true, ID: i})
		return
	}
	if c.end.IsZero() { // and that for a while: it is held back
		call.Slept = mayWait(c.Name)
	}
	call.Result = ""
	w.columns.calls(call, false)
	drawn := call
	if !c.end.IsZero() {
		drawn.Result = c.Result
	}
	w.beats = append(w.beats, diagram.Beat{Event: diagram.Event{At: at, Call: &drawn}, ID: i})
	w.places[i] = len(w.trace.Events)
	w.trace.Events = append(w.trace.Events, diagram.Event{At: at, Call: &call})
}

func (w *watch) life(l diagram.Life, at time.Duration) {
	w.add(diagram.Event{At: at, Life: &l})
	if l.Event != "begins" {
		w.columns.leaves(l)
	}
}

// draw draws the beats, with columns for all whom they are about.
func (w *watch) draw() error {
	if len(w.beats) == 0 {
		return nil
	}
	w.columns.server = w.follower.account.actors
	if w.columns.change(w.beats) {
		w.growing.Columns(w.columns.shown, w.columns.idle, w.columns.clients)
	}
	w.trace.Actors = once(append(w.trace.Actors, w.columns.all...))
	err := w.growing.Draw(w.beats)
	w.beats = nil
	return err
}
