package diagram

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// A traceEvent is an event as Chrome and Perfetto read it: "Trace Event
// Format", with times in microseconds.
type traceEvent struct {
	Name  string         `json:"name"`
	Phase string         `json:"ph"` // X: from, for so long; B: from, open; i: instant; C: counter; M: about a track
	At    float64        `json:"ts"`
	For   *float64       `json:"dur,omitempty"`
	Group int            `json:"pid"`
	Track int            `json:"tid"`
	Scope string         `json:"s,omitempty"`
	Cat   string         `json:"cat,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

// The groups of tracks.
const (
	programs = 1 // a track for each client and each thread of the server
	segments = 2 // a track for each direction of each connection
	states   = 3 // a track for each end of each connection
)

// Perfetto writes the trace as Chrome's trace JSON, for ui.perfetto.dev.
func (t Trace) Perfetto(w io.Writer) error {
	if err := t.check(); err != nil {
		return err
	}
	f := perfetto{Trace: t, until: map[int]int{}}
	tracks := map[string]int{}
	f.about("process_name", programs, 0, "programs")
	f.about("process_name", segments, 0, "segments on lo")
	f.about("process_name", states, 0, "TCP states")
	for i, a := range t.Actors {
		tracks[a.ID] = i + 1
		if a.Kind == ClientProgram || a.Kind == ServerThread {
			f.about("thread_name", programs, i+1, a.Name)
		}
	}
	for _, e := range t.Events {
		at := microseconds(e.At)
		switch {
		case e.Call != nil:
			f.call(at, tracks[e.Call.Actor], e.Call)
		case e.Segment != nil:
			s := e.Segment
			track := f.end(segments, s.Conn, s.FromClient)
			args := map[string]any{"seq": s.Seq, "ack": s.Ack, "len": s.Len, "window": s.Window, "data": quote(s.Data, s.Len, 4*MaxData)}
			if s.Inferred {
				args["inferred"] = true
			}
			f.add(traceEvent{Name: s.texts()[0], Phase: "i", Scope: "t", At: at, Group: segments, Track: track, Cat: "segment", Args: args})
		case e.State != nil:
			track := f.end(states, e.State.Conn, e.State.Client)
			f.close(track, at)
			f.until[track] = len(f.events)
			f.add(traceEvent{Name: e.State.To, Phase: "B", At: at, Group: states, Track: track, Cat: "state",
				Args: map[string]any{"confirmed": e.State.Confirmed}})
		case e.Queue != nil:
			name, unit := "accept queue", "connections"
			if e.Queue.Conn > 0 {
				name, unit = fmt.Sprintf("unread, connection %d", e.Queue.Conn), "bytes"
			}
			f.add(traceEvent{Name: name, Phase: "C", At: at, Group: programs, Args: map[string]any{unit: e.Queue.Length}})
		case e.Life != nil:
			f.add(traceEvent{Name: e.Life.text(f.name), Phase: "i", Scope: "t", At: at, Group: programs, Track: tracks[e.Life.Actor], Cat: "life"})
		case e.Note != nil:
			f.add(traceEvent{Name: e.Note.Text, Phase: "i", Scope: "g", At: at, Group: programs, Track: tracks[e.Note.Actor], Cat: "note"})
		}
	}
	return json.NewEncoder(w).Encode(map[string]any{
		"displayTimeUnit": "ns",
		"otherData":       map[string]any{"schema": t.Schema, "title": t.title(), "how": t.footer()},
		"traceEvents":     f.events,
	})
}

type perfetto struct {
	Trace
	events []traceEvent
	until  map[int]int // by track: the state that is still open
	ends   []string    // names of the tracks of connections' ends
}

func (f *perfetto) add(e traceEvent) { f.events = append(f.events, e) }

func (f *perfetto) about(what string, group, track int, name string) {
	f.add(traceEvent{Name: what, Phase: "M", Group: group, Track: track, Args: map[string]any{"name": name}})
}

func (f *perfetto) call(at float64, track int, c *Call) {
	e := traceEvent{Name: c.begins(), Phase: "X", At: at, Group: programs, Track: track, Cat: "call",
		Args: map[string]any{"result": c.Result, "slept": c.Slept}}
	if c.Slept {
		e.Name, e.Cat = c.begins()+", asleep", "asleep"
	}
	if c.Result == "" {
		e.Phase = "B" // it has not returned
	} else {
		took := microseconds(c.Took)
		e.For = &took
	}
	f.add(e)
}

// end is the track of one end of a connection, named when it is first used.
func (f *perfetto) end(group, conn int, client bool) int {
	name := fmt.Sprintf("connection %d, server", conn)
	if client {
		name = fmt.Sprintf("connection %d, client", conn)
	}
	if group == segments {
		name += " sends"
	}
	for i, known := range f.ends {
		if known == name {
			return i + 1
		}
	}
	f.ends = append(f.ends, name)
	f.about("thread_name", group, len(f.ends), name)
	return len(f.ends)
}

// close ends the state that a track was in.
func (f *perfetto) close(track int, at float64) {
	if i, open := f.until[track]; open {
		e := &f.events[i]
		took := at - e.At
		e.Phase, e.For = "X", &took
	}
}

func (t Trace) name(id string) string {
	for _, a := range t.Actors {
		if a.ID == id && a.Name != "" {
			return a.Name
		}
	}
	return id
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
