package trace

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
)

// A watchedConn is a client's connection, as long as it is open.
type watchedConn struct {
	client  netip.AddrPort
	machine *machine
	unread  stable // bytes, at the server
	closed  bool
}

func (c *watchedConn) closes() {
	over := func(state string) bool { return state == "CLOSED" || state == "TIME_WAIT" }
	c.closed = over(c.machine.states[theClient]) && over(c.machine.states[theServer])
}

// conn is the connection with a number; a new one is a new client.
func (w *watch) conn(number int, client netip.AddrPort) *watchedConn {
	c := w.conns[number]
	if c == nil {
		c = &watchedConn{client: client, machine: newMachine(number)}
		w.conns[number] = c
		w.number[client] = number
		w.columns.comes(number)
	}
	return c
}

// look asks the kernel's tables for what packets do not show: how many wait for
// accept, and how much was not read. Where packets cannot be seen, the states
// too.
func (w *watch) look(now time.Time) error {
	if w.eyes.capture == nil {
		if err := w.lookAtStates(now); err != nil {
			return err
		}
	}
	w.looked = now
	if w.diagnosis == nil {
		return nil
	}
	server := w.server.Addr()
	if l, ok, err := w.diagnosis.Find(server, server); err == nil && ok && l.State == proc.Listen && w.queue.changes(l.Unread) {
		accepts := func(c serverCall) bool { return strings.HasPrefix(c.Name, "accept") && c.client.IsValid() }
		w.sees(w.emptied(now, accepts), diagram.Event{Queue: &diagram.Queue{Length: l.Unread, Limit: l.Room}})
	}
	for number, c := range w.conns {
		if c.closed {
			w.columns.goes(number)
			continue
		}
		s, ok, err := w.diagnosis.Find(server, c.client)
		if e := endOf(s, ok); err == nil && e.state != proc.Closed && c.unread.changes(e.unread) {
			reads := func(made serverCall) bool {
				return receiving(made.Name) && made.client == c.client && made.Result != "0"
			}
			w.sees(w.emptied(now, reads), diagram.Event{Queue: &diagram.Queue{Conn: number, Length: e.unread}})
		}
	}
	return nil
}

// emptied is when a queue has become shorter, or longer, since it was last
// looked at twice: with a call of the server's that takes something out, if
// there was one.
func (w *watch) emptied(now time.Time, takes func(serverCall) bool) time.Time {
	a := w.follower.account
	a.mu.Lock()
	defer a.mu.Unlock()
	since := now.Add(-3 * watchEvery)
	for _, c := range slices.Backward(a.calls[min(w.follower.first, len(a.calls)):]) {
		if takes(c) && c.end.After(since) {
			return c.end.Add(1)
		}
	}
	return now
}

func (w *watch) sees(at time.Time, e diagram.Event) {
	w.waiting = append(w.waiting, item{at: at, rank: aState, tell: func(d time.Duration) {
		e.At = d
		w.add(e)
	}})
}

// lookAtStates tells of connections what the table says. A change that the
// client causes was there since the last look, as far as we know; one that the
// server causes comes after what the server did.
func (w *watch) lookAtStates(now time.Time) error {
	sockets, err := w.server.Sockets()
	if err != nil {
		return err
	}
	seen := map[netip.AddrPort]proc.Socket{}
	for _, s := range sockets {
		if s.State != proc.Listen {
			seen[s.Remote] = s
			if before := w.conns[w.number[s.Remote]]; before == nil || before.closed && s.State == proc.Established {
				w.decoder.count++
				w.conn(w.decoder.count, s.Remote)
			}
		}
	}
	for number, c := range w.conns {
		if c.closed {
			continue
		}
		s, there := seen[c.client]
		w.state(now, number, c, theServer, endOf(s, there))
		if w.diagnosis != nil {
			mine, ok, err := w.diagnosis.Find(c.client, w.server.Addr())
			if err == nil {
				w.state(now, number, c, theClient, endOf(mine, ok))
			}
		}
		c.closes()
	}
	return nil
}

func (w *watch) state(now time.Time, number int, c *watchedConn, which int, e end) {
	from, to := c.machine.states[which], e.state.String()
	if from == to {
		return
	}
	c.machine.states[which] = to
	byClient := []string{"SYN_RECEIVED", "ESTABLISHED", "CLOSE_WAIT"}
	if which == theClient {
		byClient = []string{"SYN_SENT", "ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2"}
	}
	at := now
	if slices.Contains(byClient, to) {
		at = w.looked
	}
	w.sees(at, diagram.Event{State: &diagram.State{Conn: number, Client: which == theClient, From: from, To: to, Confirmed: true}})
}

