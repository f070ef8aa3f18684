package trace

import (
	"context"

	"socketlab/lab/diagram"
	"socketlab/lab/subject"
)

// Eyes are open on one server that somebody else plays with: no scene, and
// nobody waits for anybody.
type eyes struct {
	rung    diagram.Rung
	capture *capture // nil: the packets cannot be seen
	calls   string   // the name of source
	source  Source
	missing []string
}

// openEyes begins to look, before the server is started, and prepares for that
// how it is.
func openEyes(ctx context.Context, spec *subject.Spec) (e *eyes, err error) {
	if spec.Port == 0 { // the capture's filter must know it before the server is
		port, err := subject.FreePort()
		if err != nil {
			return nil, err
		}
		port.Release()
		spec.Port = port.Number
	}
	e = &eyes{rung: diagram.Captured, calls: BestCalls(*spec)}
	switch {
	case tryCapture() != nil:
		e.rung = diagram.Inferred
		e.missing = append(e.missing, "the segments cannot be seen; "+Best(ctx).Climb)
	case inside:
		e.rung = diagram.Namespace
	}
	if e.rung != diagram.Inferred {
		if e.capture, err = openCapture(spec.Port); err != nil {
			return nil, err
		}
	}
	e.source = sources[e.calls]()
	if err := e.source.Prepare(spec); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *eyes) close() {
	if e.source != nil {
		e.source.Close()
	}
	if e.capture != nil {
		e.capture.file.Close()
	}
}
