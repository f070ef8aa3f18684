package trace

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"socketlab/lab/diagram"
)

// causal says where in a trace an effect is drawn before its cause. It knows
// nothing of how the order was found, only of what was seen: who sent which
// bytes, and who received them.
func causal(tr diagram.Trace) (wrong []string) {
	o := order{
		trace: tr, conns: map[int]*conversation{}, begun: map[string]bool{}, inCall: map[string]string{},
		fds: map[string]int{}, lfds: map[string]bool{}, clients: map[string]bool{},
	}
	for _, a := range tr.Actors {
		o.clients[a.ID] = a.Kind == diagram.ClientProgram
	}
	for _, e := range tr.Events {
		if e.Life != nil && e.Life.Event == "begins" {
			o.begun[e.Life.Actor] = false // not yet
		}
	}
	for _, p := range drawn(tr) {
		o.at = p.at
		switch e := p.Event; {
		case e.Segment != nil:
			o.segment(*e.Segment)
		case e.State != nil:
			o.state(*e.State)
		case e.Call != nil && p.returns:
			o.returns(*e.Call)
		case e.Call != nil:
			o.begins(*e.Call)
		case e.Life != nil:
			o.life(*e.Life)
		case e.Queue != nil:
			o.queue(*e.Queue)
		case e.Note != nil && strings.HasPrefix(e.Note.Text, "the operator types "):
			o.typed = true
		}
	}
	return o.wrong
}

// The check itself: what needs a cause, drawn first, is noticed.
func TestCausal(t *testing.T) {
	r := recordCalls(t, "two-clients", "poll", "probes")
	for i, e := range r.Trace.Events {
		c := e.Call
		if e.Segment == nil && e.State == nil && (c == nil || c.Conn == 0 || !receiving(c.Name) && c.Name != "accept" && c.Name != "connect") {
			continue
		}
		early := r.Trace
		e.At = 0
		if c != nil {
			call := *c
			call.Took = 0
			e.Call = &call
		}
		early.Events = slices.Concat([]diagram.Event{e}, r.Trace.Events[:i], r.Trace.Events[i+1:])
		if len(causal(early)) == 0 {
			t.Errorf("event %d of %d is drawn first, and nobody notices: %+v %+v %+v", i, len(r.Trace.Events), e.Segment, e.State, c)
		}
	}
}

// A place is where something is drawn.
type place struct {
	at time.Duration
	diagram.Event
	returns bool
}

// drawn is what a diagram shows, from top to bottom: a call is there twice.
func drawn(tr diagram.Trace) (all []place) {
	for _, e := range tr.Events {
		all = append(all, place{e.At, e, false})
		if e.Call != nil && e.Call.Result != "" && e.Call.Took == 0 {
			all = append(all, place{e.At, e, true})
		}
	}
	for _, e := range tr.Events {
		if e.Call != nil && e.Call.Result != "" && e.Call.Took > 0 {
			all = append(all, place{e.At + e.Call.Took, e, true})
		}
	}
	slices.SortStableFunc(all, func(a, b place) int { return cmp.Compare(a.at, b.at) })
	return all
}

// An order is what has happened so far.
type order struct {
	trace   diagram.Trace
	at      time.Duration
	conns   map[int]*conversation
	begun   map[string]bool   // by actor, of those who begin while it is drawn
	inCall  map[string]string // by actor
	fds     map[string]int    // connections, by process and descriptor
	lfds    map[string]bool   // likewise, those that listen
	clients map[string]bool
	listens bool
	ring    bool // what it read and accepted is not seen as calls
	typed   bool
	wrong   []string
}

// A conversation is one connection. Its arrays have the client's end first.
type conversation struct {
	connects, accepted, open bool
	asked                    [2]int // bytes in calls that have begun
	sent, took               [2]int // bytes in segments, and in calls that have returned
	acked                    [2]uint32
	top                      [2]uint32 // what would acknowledge all that was sent
	closes, finished         [2]bool   // by a call, by a segment
	reset                    bool
}

