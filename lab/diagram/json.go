package diagram

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"socketlab/lab/text"
)

// Schema is the name and version of a trace as JSON; its schema is
// docs/schema/trace-1.schema.json.
const Schema = "lab.trace/1"

// MaxData is how many bytes of its data a segment keeps.
const MaxData = 64

// JSON writes the trace as it is.
func (t Trace) JSON(w io.Writer) error {
	if err := t.check(); err != nil {
		return err
	}
	t.Missing, t.Actors, t.Events = some(t.Missing), some(t.Actors), some(t.Events)
	return text.JSON(w, t)
}

// some is a list that JSON writes as a list even if it is empty.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Read reads a trace that JSON wrote. What it returns can be drawn in every
// format.
func Read(r io.Reader) (Trace, error) {
	var t Trace
	in := json.NewDecoder(r)
	err := in.Decode(&t)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return Trace{}, errors.New("the trace is empty; record it again with --format=json")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Trace{}, errors.New("the trace is cut off: the file ends before it does; record it again")
	case errors.As(err, &syntax):
		return Trace{}, fmt.Errorf("this is no trace: byte %d is not JSON (%v); lab trace --format=json writes one", syntax.Offset, err)
	case errors.As(err, &kind):
		return Trace{}, fmt.Errorf("this is no trace: %s is a %s; lab trace --format=json writes one", kind.Field, kind.Value)
	case err != nil:
		return Trace{}, fmt.Errorf("read the trace: %w", err)
	}
	if err := t.check(); err != nil {
		return Trace{}, err
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return Trace{}, errors.New("something follows the trace; a file holds one")
	}
	return t, nil
}

// check holds a trace to what every format takes for granted.
func (t Trace) check() error {
	if t.Schema != Schema {
		return fmt.Errorf("this is no trace: its schema is %q, not %q; lab trace --format=json writes one", t.Schema, Schema)
	}
	if !slices.Contains([]Rung{Captured, Namespace, Inferred}, t.Rung) {
		return fmt.Errorf("rung: %q is none of %q, %q, %q", t.Rung, Captured, Namespace, Inferred)
	}
	kinds := []ActorKind{ClientProgram, ClientKernel, ServerKernel, ServerThread}
	known := map[string]bool{}
	for i, a := range t.Actors {
		switch {
		case a.ID == "":
			return fmt.Errorf("actor %d: it has no id", i)
		case known[a.ID]:
			return fmt.Errorf("actor %d: there is another %q", i, a.ID)
		case !slices.Contains(kinds, a.Kind):
			return fmt.Errorf("actor %d: %q is none of %q", i, a.Kind, kinds)
		}
		known[a.ID] = true
	}
	last := time.Duration(0)
	for i, e := range t.Events {
		if e.At < last {
			return fmt.Errorf("event %d: it happened %v before the one that precedes it", i, last-e.At)
		}
		last = e.At
		if err := e.check(known); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	return nil
}

func (e Event) check(known map[string]bool) error {
	set := 0
	for _, is := range []bool{e.Segment != nil, e.Call != nil, e.State != nil, e.Queue != nil, e.Life != nil, e.Note != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("it is %d things and should be one: a segment, a call, a state, a queue, a life or a note", set)
	}
	for _, id := range e.actors() {
		if id != "" && !known[id] {
			return fmt.Errorf("nobody has the id %q", id)
		}
	}
	switch {
	case e.Segment != nil:
		return e.Segment.check()
	case e.Call != nil:
		return e.Call.check(e.At)
	case e.State != nil && (e.State.Conn < 1 || e.State.To == ""):
		return errors.New("a state needs a connection, from 1, and a name")
	case e.Queue != nil && (e.Queue.Conn < 0 || e.Queue.Length < 0 || e.Queue.Limit < 0):
		return errors.New("a queue has no negative numbers")
	case e.Life != nil && e.Life.Actor == "":
		return errors.New("a life needs an actor")
	case e.Life != nil && !slices.Contains([]string{"begins", "ends", "reaped"}, e.Life.Event):
		return fmt.Errorf("life: %q is none of begins, ends, reaped", e.Life.Event)
	}
	return nil
}

func (s Segment) check() error {
	switch {
	case s.Conn < 1:
		return fmt.Errorf("segment: connection %d; they are numbered from 1", s.Conn)
	case s.Flags == "":
		return errors.New("segment: it has no flags")
	case len(s.Data) > MaxData || len(s.Data) > s.Len:
		return fmt.Errorf("segment: %d bytes of data, of %d; at most %d are kept", len(s.Data), s.Len, MaxData)
	}
	return nil
}

func (c Call) check(at time.Duration) error {
	switch {
	case c.Actor == "" || c.Name == "":
		return errors.New("a call needs an actor and a name")
	case c.Conn < 0:
		return fmt.Errorf("call: connection %d; they are numbered from 1", c.Conn)
	case c.Took < 0 || at+c.Took < at:
		return fmt.Errorf("call: it took %v", c.Took)
	}
	return nil
}

// actors are the ids of those who an event is about.
func (e Event) actors() []string {
	switch {
	case e.Call != nil:
		return []string{e.Call.Actor}
	case e.Life != nil:
		return []string{e.Life.Actor, e.Life.By}
	case e.Note != nil:
		return []string{e.Note.Actor}
	}
	return nil
}

// conn is the connection that an event is about; 0: none.
func (e Event) conn() int {
	switch {
	case e.Segment != nil:
		return e.Segment.Conn
	case e.Call != nil:
		return e.Call.Conn
	case e.State != nil:
		return e.State.Conn
	case e.Queue != nil:
		return e.Queue.Conn
	}
	return 0
}
