// Package trace tells what really happens between clients and servers: the
// packets, the states of both ends of each connection, the queues, and the
// system calls of the programs, as one stream of events in the order in which
// it happened.
//
// # One stream
//
// A Stream watches one server or several. Its sources are packets (captured, or
// concluded from what the kernel's tables say), system calls (probes in our own
// models, strace, or samples of /proc), the kernel's tables (states, queues),
// what a server prints, and what the lab's own clients do. A merger keeps all of
// it back for a short time and puts it into order, so that no effect is told
// before its cause. Who reads the stream only consumes it:
//
//   - Record plays a scene and collects the events in a Recording;
//   - Watch draws them as text while they come;
//   - a page in a browser gets them as JSON: docs/schema/stream-1.schema.json.
//
// A recording is a watch that has ended.
//
// # How to use it
//
//	s, err := trace.Open(ctx, []subject.Spec{one, two}, trace.StreamOptions{})
//	defer s.Close()
//	go s.Do(trace.Action{Client: 1, Do: trace.Connect})
//	err = s.Run(ctx, func(events []trace.Event) error { … })
//
// Run calls its function with every batch of events, by one goroutine. While the
// function runs nothing is told; the sources go on, as far as there is room.
// What had no room is counted, and told as Lost.
//
// # Whether a call sleeps
//
// A call is told when it begins, when its thread falls asleep in it, and when it
// returns. It sleeps only if the kernel had the thread asleep: asleep.go.
package trace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"socketlab/lab/subject"
)

const (
	// watchEvery is how often a stream tells what has happened.
	watchEvery = 20 * time.Millisecond

	// heldBack is how long what was seen is kept, until what was seen later but
	// happened earlier has come in too.
	heldBack = 4 * watchEvery
)

// StreamOptions say how to watch.
type StreamOptions struct {
	// Hold has the servers that report their calls (our own models) wait before
	// each call until Step lets it go, from when they listen.
	Hold bool
}

// A Stream is what happens to some servers.
type Stream struct {
	servers []*watched
	begin   time.Time

	mu      sync.Mutex // guards what follows
	actions int
}

// Open starts servers and watches them, as well as is possible here. Servers of
// the same name are numbered. What is told begins with a Start event of each.
func Open(ctx context.Context, servers []subject.Spec, o StreamOptions) (*Stream, error) {
	s := &Stream{begin: time.Now()}
	names := map[string]int{}
	for _, spec := range servers {
		if names[spec.Name]++; names[spec.Name] > 1 {
			spec.Name = fmt.Sprint(spec.Name, " ", names[spec.Name])
		}
		w, err := s.open(ctx, spec, o)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.servers = append(s.servers, w)
	}
	return s, nil
}

func (s *Stream) open(ctx context.Context, spec subject.Spec, o StreamOptions) (*watched, error) {
	var w *watched
	prints := &lines{tell: func(line string) { w.note("", fmt.Sprintf("the server prints %q", line), FromOutput) }}
	spec.Stdout = prints
	if spec.Kind != "model" { // ours announces itself there
		spec.Stderr = &lines{tell: prints.tell}
	}
	w, err := watchServer(ctx, &spec, "", "", o.Hold)
	if err != nil {
		return nil, err
	}
	w.begin = s.begin
	if err := w.start(ctx, spec); err != nil {
		w.end()
		return nil, err
	}
	w.looked = time.Now() // nobody could connect before
	w.say(time.Now(), Event{Source: FromTheLab, Start: &Start{
		Schema: Schema, Address: w.server.Addr(), Pid: w.server.Pid(), Kind: spec.Kind,
		Rung: w.rung, Calls: Source(w.calls), Steps: o.Hold && w.calls == "probes",
		Missing: append([]string{}, w.cannotSee()...),
	}})
	return w, nil
}

// Run tells what happens until the context ends, or all servers have ended.
func (s *Stream) Run(ctx context.Context, tell func([]Event) error) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	running := slices.Clone(s.servers)
	for {
		over := len(running) == 0
		select {
		case <-tick.C:
		case <-ctx.Done():
			over = true
		}
		now := time.Now()
		for _, w := range running {
			if err := w.look(now); err != nil && !w.hasEnded() {
				return err
			}
		}
		until := now.Add(-heldBack)
		if over {
			until = now
		}
		if events := s.events(until, over); len(events) > 0 {
			if err := tell(events); err != nil {
				return err
			}
		}
		if over {
			return nil
		}
		running = slices.DeleteFunc(running, func(w *watched) bool {
			if !w.hasEnded() {
				return false
			}
			ending, _ := w.server.Ending()
			w.say(time.Now(), Event{Source: FromTheLab, End: &End{How: ending.String()}})
			return true
		})
	}
}

// events are those of all servers up to a time, in order.
func (s *Stream) events(until time.Time, last bool) (events []Event) {
	for _, w := range s.servers {
		if last {
			w.source.finish()
		}
		w.tell(w.sinceBegin(until), func(e Event) { events = append(events, e) })
	}
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return events
}

func (w *watched) hasEnded() bool {
	select {
	case <-w.server.Exited():
		return true
	default:
		return false
	}
}

// Servers are the servers that are watched, in order.
func (s *Stream) Servers() (all []*subject.Subject) {
	for _, w := range s.servers {
		all = append(all, w.server)
	}
	return all
}

// Do has a client do something: of every server, or of the one that the action
// names. It returns at once; what becomes of it the events tell.
func (s *Stream) Do(a Action) error {
	if err := a.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actions++
	a.Number = s.actions
	found := false
	for _, w := range s.servers {
		if a.Server == "" || a.Server == w.name {
			found = true
			w.does(a)
		}
	}
	if !found {
		return fmt.Errorf("no server %q is watched", a.Server)
	}
	return nil
}

// Step lets a call go on that is held: one of each server, or with all every
// one. The server may be "": of every server. It returns how many there were.
func (s *Stream) Step(server string, all bool) (stepped int) {
	for _, w := range s.servers {
		if p, holds := w.source.(*probes); holds && (server == "" || server == w.name) {
			stepped += p.step(all)
		}
	}
	return stepped
}

// Free has calls go on by themselves, or wait for Step again.
func (s *Stream) Free(on bool) {
	for _, w := range s.servers {
		if p, holds := w.source.(*probes); holds {
			p.setFree(on)
		}
	}
}

// Names are the names of the servers, in order.
func (s *Stream) Names() (names []string) {
	for _, w := range s.servers {
		names = append(names, w.name)
	}
	return names
}

// Close ends the clients and the servers. Nothing is left running.
func (s *Stream) Close() (err error) {
	var all sync.WaitGroup
	failed := make([]error, len(s.servers))
	for i, w := range s.servers {
		all.Go(func() { failed[i] = w.end() })
	}
	all.Wait()
	return errors.Join(failed...)
}