func (o *order) conn(n int) *conversation {
	if o.conns[n] == nil {
		o.conns[n] = &conversation{}
	}
	return o.conns[n]
}

func (o *order) must(held bool, format string, args ...any) {
	if !held {
		o.wrong = append(o.wrong, fmt.Sprintf("at %v: %s", o.at, fmt.Sprintf(format, args...)))
	}
}

func (o *order) end(actor string) int {
	if o.clients[actor] {
		return theClient
	}
	return theServer
}

func (o *order) segment(s diagram.Segment) {
	c, from, to := o.conn(s.Conn), theClient, theServer
	if !s.FromClient {
		from, to = to, from
	}
	f := flagsOf(s.Flags)
	text := fmt.Sprintf("segment %s of connection %d", s.Flags, s.Conn)
	if f.has(ack) {
		c.acked[to] = max(c.acked[to], s.Ack)
	}
	if f.has(ack) && !f.has(rst) {
		o.must(int32(s.Ack-c.top[to]) <= 0, "%s acknowledges %d, and only %d was sent", text, s.Ack, c.top[to])
	}
	switch {
	case f.has(syn) && !f.has(ack):
		o.must(c.connects, "%s before connect", text)
	case f.has(syn):
		o.must(c.top[to] > 0, "%s before the SYN", text)
	}
	if !s.Retransmit {
		c.sent[from] += s.Len
	}
	if from == theClient || o.tells() {
		o.must(c.sent[from] <= c.asked[from], "%s: %d bytes are sent, and %d were in calls", text, c.sent[from], c.asked[from])
		o.must(!f.has(fin) || c.closes[from], "%s before close or shutdown", text)
	}
	end := s.Seq + uint32(s.Len)
	if f.has(syn | fin) {
		end++
	}
	if int32(end-c.top[from]) > 0 {
		c.top[from] = end
	}
	c.finished[from] = c.finished[from] || f.has(fin)
	c.reset = c.reset || f.has(rst)
}

// tells is true if all calls of the server are seen.
func (o *order) tells() bool { return o.trace.Source == "probes" || o.trace.Source == "strace" }

// state holds a state to the segments that lead to it.
func (o *order) state(s diagram.State) {
	c, mine, peer := o.conn(s.Conn), theClient, theServer
	if !s.Client {
		mine, peer = peer, mine
	}
	var led bool
	switch s.To {
	case "SYN-SENT", "SYN-RECEIVED":
		led = c.top[mine] > 0
	case "ESTABLISHED":
		led = c.top[peer] > 0 && c.acked[mine] > 0
		c.open = c.open || !s.Client
	case "FIN-WAIT-1", "LAST-ACK":
		led = c.finished[mine]
	case "FIN-WAIT-2":
		led = c.finished[mine] && c.acked[mine] == c.top[mine]
	case "CLOSE-WAIT":
		led = c.finished[peer]
	case "CLOSING", "TIME-WAIT":
		led = c.finished[mine] && c.finished[peer]
	case "CLOSED":
		led = c.reset || c.finished[mine] && c.finished[peer]
	}
	o.must(led, "connection %d is in %s (client: %v) before the segment that leads there", s.Conn, s.To, s.Client)
}

// queue holds a length to what came and what was taken.
func (o *order) queue(q diagram.Queue) {
	c := o.conn(q.Conn)
	length := c.sent[theClient] - c.took[theServer]
	if q.Conn == 0 {
		length = o.waiting()
	}
	o.must(q.Length == length || o.ring || !o.tells(), "the queue of connection %d has %d; what came and was not taken is %d", q.Conn, q.Length, length)
}

// waiting is how many were not accepted.
func (o *order) waiting() (n int) {
	for _, c := range o.conns {
		if c.open && !c.accepted {
			n++
		}
	}
	return n
}

var ready = regexp.MustCompile(`\b(\d+)[rw]*r[rw]*\b`)

