// Package trace records what really happens between clients and a server: the
// packets, the states of both ends, and the calls of the programs, merged into
// one list of events in order of time.
//
// It has three ways to know of the packets. With the right to capture, it
// captures on the machine's loopback. Without, it plays the scene in a network
// namespace of its own, where it has the right. Where that is not allowed
// either, it concludes from the kernel's tables which segments there must have
// been, and marks each of them.
package trace

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

// Options say what to record.
type Options struct {
	Scene   string        // its name, one of Scenes
	Server  subject.Spec  // what serves; it must give the scene's Service and Backlog
	Rung    diagram.Rung  // how to see the segments; "": as well as possible here
	Calls   string        // how to see the server's calls, a name of sources; "": not at all
	Timeout time.Duration // how long the scene may take; 0: 10 s
}

// A Recording is what was seen.
type Recording struct {
	Trace   diagram.Trace
	Packets []Packet // one for each segment in Trace, in the same order; none if they are inferred
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
		r, err = record(ctx, o, o.Rung) // another lab was quicker: see record
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
	eyes, err := openEyes(&spec, rung, o.Calls)
	if err != nil {
		return Recording{}, err
	}
	defer eyes.close()
	s, r := &stage{capture: eyes.capture}, &recorder{}
	if s.diagnosis, err = proc.OpenDiagnosis(); err == nil {
		defer s.diagnosis.Close()
	} else {
		r.misses("states are confirmed by /proc/net/tcp alone: %v", err)
	}
	offset := clockOffset()
	r.begin = time.Now()
	if s.server, err = subject.Start(ctx, spec); err != nil {
		return Recording{}, err
	}
	defer s.server.Stop()
	if err := eyes.attach(s.server); err != nil {
		return Recording{}, err
	}
	defer s.hangUp()
	if err := s.play(ctx, scene, o.Timeout); errors.Is(err, errStuck) {
		r.misses("%v", err)
	} else if err != nil {
		return Recording{}, err
	}
	r.end = time.Now()
	if s.busy {
		r.misses("the server never came to rest, so steps may overlap: it uses CPU while nothing happens")
	}
	if moved := clockOffset() - offset; moved.Abs() > time.Millisecond {
		r.misses("the clock was set meanwhile, by %v, so the order of events may be wrong; record again", moved)
	}
	return r.recording(s, scene, eyes)
}
