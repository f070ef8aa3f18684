package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

// A Witness records a conversation that is not a scene, from what it is told
// by those who hold it and from what it sees itself. Its methods are called in
// this order; Called and Note by several goroutines at once.
type Witness struct {
	name string
	*watched

	told    sync.Mutex // guards what follows
	callers map[netip.AddrPort]*client
	calls   []*systemCall
	over    bool

	trace diagram.Trace // these two are known after End
	err   error
}

// NewWitness is a witness of what has this name.
func NewWitness(name string) *Witness {
	return &Witness{name: name, callers: map[netip.AddrPort]*client{}, err: errors.New("nothing was played")}
}

// Prepare is called before the server is started, and may change how it is.
func (w *Witness) Prepare(spec *subject.Spec) (err error) {
	w.watched, err = watchServer(context.Background(), spec, "", "", false)
	return err
}

// Begin is called when the server listens.
func (w *Witness) Begin(server *subject.Subject) error { return w.attach(server) }

// A Made call is one of a client's program that has returned.
type Made struct {
	Client     string         // "client 1"; "": one that is gone before it has a name
	Local      netip.AddrPort // its address; invalid if it could not connect
	Name       string         // "send"
	Args       string         // "" or "SHUT_WR": what is not data
	Begin, End time.Time
	Slept      bool
	Data       []byte // sent or received
	Err        error  // nil, io.EOF or why it failed
}

// Called takes down a client's call. Whoever has no name is a visitor.
func (w *Witness) Called(m Made) {
	made := &systemCall{begin: m.Begin, end: m.End, data: slices.Clone(m.Data[:min(len(m.Data), diagram.MaxData)])}
	made.Call = diagram.Call{Name: m.Name, Args: m.Args, Slept: m.Slept}
	if m.Name == "send" && len(m.Data) > 0 {
		made.Args = quoted(m.Data)
	}
	made.Result, made.errno = outcome(m)
	w.told.Lock()
	defer w.told.Unlock()
	if w.over {
		return
	}
	c := w.callers[m.Local]
	if c == nil || m.Name == "connect" { // a port may be somebody else's by now
		c = &client{id: "visitor", fd: -1, local: m.Local}
		if m.Local.IsValid() {
			w.callers[m.Local] = c
		} else {
			c.id = "turned away"
		}
	}
	if m.Client != "" {
		c.id = m.Client
	}
	made.of = c
	w.calls = append(w.calls, made)
}

// quoted is the beginning of what is sent.
func quoted(data []byte) string {
	const most = 16
	if len(data) > most {
		return fmt.Sprintf("%q…", data[:most])
	}
	return fmt.Sprintf("%q", data)
}

// outcome is the result of a call in the words of a diagram.
func outcome(m Made) (text string, errno unix.Errno) {
	late, isLate := m.Err.(interface{ Timeout() bool })
	switch {
	case errors.As(m.Err, &errno):
		return unix.ErrnoName(errno), errno
	case errors.Is(m.Err, os.ErrDeadlineExceeded), isLate && late.Timeout():
		return "nothing, gave up", unix.ETIMEDOUT
	case m.Err != nil && m.Err != io.EOF:
		return m.Err.Error(), unix.EIO
	case m.Name == "send" || m.Name == "recv":
		return bytesText(len(m.Data)), 0
	}
	return "0", 0
}

// Note takes down a line that is about nobody's call.
func (w *Witness) Note(text string) {
	w.told.Lock()
	defer w.told.Unlock()
	if !w.over {
		w.note("", text, FromTheLab)
	}
}

// Helper reports whether a process beside the server is there for the witness.
func (w *Witness) Helper(p proc.Process) bool {
	return w.watched.calls == "strace" && p.Name == "strace"
}

// End is called when it is over, while the server still runs.
func (w *Witness) End() {
	w.told.Lock()
	defer w.told.Unlock()
	w.over = true
	for _, made := range w.calls {
		made.Actor = made.of.id // known by now
		w.programs.enters(made.Actor, made.Actor)
		w.programs.begins(made)
	}
	for i := range w.programs.actors {
		w.programs.actors[i].Kind = diagram.ClientProgram
	}
	end := w.sinceBegin(time.Now())
	w.source.finish()
	var r recorder
	w.tell(end, r.add)
	recording, err := r.recording(w.watched, w.name, end)
	w.trace, w.err = recording.Trace, err
	w.knock()
}

// once leaves out actors that are there already: clients with more than one
// connection.
func once(actors []diagram.Actor) (all []diagram.Actor) {
	for _, a := range actors {
		if !slices.ContainsFunc(all, func(b diagram.Actor) bool { return b.ID == a.ID }) {
			all = append(all, a)
		}
	}
	return all
}

// knock finds the connections of those who could not connect: no other's, and
// begun while they tried.
func (w *Witness) knock() {
	taken := map[int]bool{}
	var tries []*diagram.Call
	begin := map[*diagram.Call]time.Duration{}
	for _, e := range w.trace.Events {
		switch {
		case e.Call == nil:
		case e.Call.Conn > 0 && e.Call.Name == "connect":
			taken[e.Call.Conn] = true
		case e.Call.Name == "connect":
			tries = append(tries, e.Call)
			begin[e.Call] = e.At
		}
	}
	for _, e := range w.trace.Events {
		if e.Segment == nil || taken[e.Segment.Conn] {
			continue
		}
		i := slices.IndexFunc(tries, func(c *diagram.Call) bool { return begin[c] <= e.At && e.At <= begin[c]+c.Took })
		if i >= 0 {
			tries[i].Conn, taken[e.Segment.Conn] = e.Segment.Conn, true
			tries = slices.Delete(tries, i, i+1)
		}
	}
}

// Trace is what was recorded, after End.
func (w *Witness) Trace() (diagram.Trace, error) { return w.trace, w.err }

// Close gives back what the witness holds.
func (w *Witness) Close() {
	if w.watched != nil {
		w.close()
		w.source.Close()
	}
}
