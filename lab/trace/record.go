package trace

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"socketlab/lab/certs"
	"socketlab/lab/diagram"
	"socketlab/lab/subject"
)

// Options say what to record.
type Options struct {
	Scene   string        // its name, one of Scenes
	Server  subject.Spec  // what serves; it must give the scene's Service and Backlog
	Rung    diagram.Rung  // how to see the segments; "": as well as possible here
	Calls   string        // how to see the server's calls, a name of sources; "": as well as possible here
	Timeout time.Duration // how long the scene may take; 0: 10 s
	TLS     *certs.Client // for a scene over TLS: what clients know; nil: certificates are made, and a model is told
}

// A Recording is a stream that has ended, of one server.
type Recording struct {
	Trace   diagram.Trace
	Packets []Packet // one for each segment in Trace, in the same order; none if they are inferred
	Keys    []byte   // of sessions over TLS, as SSLKEYLOGFILE has them: RFC 9850
}

// Normal is the recording as it would be drawn of any other run, as text, as
// Mermaid, or as SVG: diagram.Trace.Normalise. A recording in which something
// is missing has none.
func (r Recording) Normal(format string) (string, error) {
	if len(r.Trace.Missing) > 0 {
		return "", fmt.Errorf("scene %s of %s: missing: %s", r.Trace.Scene, r.Trace.Subject, strings.Join(r.Trace.Missing, "; "))
	}
	var b strings.Builder
	var err error
	switch normal := r.Trace.Normalise(); format {
	case "text":
		err = normal.Text(&b, diagram.Style{})
	case "mermaid":
		err = normal.Mermaid(&b)
	case "svg":
		err = normal.SVG(&b, diagram.Style{})
	default:
		err = fmt.Errorf("format %q is none of text, mermaid, svg", format)
	}
	return b.String(), err
}

// Record plays a scene against a server and records what happens. A scene that
// does not come to its end in time, because the server does not do its part, is
// recorded up to there; Trace.Missing says so. If ctx ends, nothing is left
// running, and its error is returned.
func Record(ctx context.Context, o Options) (Recording, error) {
	if _, found := Find(o.Scene); !found {
		return Recording{}, fmt.Errorf("no scene %q", o.Scene)
	}
	var climb string
	if o.Rung == "" {
		best := Best(ctx)
		o.Rung, climb = best.Rung, best.Climb
	}
	if o.Rung == diagram.Namespace {
		return inNamespace(ctx, request{o})
	}
	r, err := record(ctx, o, o.Rung)
	var taken *subject.PortError
	for try := 0; try < 3 && o.Server.Port == 0 && errors.As(err, &taken); try++ {
		r, err = record(ctx, o, o.Rung) // another lab was quicker: see watchServer
	}
	if o.Rung == diagram.Inferred {
		r.Trace.Missing = append(r.Trace.Missing, "the segments were not seen; "+climb)
	}
	return r, err
}

