package trace

import (
	"net/netip"
	"time"

	"socketlab/lab/diagram"
)

// Schema is the name and version of the stream's events as JSON; their schema
// is docs/schema/stream-1.schema.json.
const Schema = "lab.stream/1"

// An Event is one thing that happened, and how that is known. Exactly one of
// the pointers is set.
type Event struct {
	At     time.Duration `json:"at_ns"`            // since the stream began; never less than the event before
	Server string        `json:"server"`           // its name; "": the event is about all servers
	Action int           `json:"action,omitempty"` // the latest client action that was given before; 0: none was
	Source Source        `json:"source"`

	Start   *Start           `json:"start,omitempty"`
	Actor   *diagram.Actor   `json:"actor,omitempty"` // it is named before any event about it
	Act     *Action          `json:"act,omitempty"`
	Call    *Call            `json:"call,omitempty"`
	Segment *diagram.Segment `json:"segment,omitempty"`
	State   *diagram.State   `json:"state,omitempty"`
	Queue   *diagram.Queue   `json:"queue,omitempty"`
	Unsent  *Unsent          `json:"unsent,omitempty"`
	Life    *diagram.Life    `json:"life,omitempty"`
	Note    *diagram.Note    `json:"note,omitempty"`
	Lost    *Lost            `json:"lost,omitempty"`
	End     *End             `json:"end,omitempty"`

	packet *Packet // of a segment that was captured
}

// A Source is how an event is known.
type Source string

const (
	FromCapture Source = "capture"  // a packet that was captured, or what follows from it
	FromTables  Source = "tables"   // the kernel's tables of sockets and processes
	Concluded   Source = "inferred" // not seen: concluded from calls and tables
	FromProbes  Source = "probes"   // our own models report it
	FromStrace  Source = "strace"
	FromProc    Source = "proc"   // a sample of /proc
	FromClient  Source = "client" // the lab's own clients
	FromOutput  Source = "output" // the server prints it
	FromTheLab  Source = "lab"    // the lab says or does it
)

// A Start says that a server listens, and how well it can be watched.
type Start struct {
	Schema  string         `json:"schema"`
	Address netip.AddrPort `json:"address"`
	Pid     int            `json:"pid"`
	Kind    string         `json:"kind"`    // "model" or "command"
	Rung    diagram.Rung   `json:"rung"`    // how the segments are seen
	Calls   Source         `json:"calls"`   // how the server's calls are seen
	Steps   bool           `json:"steps"`   // its calls are held: Stream.Step
	Missing []string       `json:"missing"` // what cannot be seen here, and how to see it
}

// A Phase is what an event tells of a call.
type Phase string

const (
	Held    Phase = "held"    // the program is about to make it, and waits for Step
	Begins  Phase = "begins"  // it is made
	Sleeps  Phase = "sleeps"  // the kernel has put the thread to sleep in it
	Returns Phase = "returns" // it has returned; Result and Took are known
)

// A Call is a step in the life of a system call: each is told when it begins,
// when its thread falls asleep in it, and when it returns.
type Call struct {
	ID    int64 `json:"id"` // the same in all events about the call
	Phase Phase `json:"phase"`
	diagram.Call
	Page string `json:"page,omitempty"` // where it stands in the source: "models/pollloop/poll.go:52"
}

// Unsent is what the server's kernel holds of a connection: bytes that it has not
// sent, or that the client's kernel has not acknowledged. Diagrams leave it out.
type Unsent struct {
	Conn   int `json:"conn"`
	Length int `json:"length"` // bytes
}

// Lost says that something happened of which only the number is known.
type Lost struct {
	Count int    `json:"count"`
	What  string `json:"what"` // "packets", "calls"
}

// End says that a server has ended.
type End struct {
	How string `json:"how"` // "exit code 0", "signal KILL"
}

// drawn is the event as diagrams know it; ok is false if they do not show it.
// Of a call it is the beginning.
func (e Event) drawn() (d diagram.Event, ok bool) {
	d = diagram.Event{At: e.At, Segment: e.Segment, State: e.State, Queue: e.Queue, Life: e.Life, Note: e.Note}
	if e.Call != nil {
		call := e.Call.Call
		d.Call = &call
	}
	ok = e.Segment != nil || e.State != nil || e.Queue != nil || e.Life != nil || e.Note != nil || e.Call != nil && e.Call.Phase != Held
	return d, ok
}

// drawnNew is true of what adds an event to a diagram.
func (e Event) drawnNew() bool {
	_, drawn := e.drawn()
	return drawn && (e.Call == nil || e.Call.Phase == Begins)
}
