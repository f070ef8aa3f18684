// Package diagram draws what happened between clients and a server: as text, as
// Mermaid, as SVG. It knows only data, a list of events in order of time, and
// not where they come from.
package diagram

import (
	"time"

	"socketlab/lab/records"
)

// A Trace is one conversation as it really happened.
type Trace struct {
	Schema  string        `json:"schema"`           // "lab.trace/1"
	Scene   string        `json:"scene"`            // "open"
	Subject string        `json:"subject"`          // "select", or the command
	Lesson  string        `json:"lesson,omitempty"` // what it shows: "Client 2 is connected, and nobody reads it"
	About   string        `json:"about,omitempty"`  // what of it is drawn in full: Opening, Segments, Waiting; "": all
	Rung    Rung          `json:"rung"`             // how the segments were seen
	Source  string        `json:"source"`           // how the calls were seen: "probes", "strace", "proc"; "": not
	Missing []string      `json:"missing"`          // what could not be seen here, and how to see it
	Took    time.Duration `json:"took_ns"`

	// Steps are when each step of the scene was over: all that it causes is seen
	// by then. None: nobody waited for that.
	Steps []time.Duration `json:"steps_ns,omitempty"`

	Actors []Actor `json:"actors"` // the columns, from left to right
	Events []Event `json:"events"` // in order of time; no effect before its cause

	Owners map[int]string `json:"-"` // whose each connection is, where the calls that show it are left out
}

// A Rung is how well the segments were seen.
type Rung string

const (
	Captured  Rung = "captured"                // on the machine's own loopback
	Namespace Rung = "captured in a namespace" // on the loopback of a network namespace of its own
	Inferred  Rung = "inferred"                // not seen: concluded from the kernel's tables
)

// An Actor is a column of the diagram.
type Actor struct {
	ID   string    `json:"id"`   // "client 1", "kernel/client", "kernel/server", "4711/4712"
	Name string    `json:"name"` // what stands above the column
	Kind ActorKind `json:"kind"`
}

type ActorKind string

const (
	ClientProgram ActorKind = "client"        // a client's program
	ClientKernel  ActorKind = "client kernel" // TCP on the clients' side
	ServerKernel  ActorKind = "server kernel" // TCP on the server's side
	ServerThread  ActorKind = "server"        // a process or thread of the server's
	terminal      ActorKind = "terminal"      // the operator's, in pictures
)

// An Event is one thing that happened. Exactly one of the pointers is set.
type Event struct {
	At      time.Duration `json:"at_ns"` // since the scene began
	Segment *Segment      `json:"segment,omitempty"`
	Call    *Call         `json:"call,omitempty"`
	State   *State        `json:"state,omitempty"`
	Queue   *Queue        `json:"queue,omitempty"`
	Life    *Life         `json:"life,omitempty"`
	Note    *Note         `json:"note,omitempty"`
}

// A Segment is a TCP segment on its way: RFC 9293, section 3.1.
type Segment struct {
	Conn       int              `json:"conn"`              // number of the connection, from 1, in order of the first SYN
	FromClient bool             `json:"from_client"`       // or from the server
	Flags      string           `json:"flags"`             // "SYN", "SYN+ACK", "ACK", "PSH+ACK", "FIN+ACK", "RST", …
	Seq        uint32           `json:"seq"`               // relative: the SYN has 0
	Ack        uint32           `json:"ack"`               // relative; meaningless without ACK
	Window     int              `json:"window"`            // as scaled, bytes
	Len        int              `json:"len"`               // bytes of data
	Data       []byte           `json:"data"`              // the first of them, at most 64
	Records    []records.Record `json:"records,omitempty"` // of TLS, complete with this segment
	Retransmit bool             `json:"retransmit,omitempty"`
	Full       bool             `json:"full,omitempty"`     // it says window 0: there is no room for more
	Inferred   bool             `json:"inferred,omitempty"` // not seen, concluded: drawn dashed

	Label   string `json:"-"` // what stands on its arrow, where not all is to be said; "": all
	Step    int    `json:"-"` // its place among the segments that close; 0: none
	Late    bool   `json:"-"` // an ACK for which the other end held data back: a timer's
	Dropped bool   `json:"-"` // a SYN that was never answered
	ByExit  bool   `json:"-"` // a FIN that no call has sent: the process ended
}

// A Call is a system call of a client's or the server's.
type Call struct {
	Actor  string        `json:"actor"`          // id of the column
	Name   string        `json:"name"`           // "accept"
	Args   string        `json:"args"`           // "3", or "{3 5 7}": as short as a page would say it
	Result string        `json:"result"`         // "4", "6 bytes", "EAGAIN"; "": it has not returned
	Conn   int           `json:"conn,omitempty"` // the connection that it is about; 0: none
	Slept  bool          `json:"slept"`          // it had to wait
	Took   time.Duration `json:"took_ns"`        // Event.At is when it began
}

// A State is a change of state of one end of a connection: RFC 9293, section
// 3.3.2.
type State struct {
	Conn      int    `json:"conn"`
	Client    bool   `json:"client"`    // which end
	From      string `json:"from"`      // "SYN-SENT"
	To        string `json:"to"`        // "ESTABLISHED"
	Confirmed bool   `json:"confirmed"` // the kernel's own table said so too
}

// A Queue is the length of the listening socket's accept queue, when it
// changes, or of what a connection holds unread.
type Queue struct {
	Conn   int    `json:"conn,omitempty"` // 0: the accept queue; else the unread bytes of a connection at the server
	Length int    `json:"length"`
	Limit  int    `json:"limit,omitempty"` // how many the accept queue holds; 0: not known
	Seats  string `json:"-"`               // its places, taken or free, in a picture
}

// A Life is the beginning or the end of an actor.
type Life struct {
	Actor string `json:"actor"`
	Event string `json:"event"`         // "begins", "ends", "reaped"
	By    string `json:"by,omitempty"`  // the actor that started or collected it
	How   string `json:"how,omitempty"` // "exit code 0", "signal KILL"
}

// A Note is a word of the scene's: "client 1 thinks".
type Note struct {
	Actor string `json:"actor,omitempty"` // beside which column; "": all
	Text  string `json:"text"`
}
