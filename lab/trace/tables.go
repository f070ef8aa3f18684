package trace

import (
	"net/netip"
	"slices"
	"time"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
)

// A lookout looks into the kernel's tables again and again, for what neither
// packets nor calls show: how many wait for accept, how much was not read. Where
// packets cannot be seen, it finds the states of strangers' connections too.
type lookout struct {
	ticks  int
	looked time.Time
	queue  int
	conns  map[netip.AddrPort]*connTable // by the client's address: those that are open
}

// A connTable is what the tables said of a connection.
type connTable struct {
	conn    int
	ends    [2]endState
	touched int        // the tick at which something last happened to it
	states  *[2]string // of a stranger's connection whose packets cannot be seen
}

// looksAtEach is after how many ticks a connection is looked at to which nothing
// happens.
const looksAtEach = 10

func (w *watched) look(now time.Time) error {
	w.ticks++
	if w.capture == nil {
		if err := w.lookAtStrangers(now); err != nil {
			return err
		}
	}
	w.looked = now
	if w.diagnosis == nil {
		return nil
	}
	t := tables{at: w.sinceBegin(now), queue: -1, ends: map[netip.AddrPort][2]endState{}}
	server := w.server.Addr()
	if l, ok, err := w.diagnosis.Find(server, server); err == nil && ok && l.State == proc.Listen {
		if l.Unread == w.queue { // the same twice
			t.queue, t.limit = l.Unread, l.Room
		}
		w.queue = l.Unread
	}
	for client, number := range w.number {
		if c := w.conns[client]; c == nil || c.conn != number {
			w.conns[client] = &connTable{conn: number, touched: w.ticks}
		}
	}
	for client, c := range w.conns {
		if m := w.machines[c.conn]; m != nil && m.over() && w.ticks-c.touched > looksAtEach {
			delete(w.conns, client)
			delete(w.machines, c.conn)
			delete(w.number, client)
			continue
		}
		if w.ticks-c.touched > looksAtEach && (w.ticks+c.conn)%looksAtEach != 0 {
			continue
		}
		ends, err := w.lookAtEnds(client)
		if err != nil {
			continue
		}
		if ends == c.ends { // the same twice
			t.ends[client] = ends
		} else {
			c.touched = w.ticks
		}
		c.ends = ends
	}
	if t.queue >= 0 || len(t.ends) > 0 {
		w.sees(t)
	}
	return nil
}

// lookAtEnds asks for both ends of a connection.
func (w *watched) lookAtEnds(client netip.AddrPort) (both [2]endState, err error) {
	server := w.server.Addr()
	mine, ok, err := w.diagnosis.Find(client, server)
	both[theClient] = endOf(mine, ok)
	if err == nil {
		mine, ok, err = w.diagnosis.Find(server, client)
		both[theServer] = endOf(mine, ok)
	}
	return both, err
}

func (w *watched) sees(t tables) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saw = append(w.saw, t)
}

// lookAtStrangers tells of connections what the table says. A change that the
// client causes was there since the last look, as far as we know; one that the
// server causes comes after what the server did.
func (w *watched) lookAtStrangers(now time.Time) error {
	sockets, err := w.server.Sockets()
	if err != nil {
		return err
	}
	ours := map[netip.AddrPort]bool{}
	for _, c := range w.theClients() {
		ours[c.address()] = true
	}
	seen := map[netip.AddrPort]proc.Socket{}
	for _, s := range sockets {
		if s.State == proc.Listen || ours[s.Remote] {
			continue
		}
		seen[s.Remote] = s
		if c := w.conns[s.Remote]; c == nil || c.states == nil || over(*c.states) && s.State == proc.Established {
			w.decoder.count++
			w.number[s.Remote] = w.decoder.count
			w.conns[s.Remote] = &connTable{conn: w.decoder.count, touched: w.ticks, states: &[2]string{closed, listen}}
		}
	}
	for client, c := range w.conns {
		if c.states == nil || over(*c.states) {
			continue
		}
		s, there := seen[client]
		w.changes(now, c, theServer, endOf(s, there))
		if w.diagnosis != nil {
			if mine, ok, err := w.diagnosis.Find(client, w.server.Addr()); err == nil {
				w.changes(now, c, theClient, endOf(mine, ok))
			}
		}
	}
	return nil
}

func (w *watched) changes(now time.Time, c *connTable, which int, e endState) {
	from, to := c.states[which], e.state.String()
	if from == to {
		return
	}
	c.states[which] = to
	byClient := []string{synReceived, established, closeWait}
	if which == theClient {
		byClient = []string{synSent, established, finWait1, finWait2}
	}
	at := now
	if slices.Contains(byClient, to) {
		at = w.looked
	}
	w.say(at, Event{Source: FromTables, State: &diagram.State{Conn: c.conn, Client: which == theClient, From: from, To: to, Confirmed: true}})
}

// over reports whether a connection has ended, by the states of its ends.
func over(states [2]string) bool {
	return !slices.ContainsFunc(states[:], func(s string) bool { return s != closed && s != timeWait })
}

func (m *machine) over() bool { return over(m.states) }
