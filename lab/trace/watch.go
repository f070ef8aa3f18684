package trace

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

// Watching says what to watch.
type Watching struct {
	Server   subject.Spec
	Screen   io.Writer // where the diagram grows
	Style    diagram.Style
	Keyboard io.Reader // passed on to the server, line by line; nil: there is none

	// Begins is told where the server listens, and what cannot be seen here.
	Begins func(at netip.AddrPort, missing []string)
}

const (
	watchEvery = 20 * time.Millisecond

	// heldBack is how long what was seen is kept, until what was seen later but
	// happened earlier has come in too: no effect is drawn before its cause.
	heldBack = 3 * watchEvery
)

// A watch is a server that somebody plays with, and what was seen so far.
type watch struct {
	server    *subject.Subject
	eyes      *eyes
	follower  *follower
	diagnosis *proc.Diagnosis // nil: this kernel has none
	growing   *diagram.Growing
	begin     time.Time

	decoder  decoder
	captured int                  // packets that were taken over
	conns    map[int]*watchedConn // by number
	number   map[netip.AddrPort]int
	queue    stable // of those who wait for accept
	looked   time.Time
	columns  columns

	mu   sync.Mutex // guards what follows
	said []item     // notes: what the server prints, what the operator types

	waiting []item // seen, and not told yet
	beats   []diagram.Beat
	last    time.Duration
	trace   diagram.Trace
	packets []Packet
	places  map[int]int // of a call, in trace.Events
}

// A stable number is told when it was the same twice.
type stable struct{ seen, told int }

// changes reports whether there is a new number to be told.
func (s *stable) changes(n int) bool {
	same := n == s.seen
	s.seen = n
	if !same || n == s.told {
		return false
	}
	s.told = n
	return true
}

// Watch starts a server and draws what happens to it, until the context or the
// server ends. Then it returns all that was drawn. Nothing is left running.
func Watch(ctx context.Context, o Watching) (Recording, error) {
	w := &watch{
		conns: map[int]*watchedConn{}, number: map[netip.AddrPort]int{}, places: map[int]int{},
		decoder: decoder{latest: map[netip.AddrPort]*conn{}}, columns: newColumns(),
	}
	if err := w.start(ctx, o); err != nil {
		return Recording{}, err
	}
	defer w.eyes.close()
	defer w.server.Stop()
	if w.diagnosis != nil {
		defer w.diagnosis.Close()
	}
	if o.Begins != nil {
		o.Begins(w.server.Addr(), w.eyes.missing)
	}
	if o.Keyboard != nil {
		go w.operate(o.Keyboard)
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			now := time.Now()
			if err := w.look(now); err != nil {
				return Recording{}, err
			}
			if err := w.tell(now.Add(-heldBack)); err != nil {
				return Recording{}, err
			}
		case <-w.server.Exited():
			ending, _ := w.server.Ending()
			w.note(fmt.Sprintf("the server ended: %v", ending))
			time.Sleep(watchEvery) // strace writes its last lines
			return w.finish()
		case <-ctx.Done():
			return w.finish()
		}
	}
}

func (w *watch) start(ctx context.Context, o Watching) (err error) {
	spec := o.Server
	w.begin = time.Now()
	spec.Stdout = &lines{tell: w.prints}
	if spec.Kind != "model" { // ours announces itself there
		spec.Stderr = &lines{tell: w.prints}
	}
	if w.eyes, err = openBest(ctx, &spec); err != nil {
		return err
	}
	w.diagnosis, _ = proc.OpenDiagnosis()
	if w.server, err = subject.Start(ctx, spec); err != nil {
		w.eyes.close()
		return err
	}
	if err := w.eyes.attach(w.server); err != nil {
		w.server.Stop()
		w.eyes.close()
		return err
	}
	w.looked = time.Now() // nobody could connect before
	w.follower = follow(w.eyes.source)
	w.decoder.port = spec.Port
	w.trace = diagram.Trace{
		Schema: diagram.Schema, Scene: "watch", Subject: spec.Name,
		Rung: w.eyes.rung, Source: w.eyes.calls, Missing: w.eyes.missing,
		Actors: []diagram.Actor{{ID: "kernel/server", Name: "server's kernel", Kind: diagram.ServerKernel}},
	}
	w.growing = diagram.Grow(o.Screen, o.Style, "watch: "+spec.Name)
	return nil
}

// finish tells the rest.
func (w *watch) finish() (Recording, error) {
	if err := w.look(time.Now()); err != nil {
		return Recording{}, err
	}
	if err := w.tell(time.Now()); err != nil {
		return Recording{}, err
	}
	w.trace.Took = max(w.last, time.Since(w.begin))
	w.complete()
	switch w.eyes.source.(type) {
	case *sampling:
		w.trace.Missing = append(w.trace.Missing, "calls that did not sleep, and what any returned: install strace (apt-get install strace)")
	}
	return Recording{w.trace, w.packets}, w.growing.Close(w.trace)
}

// complete fills in of each call what was not known when it began.
func (w *watch) complete() {
	a := w.follower.account
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, at := range w.places {
		c, e := a.calls[i], &w.trace.Events[at]
		call := c.Call
		call.Conn = w.number[c.client]
		call.Took = e.Call.Took
		if e.Call.Result == "" { // it has not returned
			call.Result, call.Slept, call.Took = "", mayWait(c.Name), w.trace.Took-e.At
		}
		e.Call = &call
	}
	for _, e := range w.trace.Events { // who started somebody, and did nothing else
		i := slices.IndexFunc(a.actors, func(a diagram.Actor) bool { return e.Life != nil && a.ID == e.Life.By })
		if i >= 0 {
			w.trace.Actors = once(append(w.trace.Actors, a.actors[i]))
		}
	}
}