// columns are who is to be seen.
type columns struct {
	clients map[int]string    // by connection: all there ever were
	gone    map[string]bool   // ids of those who have left, or ended
	server  []diagram.Actor   // its threads, all there ever were
	sleeps  map[string]string // by id: the first call of a thread, if it has done nothing but sleep in it
	shown   []diagram.Actor   // those that have a column
	idle    [][]diagram.Actor // those that share one
	all     []diagram.Actor   // that ever had one
}

func newColumns() columns {
	return columns{clients: map[int]string{}, gone: map[string]bool{}, sleeps: map[string]string{}}
}

func clientName(number int) string { return fmt.Sprintf("client %d", number) }

func (c *columns) comes(number int) { c.clients[number] = clientName(number) }

func (c *columns) goes(number int) { c.gone[clientName(number)] = true }

// leaves is told of an end. A process stays until it is collected.
func (c *columns) leaves(l diagram.Life) {
	if l.Event == "reaped" || l.How == "" {
		c.gone[l.Actor] = true
	}
}

// calls is told that a thread has made a call, or has returned from one.
func (c *columns) calls(call diagram.Call, returns bool) {
	words := ""
	if _, acted := c.sleeps[call.Actor]; !acted && !returns && call.Conn == 0 && call.Slept {
		words = call.Name + call.Args
	}
	c.sleeps[call.Actor] = words
}

// change finds columns for these beats, and reports whether they are others than
// before. Who has left goes when somebody comes, and then the idle move together.
func (c *columns) change(beats []diagram.Beat) bool {
	needed := map[string]bool{}
	for _, b := range beats {
		switch {
		case b.Segment != nil:
			needed[clientName(b.Segment.Conn)] = true
		case b.State != nil:
			needed[clientName(b.State.Conn)] = true
		case b.Queue != nil && b.Queue.Conn > 0:
			needed[clientName(b.Queue.Conn)] = true
		case b.Call != nil:
			needed[b.Call.Actor] = true
		case b.Life != nil:
			needed[b.Life.Actor] = true
		}
	}
	has := func(all []diagram.Actor, id string) bool {
		return slices.ContainsFunc(all, func(a diagram.Actor) bool { return a.ID == id })
	}
	shares := func(id string) bool {
		return slices.ContainsFunc(c.idle, func(g []diagram.Actor) bool { return has(g, id) })
	}
	changed := c.shown == nil
	for id := range needed {
		changed = changed || !has(c.shown, id) && !(shares(id) && c.sleeps[id] != "")
	}
	comes := slices.ContainsFunc(beats, func(b diagram.Beat) bool { return b.Segment != nil })
	if _, idle := c.apart(c.shown); !changed && !(comes && len(idle) > 0) {
		return false
	}
	wanted := func(id string) bool { return needed[id] || (has(c.shown, id) || shares(id)) && !c.gone[id] }
	var clients, server []diagram.Actor
	for number := 1; number <= len(c.clients); number++ {
		if id := clientName(number); wanted(id) {
			clients = append(clients, diagram.Actor{ID: id, Name: id, Kind: diagram.ClientProgram})
		}
	}
	if len(clients) == 0 { // the next one to come
		number := 1
		for c.gone[clientName(number)] {
			number++
		}
		id := clientName(number)
		clients = append(clients, diagram.Actor{ID: id, Name: id, Kind: diagram.ClientProgram})
	}
	for _, a := range c.server {
		if wanted(a.ID) {
			server = append(server, a)
		}
	}
	kernel := diagram.Actor{ID: "kernel/server", Name: "server's kernel", Kind: diagram.ServerKernel}
	c.all = once(slices.Concat(c.all, clients, []diagram.Actor{kernel}, server))
	server, c.idle = c.apart(server)
	c.shown = slices.Concat(clients, []diagram.Actor{kernel}, server)
	return true
}

// apart tells those who are idle, several in the same call, from those who need
// a column of their own.
func (c *columns) apart(actors []diagram.Actor) (own []diagram.Actor, idle [][]diagram.Actor) {
	asleep := map[string][]diagram.Actor{}
	for _, a := range actors {
		if words := c.sleeps[a.ID]; words != "" {
			asleep[words] = append(asleep[words], a)
		}
	}
	for _, a := range actors {
		group := asleep[c.sleeps[a.ID]]
		switch {
		case len(group) < diagram.LeastFolded:
			own = append(own, a)
		case group[0] == a:
			idle = append(idle, group)
		}
	}
	return own, idle
}
