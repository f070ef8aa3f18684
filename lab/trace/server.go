package trace

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

// A watched server is one that runs, and what was seen of it.
type watched struct {
	name      string
	begin     time.Time // of the stream
	server    *subject.Subject
	rung      diagram.Rung
	capture   *capture        // nil: the packets cannot be seen
	diagnosis *proc.Diagnosis // nil: this kernel has none
	calls     string          // a name of sources
	source    callSource      // nil: nobody looks at the calls
	stop      chan struct{}   // ends watchSleepers
	sleepers  sync.WaitGroup
	missing   []string // what cannot be seen here, and how to see it

	programs account // the calls of the lab's own clients

	mu      sync.Mutex // guards what follows
	clients []*client
	said    []item   // notes and actions
	saw     []tables // of the kernel

	lookout
	merger
}

// watchServer begins to watch, before the server is started, and prepares spec
// for that. The rung and the source of the calls may be "": as well as possible
// here. A server whose calls are held is one that reports them.
func watchServer(ctx context.Context, spec *subject.Spec, rung diagram.Rung, calls string, holds bool) (w *watched, err error) {
	w = &watched{name: spec.Name, begin: time.Now(), rung: rung, calls: calls, stop: make(chan struct{})}
	if rung == "" {
		w.rung = diagram.Captured
		switch {
		case tryCapture() != nil:
			w.rung = diagram.Inferred
			w.missing = append(w.missing, "the segments cannot be seen; "+Best(ctx).Climb)
		case inside:
			w.rung = diagram.Namespace
		}
	}
	if w.calls == "" {
		w.calls = BestCalls(*spec)
	}
	open, known := sources[w.calls]
	if !known {
		return nil, fmt.Errorf("calls cannot be seen by %q", calls)
	}
	if spec.Port == 0 { // the capture's filter must know it before the server is
		port, err := subject.FreePort()
		if err != nil {
			return nil, err
		}
		port.Release()
		spec.Port = port.Number
	}
	w.merger = newMerger(spec.Port)
	w.conns = map[netip.AddrPort]*connTable{}
	if w.rung != diagram.Inferred {
		if w.capture, err = openCapture(spec.Port); err != nil {
			return nil, err
		}
	}
	w.source = open()
	if p, reports := w.source.(*probes); reports {
		p.holds = holds
	}
	if err := w.source.Prepare(spec); err != nil {
		w.close()
		return nil, err
	}
	if w.diagnosis, err = proc.OpenDiagnosis(); err != nil {
		w.missing = append(w.missing, fmt.Sprintf("states are confirmed by /proc/net/tcp alone: %v", err))
	}
	w.watchSleepers(&w.programs)
	w.watchSleepers(w.source.log())
	return w, nil
}

func (w *watched) watchSleepers(a *account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unseen, a.sleepers = map[int]*systemCall{}, make(chan struct{}, 1)
	w.sleepers.Go(func() { a.watchSleepers(w.stop) })
}

// attach is told that the server listens.
func (w *watched) attach(server *subject.Subject) error {
	w.server = server
	return w.source.Attach(server)
}

// start starts the server.
func (w *watched) start(ctx context.Context, spec subject.Spec) error {
	server, err := subject.Start(ctx, spec)
	if err != nil {
		return err
	}
	if err := w.attach(server); err != nil {
		server.Stop()
		return err
	}
	return nil
}

// close ends all that watches, and the clients; the server still runs, or has
// never started.
func (w *watched) close() {
	for _, c := range w.theClients() {
		c.hangUp()
	}
	close(w.stop)
	w.sleepers.Wait()
	if w.capture != nil {
		w.capture.file.Close()
	}
	if w.diagnosis != nil {
		w.diagnosis.Close()
	}
}

// end stops the server too. What waits for it, such as strace, ends then.
func (w *watched) end() error {
	w.close()
	var err error
	if w.server != nil {
		_, err = w.server.Stop()
	}
	w.source.Close()
	return err
}

// client is one more client.
func (w *watched) client() *client { return w.program("") }

// program is one more program of the lab's, a client if it has no name.
func (w *watched) program(name string) *client {
	w.mu.Lock()
	defer w.mu.Unlock()
	number := len(w.clients) + 1
	c := newClient(number, cmp.Or(name, clientName(number)), w.server.Addr(), &w.programs)
	w.clients = append(w.clients, c)
	return c
}

func (w *watched) theClients() []*client {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.clients)
}

// cannotSee is what cannot be seen here, or was not, and how to see it.
func (w *watched) cannotSee() (missing []string) {
	missing = slices.Clone(w.missing)
	if w.calls == "proc" {
		missing = append(missing, "calls that did not sleep, and what any returned: install strace (apt-get install strace)")
	}
	return missing
}

// toldNothing reports whether the source of the calls saw none.
func (w *watched) toldNothing() bool {
	a := w.source.log()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count == 0
}

// say adds what the lab says or does.
func (w *watched) say(at time.Time, e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, item{at: w.sinceBegin(at), rank: aNote, event: e})
}

// note says a word about the server, or beside an actor.
func (w *watched) note(actor, text string, source Source) {
	w.say(time.Now(), Event{Source: source, Note: &diagram.Note{Actor: actor, Text: text}})
}

// sinceBegin is a time in the stream, by the wall clock: the packets' time
// stamps are by it, and strace's, and those of the probes.
func (w *watched) sinceBegin(t time.Time) time.Duration {
	return max(0, time.Duration(t.UnixNano()-w.begin.UnixNano()))
}

// address is where a client comes from; invalid: it was not there.
func addressOf(seg segment, fromClient bool) netip.AddrPort {
	if fromClient {
		return seg.from
	}
	return seg.to
}