// record records in the network namespace that this process is in.
func record(ctx context.Context, o Options, rung diagram.Rung) (Recording, error) {
	scene, found := Find(o.Scene)
	if !found {
		return Recording{}, fmt.Errorf("no scene %q", o.Scene)
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	spec := o.Server
	s := &stage{}
	if scene.TLS {
		done, err := s.secure(scene, &spec, o.TLS)
		defer done()
		if err != nil {
			return Recording{}, err
		}
	}
	w, err := watchServer(ctx, &spec, rung, o.Calls, false)
	if err != nil {
		return Recording{}, err
	}
	defer w.end()
	offset := clockOffset()
	w.begin = time.Now()
	if err := w.start(ctx, spec); err != nil {
		return Recording{}, err
	}
	s.watched = w
	defer s.letGo()
	if err := s.play(ctx, scene, o.Timeout); errors.Is(err, errStuck) {
		w.misses("%v", err)
	} else if err != nil {
		return Recording{}, err
	}
	r := recorder{}
	end := w.sinceBegin(time.Now())
	w.source.finish()
	w.tell(end, r.add)
	if s.busy {
		w.misses("the server never came to rest, so steps may overlap: it uses CPU while nothing happens")
	}
	// A clock that is slewed, adjtime(3), keeps the order of events.
	if moved, slew := clockOffset()-offset, time.Since(w.begin)/100; moved.Abs() > time.Millisecond+slew {
		w.misses("the clock was set meanwhile, by %v, so the order of events may be wrong; record again", moved)
	}
	for _, l := range s.looks {
		r.trace.Steps = append(r.trace.Steps, w.sinceBegin(l.at))
	}
	recording, err := r.recording(w, scene.Name, end)
	recording.Trace.Lesson, recording.Trace.About = scene.lesson(recording.Trace), scene.About
	if scene.TLS && err == nil {
		recording.Keys = s.keys.bytes()
		recording.decrypt()
	}
	return recording, err
}

var serversKernel = diagram.Actor{ID: "kernel/server", Name: "server's kernel", Kind: diagram.ServerKernel}

func (w *watched) misses(format string, args ...any) {
	w.missing = append(w.missing, fmt.Sprintf(format, args...))
}

// A recorder collects the events of one server.
type recorder struct {
	trace   diagram.Trace
	packets []Packet
	calls   map[int64]*diagram.Call // by id: those that have not returned
	left    int                     // events for which there was no room
}

func (r *recorder) add(e Event) {
	switch {
	case e.Lost != nil:
		r.trace.Missing = append(r.trace.Missing, fmt.Sprintf("%d %s were lost, since the machine was too busy; record again", e.Lost.Count, e.Lost.What))
	case e.Call != nil && e.Call.Phase != Begins:
		if begun := r.calls[e.Call.ID]; begun != nil {
			*begun = e.Call.Call
		}
		if e.Call.Phase == Returns {
			delete(r.calls, e.Call.ID)
		}
		return
	}
	if e.packet != nil {
		r.packets = append(r.packets, *e.packet)
	}
	d, ok := e.drawn()
	if !ok {
		return
	}
	r.trace.Events = append(r.trace.Events, d)
	if d.Call != nil {
		if r.calls == nil {
			r.calls = map[int64]*diagram.Call{}
		}
		r.calls[e.Call.ID] = d.Call
	}
}

// recording is what was collected when it is over: calls that have not returned
// last until then.
func (r *recorder) recording(w *watched, scene string, end time.Duration) (Recording, error) {
	if w.failed != nil {
		return Recording{}, fmt.Errorf("capture: %w", w.failed)
	}
	t := &r.trace
	t.Schema, t.Scene, t.Subject, t.Rung, t.Source = diagram.Schema, scene, w.name, w.rung, w.calls
	t.Took = max(end, w.last)
	if r.left > 0 {
		t.Missing = append(t.Missing, fmt.Sprintf("the last %d events: only the first %d are kept", r.left, mostKept))
	}
	conns := map[string]int{}
	for _, c := range w.theClients() {
		conns[c.id] = w.number[c.address()]
	}
	for _, e := range t.Events {
		c := e.Call
		if c == nil {
			continue
		}
		if c.Conn == 0 {
			c.Conn = conns[c.Actor]
		}
		if c.Result == "" {
			c.Took = t.Took - e.At
		}
	}
	t.Actors = append(t.Actors, w.programs.actors...)
	t.Actors = append(t.Actors,
		diagram.Actor{ID: "kernel/client", Name: "client's kernel", Kind: diagram.ClientKernel},
		serversKernel,
	)
	t.Actors = append(t.Actors, w.source.log().actors...)
	t.Missing = append(t.Missing, w.cannotSee()...)
	if w.toldNothing() {
		t.Missing = append(t.Missing, map[string]string{
			"probes": "the server's calls: it reports none; only the lab's own models do, others need strace",
			"strace": "the server's calls: strace told of none",
			"proc":   "the server's calls: it was never seen asleep in one",
		}[w.calls])
		t.Source = ""
	}
	return Recording{Trace: *t, Packets: r.packets}, nil
}
