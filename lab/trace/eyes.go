package trace

import (
	"context"
	"fmt"

	"socketlab/lab/diagram"
	"socketlab/lab/subject"
)

// Eyes are open on one server: on its packets, and on its calls.
type eyes struct {
	rung    diagram.Rung
	capture *capture // nil: the packets cannot be seen
	calls   string   // the name of source
	source  Source   // nil: nobody looks at the calls
	missing []string
}

// openEyes begins to look, before the server is started, and prepares for that
// how it is.
func openEyes(spec *subject.Spec, rung diagram.Rung, calls string) (e *eyes, err error) {
	open, known := sources[calls]
	if !known && calls != "" {
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
	e = &eyes{rung: rung, calls: calls}
	if rung != diagram.Inferred {
		if e.capture, err = openCapture(spec.Port); err != nil {
			return nil, err
		}
	}
	if known {
		e.source = open()
		if err := e.source.Prepare(spec); err != nil {
			e.close()
			return nil, err
		}
	}
	return e, nil
}

// openBest looks at a server that somebody else plays with, as well as is
// possible here: no scene, and nobody waits for anybody.
func openBest(ctx context.Context, spec *subject.Spec) (*eyes, error) {
	rung, missing := diagram.Captured, []string(nil)
	switch {
	case tryCapture() != nil:
		rung = diagram.Inferred
		missing = append(missing, "the segments cannot be seen; "+Best(ctx).Climb)
	case inside:
		rung = diagram.Namespace
	}
	e, err := openEyes(spec, rung, BestCalls(*spec))
	if err != nil {
		return nil, err
	}
	e.missing = missing
	return e, nil
}

// attach is told that the server listens.
func (e *eyes) attach(server *subject.Subject) error {
	if e.source == nil {
		return nil
	}
	return e.source.Attach(server)
}

func (e *eyes) close() {
	if e.source != nil {
		e.source.Close()
	}
	if e.capture != nil {
		e.capture.file.Close()
	}
}