func (o *order) begins(c diagram.Call) {
	o.must(o.inCall[c.Actor] == "", "%s begins %s, and has not returned from %s", c.Actor, c.Name, o.inCall[c.Actor])
	o.inCall[c.Actor] = c.Name
	begun, late := o.begun[c.Actor]
	o.must(begun || !late, "%s calls %s before it begins", c.Actor, c.Name)
	conn, end := o.conn(c.Conn), o.end(c.Actor)
	switch {
	case c.Name == "connect":
		conn.connects = true
	case c.Name == "io_uring_enter":
		o.ring = true
		for _, conn := range o.conns { // what it was asked it tells when it returns
			conn.asked[end], conn.closes[end] = 1<<30, true
		}
	case strings.HasPrefix(c.Name, "send"), strings.HasPrefix(c.Name, "write"):
		conn.asked[end] += amount(c.Result)
		if c.Result == "" {
			conn.asked[end] = 1 << 30
		}
	case c.Name == "close", c.Name == "shutdown":
		conn.closes[end] = true
	}
}

// amount is how many bytes a call moved.
func amount(result string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSuffix(result, " bytes"), " byte"))
	return n
}

func (o *order) returns(c diagram.Call) {
	o.inCall[c.Actor] = ""
	conn, end := o.conn(c.Conn), o.end(c.Actor)
	peer := 1 - end
	process, _, _ := strings.Cut(c.Actor, "/")
	fd, _, _ := strings.Cut(c.Args, ",")
	text := fmt.Sprintf("%s: %s = %s on connection %d", c.Actor, c.Name, c.Result, c.Conn)
	received := receiving(c.Name)
	switch {
	case c.Name == "listen":
		o.listens, o.lfds[process+" "+fd] = true, true
	case c.Name == "connect" && c.Result == "0":
		o.must(conn.top[theServer] > 0, "%s before the SYN+ACK", text)
		o.must(o.listens || !o.tells(), "%s before listen", text)
	case strings.HasPrefix(c.Name, "accept") && c.Conn > 0:
		o.must(conn.open, "%s before the handshake is complete", text)
		conn.accepted = true
		o.fds[process+" "+c.Result] = c.Conn
	case received && c.Conn == 0 && fd == "0" && amount(c.Result) > 0:
		o.must(o.typed, "%s before the operator typed", text)
	case received && c.Conn > 0 && c.Result == "ECONNRESET":
		o.must(conn.reset, "%s before the RST", text)
	case received && c.Conn > 0 && c.Result == "0":
		o.must(conn.finished[peer] || conn.closes[end], "%s before the FIN", text)
	case received && c.Conn > 0:
		conn.took[end] += amount(c.Result)
		o.must(conn.took[end] <= conn.sent[peer], "%s: %d bytes are received, and %d came", text, conn.took[end], conn.sent[peer])
	case isWait(c.Name):
		for _, found := range ready.FindAllStringSubmatch(c.Result, -1) {
			if o.lfds[process+" "+found[1]] {
				o.must(o.waiting() > 0, "%s: %s is ready, and nobody waits to be accepted", text, found[1])
			}
			n := o.fds[process+" "+found[1]]
			if n == 0 {
				continue
			}
			w := o.conns[n]
			o.must(w.sent[theClient] > w.took[theServer] || w.finished[theClient] || w.reset,
				"%s: %s is ready, and nothing of connection %d waits", text, found[1], n)
		}
	}
	if c.Name == "close" && c.Result == "0" {
		delete(o.fds, process+" "+fd)
	}
}

func (o *order) life(l diagram.Life) {
	switch l.Event {
	case "begins":
		o.begun[l.Actor] = true
		if l.By != "" && o.trace.Source == "probes" {
			o.must(o.inCall[l.By] != "", "%s begins, and %s who starts it is in no call", l.Actor, l.By)
		}
	case "reaped":
		o.must(!o.begun[l.Actor] || o.inCall[l.Actor] == "gone", "%s is reaped before it ends", l.Actor)
	case "ends":
		o.inCall[l.Actor] = "gone"
		for _, c := range o.conns {
			c.closes[theServer] = true // what it had open
		}
	}
}
