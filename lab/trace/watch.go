package trace

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"socketlab/lab/diagram"
	"socketlab/lab/subject"
)

// Watching says what to watch.
type Watching struct {
	Server   subject.Spec
	Screen   io.Writer // where the diagram grows
	Style    diagram.Style
	Keyboard io.Reader // passed on to the server, line by line; nil: there is none
	Keep     bool      // what is drawn is recorded too

	// Begins is told where the server listens, and what cannot be seen here.
	Begins func(at netip.AddrPort, missing []string)
}

// mostKept is how many events are recorded of what is watched.
const mostKept = 1 << 20

// Watch starts a server and draws what happens to it, until the context or the
// server ends. It returns the recording, if that is to be kept. Nothing is left
// running.
func Watch(ctx context.Context, o Watching) (Recording, error) {
	s, err := Open(ctx, []subject.Spec{o.Server}, StreamOptions{})
	if err != nil {
		return Recording{}, err
	}
	defer s.Close()
	w := s.servers[0]
	if o.Begins != nil {
		o.Begins(w.server.Addr(), w.cannotSee())
	}
	if o.Keyboard != nil {
		go w.operate(o.Keyboard)
	}
	v := view{
		keep: o.Keep, columns: newColumns(), acts: map[string]bool{}, passed: map[int64]bool{}, states: map[int][2]string{},
		growing: diagram.Grow(o.Screen, o.Style, "watch: "+w.name),
	}
	if err := s.Run(ctx, v.draw); err != nil {
		return Recording{}, err
	}
	r, err := v.recorder.recording(w, "watch", w.sinceBegin(time.Now()))
	if err != nil {
		return Recording{}, err
	}
	r.Trace.Actors = once(slices.Concat([]diagram.Actor{serversKernel}, v.columns.all, v.starters(w)))
	return r, v.growing.Close(r.Trace)
}

// A view draws events as they come.
type view struct {
	keep     bool
	growing  *diagram.Growing
	columns  columns
	recorder recorder
	acts     map[string]bool   // threads that have done more than a runtime's own do
	passed   map[int64]bool    // calls that are not drawn
	states   map[int][2]string // of connections that are open, client's and server's
	beats    []diagram.Beat
}

// draw draws events, with columns for all whom they are about.
func (v *view) draw(events []Event) error {
	begun := map[int64]int{} // by call: its place in beats
	for _, e := range events {
		if e.Actor != nil && e.Actor.Kind == diagram.ServerThread {
			v.columns.names(*e.Actor)
		}
		if e.End != nil {
			e.Note = &diagram.Note{Text: "the server ended: " + e.End.How}
		}
		if v.idles(e) {
			continue
		}
		v.record(e)
		d, drawn := e.drawn()
		if !drawn {
			continue
		}
		switch c := e.Call; {
		case c == nil:
			v.comes(d)
			v.beats = append(v.beats, diagram.Beat{Event: d})
			if d.Life != nil && d.Life.Event != "begins" {
				v.columns.leaves(*d.Life)
			}
		case c.Phase == Begins:
			v.columns.calls(*d.Call, false)
			begun[c.ID] = len(v.beats)
			v.beats = append(v.beats, diagram.Beat{Event: d, ID: int(c.ID)})
		case c.Phase == Sleeps:
			if i, here := begun[c.ID]; here && !v.beats[i].Call.Slept {
				v.beats[i].Call.Slept = true
				v.columns.calls(*v.beats[i].Call, false)
			}
		case c.Phase == Returns:
			if i, here := begun[c.ID]; here {
				v.beats[i].Call.Result = c.Result
				v.beats[i].Call.Slept = c.Slept
			}
			v.columns.calls(*d.Call, true)
			v.beats = append(v.beats, diagram.Beat{Event: d, Returns: true, ID: int(c.ID)})
		}
	}
	if len(v.beats) == 0 {
		return nil
	}
	if v.columns.change(v.beats) {
		v.growing.Columns(v.columns.shown, v.columns.idle, v.columns.clients)
	}
	err := v.growing.Draw(v.beats)
	for _, b := range v.beats {
		if s := b.State; s != nil && over(v.states[s.Conn]) {
			v.columns.goes(s.Conn)
			delete(v.states, s.Conn)
		}
	}
	v.beats = nil
	return err
}

// comes notices connections, and the states of their ends.
func (v *view) comes(e diagram.Event) {
	if e.Segment != nil {
		v.columns.comes(e.Segment.Conn)
	}
	if s := e.State; s != nil {
		v.columns.comes(s.Conn)
		states, known := v.states[s.Conn]
		if !known {
			states = [2]string{closed, listen}
		}
		which := theServer
		if s.Client {
			which = theClient
		}
		states[which] = s.To
		v.states[s.Conn] = states
	}
}

func (v *view) record(e Event) {
	switch {
	case !v.keep:
	case len(v.recorder.trace.Events) < mostKept:
		v.recorder.add(e)
	case e.drawnNew():
		v.recorder.left++
	}
}

// idles reports whether an event is of no interest: it is about a thread which
// so far only starts others, or waits for those who do the work.
func (v *view) idles(e Event) bool {
	switch {
	case e.Life != nil:
		return strings.Contains(e.Life.Actor, "/") && !v.acts[e.Life.Actor]
	case e.Call == nil || !strings.Contains(e.Call.Actor, "/"):
		return false
	case e.Call.Phase == Begins && !v.acts[e.Call.Actor]:
		v.acts[e.Call.Actor] = e.Call.Conn > 0 || !isFork(e.Call.Name) && !strings.HasPrefix(e.Call.Name, "epoll_")
		if !v.acts[e.Call.Actor] {
			v.passed[e.Call.ID] = true
		}
	}
	passed := v.passed[e.Call.ID]
	if e.Call.Phase == Returns {
		delete(v.passed, e.Call.ID)
	}
	return passed
}

// starters are those who started somebody, and perhaps did nothing else.
func (v *view) starters(w *watched) (all []diagram.Actor) {
	for _, a := range w.source.log().actors {
		if slices.ContainsFunc(v.recorder.trace.Events, func(e diagram.Event) bool { return e.Life != nil && e.Life.By == a.ID }) {
			all = append(all, a)
		}
	}
	return all
}

// operate passes the keyboard on.
func (w *watched) operate(keyboard io.Reader) {
	typed := bufio.NewReader(keyboard)
	for {
		line, err := typed.ReadString('\n')
		if line != "" {
			w.note("", fmt.Sprintf("the operator types %q", strings.TrimSuffix(line, "\n")), FromTheLab)
			io.WriteString(w.server.Operator(), line)
		}
		if err != nil {
			w.server.Operator().Close()
			return
		}
	}
}

// lines is a writer that is told line by line.
type lines struct {
	half []byte
	tell func(line string)
}

// longestLine is how much of a line without an end is kept.
const longestLine = 64 << 10

func (l *lines) Write(p []byte) (int, error) {
	l.half = append(l.half, p...)
	for {
		line, rest, found := bytes.Cut(l.half, []byte("\n"))
		if !found && len(l.half) < longestLine {
			return len(p), nil
		}
		l.tell(string(line))
		l.half = slices.Clone(rest)
	}
}
