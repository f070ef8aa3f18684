package trace

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"socketlab/lab/diagram"
)

// A merger puts what the sources have seen of one server into the order in which
// it happened. What is seen later may have happened earlier, so everything is
// kept for a while before it is told: no effect is told before its cause.
type merger struct {
	items    []item   // seen, and not told yet; calls and lives are in the accounts
	seen     []tables // the kernel's tables, not compared yet
	decoder  decoder
	machines map[int]*machine
	guesses  map[*client]*guess     // where packets are not seen
	number   map[netip.AddrPort]int // of a client's connection: the latest, an address may come again
	states   map[end]*diagram.State // the latest that was told
	queues   map[int]int            // lengths, by connection; 0: the accept queue
	unsent   map[int]int            // by connection
	compared time.Duration          // when the tables were compared last
	actors   map[string]string      // names that were told, by id
	lost     map[string]int         // that were told
	last     time.Duration          // what was told last
	action   int                    // what was given last
	failed   error                  // why packets are seen no more
}

func newMerger(port uint16) merger {
	return merger{
		decoder: decoder{port: port, latest: map[netip.AddrPort]*conn{}}, machines: map[int]*machine{},
		guesses: map[*client]*guess{}, number: map[netip.AddrPort]int{}, states: map[end]*diagram.State{},
		queues: map[int]int{}, unsent: map[int]int{}, actors: map[string]string{}, lost: map[string]int{},
	}
}

// An item is something that was seen, before its turn comes.
type item struct {
	at    time.Duration
	rank  int // of what happened at the same time, causes come first
	event Event

	call    *systemCall // whose Phase this is
	phase   Phase
	account *account
	life    *life
}

const (
	aNote = iota
	aProgram
	aSegment
	aState
	aThread
)

// An end is one end of a connection.
type end struct {
	conn   int
	client bool
}

// Tables are what the kernel's tables say at one time.
type tables struct {
	at           time.Duration
	queue, limit int // of the accept queue; -1: not known
	ends         map[netip.AddrPort][2]endState
	settled      bool // nothing happens: what contradicts the segments is told
	guessed      bool // guess knows of it
}

// tell tells what happened up to a time.
func (w *watched) tell(until time.Duration, tell func(Event)) {
	w.take(until)
	accounts := []*account{&w.programs, w.source.log()}
	items := slices.Clone(w.items)
	for i, a := range accounts {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.beginsBeforeCalls()
		a.endsBeforeReaped()
		items = append(items, w.of(a, []int{aProgram, aThread}[i])...)
	}
	inOrder(items)
	if w.calls == "strace" {
		w.returnLater(items)
		inOrder(items)
	}
	if compared := w.compare(items, until); len(compared) > 0 {
		items, w.items = append(items, compared...), append(w.items, compared...)
		inOrder(items)
	}
	kept := w.items[:0:0]
	for _, it := range items {
		switch {
		case it.at <= until:
			w.last = max(w.last, it.at)
			w.tellItem(it, tell)
		case it.account == nil: // the others are in their accounts
			kept = append(kept, it)
		}
	}
	w.items = kept
	for _, a := range accounts {
		w.tellLost("calls", a.lost, tell)
		a.forget()
	}
	if w.capture != nil {
		w.tellLost("packets", w.capture.lostSoFar(), tell)
	}
}

func inOrder(items []item) {
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Or(cmp.Compare(a.at, b.at), a.rank-b.rank) })
}

func (w *watched) tellLost(what string, all int, tell func(Event)) {
	if news := all - w.lost[what]; news > 0 {
		w.lost[what] = all
		w.emit(Event{Source: FromTheLab, Lost: &Lost{news, what}}, tell)
	}
}

func (w *watched) emit(e Event, tell func(Event)) {
	e.At, e.Server, e.Action = w.last, w.name, w.action
	tell(e)
}

// tellItem tells of one item.
func (w *watched) tellItem(it item, tell func(Event)) {
	e := it.event
	switch {
	case it.call != nil:
		w.tellCall(it, tell)
		return
	case it.life != nil:
		it.life.told = true
		l := it.life.Life
		e = Event{Source: Source(w.calls), Life: &l}
		w.introduce(l.Actor, it.account, tell)
		w.introduce(l.By, it.account, tell)
	case e.State != nil:
		w.states[end{e.State.Conn, e.State.Client}] = e.State
	case e.Act != nil:
		w.action = e.Act.Number
	}
	w.emit(e, tell)
}

func (w *watched) tellCall(it item, tell func(Event)) {
	c := it.call
	w.introduce(c.Actor, it.account, tell)
	source := Source(w.calls)
	if it.account == &w.programs {
		source = FromClient
	}
	told := Call{ID: c.id, Phase: it.phase, Call: c.Call, Page: c.page}
	if it.account == &w.programs {
		told.ID = -c.id // the server's have other numbers
	}
	told.Conn = w.number[c.client]
	if c.of != nil {
		told.Conn = w.number[c.of.address()]
	}
	if it.phase == Begins {
		c.since = w.last
	}
	told.Took = w.last - c.since
	if it.phase != Returns {
		told.Result, told.Took = "", 0
	}
	c.told = it.phase
	w.emit(Event{Source: source, Call: &told}, tell)
}

// introduce names an actor before it does something.
func (w *watched) introduce(id string, a *account, tell func(Event)) {
	i := slices.IndexFunc(a.actors, func(actor diagram.Actor) bool { return actor.ID == id })
	if i < 0 || w.actors[id] == a.actors[i].Name {
		return
	}
	actor := a.actors[i]
	w.actors[id] = actor.Name
	w.emit(Event{Source: FromTheLab, Actor: &actor}, tell)
}

// of are the items of an account.
func (w *watched) of(a *account, rank int) (items []item) {
	for _, l := range a.lives {
		if !l.told {
			items = append(items, item{at: w.sinceBegin(l.at), rank: rank, life: l, account: a})
		}
	}
	for _, c := range a.calls {
		if c.hidden {
			continue
		}
		add := func(at time.Time, p Phase) {
			items = append(items, item{at: w.sinceBegin(at), rank: rank, call: c, phase: p, account: a})
		}
		if c.told == "" && c.held {
			add(c.begin, Held)
		}
		if (c.told == "" || c.told == Held) && !c.held {
			add(c.begin, Begins)
		}
		if c.told != Sleeps && !c.asleep.IsZero() {
			at := later(c.begin, c.asleep) // it may have returned before we noted what we saw
			if !c.end.IsZero() && c.end.UnixNano() < at.UnixNano() {
				at = later(c.begin, c.end)
			}
			add(at, Sleeps)
		}
		if !c.end.IsZero() {
			add(later(c.begin, c.end), Returns)
		}
	}
	return items
}

func later(a, b time.Time) time.Time {
	if b.UnixNano() < a.UnixNano() {
		return a
	}
	return b
}

// take takes over what the other sources have seen.
func (w *watched) take(until time.Duration) {
	w.source.catchUp()
	w.mu.Lock()
	w.items = append(w.items, w.said...)
	w.seen = append(w.seen, w.saw...)
	w.said, w.saw = nil, nil
	w.mu.Unlock()
	if w.capture != nil {
		if err := w.capture.catchUp(); err != nil {
			w.failed = err
		}
		for _, p := range w.capture.take(w.begin.Add(min(until, 1<<60) + inAdvance)) {
			w.packet(p)
		}
	} else {
		w.guess(until + inAdvance)
	}
}

// inAdvance is how much later than what is told something may have happened that
// corrects it.
const inAdvance = watchEvery

func (w *watched) packet(p Packet) {
	s, ok := parse(p.Frame)
	if !ok {
		w.note("", fmt.Sprintf("a packet of %d bytes is no TCP segment", p.Length), FromCapture)
		return
	}
	seg := w.decoder.decode(s)
	w.number[addressOf(s, seg.FromClient)] = seg.Conn
	w.passes(w.sinceBegin(p.At), seg, FromCapture, &p)
}

// passes has a segment pass, and both ends go through their states.
func (w *watched) passes(at time.Duration, seg diagram.Segment, source Source, p *Packet) {
	m := w.machines[seg.Conn]
	if m == nil {
		m = newMachine(seg.Conn)
		w.machines[seg.Conn] = m
	}
	for _, d := range m.pass(at, seg) {
		it := item{at: at, rank: aSegment, event: Event{Source: source, Segment: d.Segment, packet: p}}
		if d.State != nil {
			it = item{at: at, rank: aState, event: Event{Source: source, State: d.State}}
		}
		w.items = append(w.items, it)
	}
}

// returnLater corrects when calls returned that strace saw. It says how long a
// call took once it went on from the first stop, and not when that was, so what
// a call received or sent may seem to come later, by some 50 µs: but before the
// same thread makes its next call.
func (w *watched) returnLater(items []item) {
	const most = 10 * time.Millisecond // on a busy machine
	for i := range items {
		it := &items[i]
		if it.phase != Returns || it.account == &w.programs {
			continue
		}
		for _, other := range items[i+1:] {
			if other.at > it.at+most || other.phase == Begins && other.account == it.account && other.call.Actor == it.call.Actor {
				break
			}
			if s := other.event.Segment; s != nil && other.at > it.at && w.concerns(*s, it.call) {
				if w.callsAgain(items[i+1:], it) {
					it.at = other.at + 1
				}
				break
			}
		}
	}
}

// callsAgain says whether the thread makes another call.
func (w *watched) callsAgain(later []item, it *item) bool {
	for _, other := range later {
		if other.phase == Begins && other.account == it.account && other.call.Actor == it.call.Actor {
			return true
		}
	}
	return false
}

// concerns says whether a segment may be what a call returned for, or sent.
func (w *watched) concerns(s diagram.Segment, c *systemCall) bool {
	accepts := strings.HasPrefix(c.Name, "accept")
	inward := receiving(c.Name) || isWait(c.Name) || accepts
	conn := w.number[c.client]
	return s.FromClient == inward && s.Flags != "SYN" && (s.Conn == conn || conn == 0) &&
		(s.Len > 0 || s.Flags != "ACK" || s.Ack == 1)
}

// compare compares the kernel's tables with what the segments and calls say up
// to then: the states are confirmed or contradicted, and the lengths of queues
// are told with what has changed them.
func (w *watched) compare(items []item, until time.Duration) (found []item) {
	for len(w.seen) > 0 && w.seen[0].at <= until+inAdvance {
		found = append(found, w.compareOnce(w.seen[0], items)...)
		w.compared = w.seen[0].at
		w.seen = w.seen[1:]
	}
	return found
}

func (w *watched) compareOnce(t tables, items []item) (found []item) {
	latest := map[end]*diagram.State{} // pending ones, which may be confirmed still
	filled, emptied := map[int]time.Duration{}, map[int]time.Duration{}
	for _, it := range items {
		if it.at > t.at {
			break
		}
		if s := it.event.State; s != nil {
			latest[end{s.Conn, s.Client}] = s
		}
		if it.at <= w.compared || it.at == t.at {
			continue
		}
		switch s, c := it.event.Segment, it.call; {
		case it.event.State != nil && !it.event.State.Client && it.event.State.To == established:
			filled[0] = it.at
		case s != nil && s.FromClient && s.Len > 0:
			filled[s.Conn] = it.at
		case it.phase != Returns || it.account == &w.programs:
		case strings.HasPrefix(c.Name, "accept") && w.number[c.client] > 0:
			emptied[0] = it.at + 1 // after it has returned
		case receiving(c.Name) && c.Result != "0" && w.number[c.client] > 0: // 0: that took the FIN
			emptied[w.number[c.client]] = it.at + 1
		case ringRead.MatchString(c.Result):
			for conn := range w.queues {
				emptied[conn] = max(emptied[conn], it.at+1)
			}
		}
	}
	changes := func(q diagram.Queue) {
		old := w.queues[q.Conn]
		if q.Length == old {
			return
		}
		w.queues[q.Conn] = q.Length
		at := t.at // where no cause was seen
		if cause := filled[q.Conn]; q.Length > old && cause > 0 {
			at = cause
		} else if cause := emptied[q.Conn]; q.Length < old && cause > 0 {
			at = cause
		}
		found = append(found, item{at: at, rank: aState, event: Event{Source: FromTables, Queue: &q}})
	}
	if t.queue >= 0 {
		changes(diagram.Queue{Length: t.queue, Limit: t.limit})
	}
	for client, ends := range t.ends {
		conn := w.number[client]
		if conn == 0 {
			continue
		}
		if ends[theServer].known {
			changes(diagram.Queue{Conn: conn, Length: ends[theServer].unread})
			if n := ends[theServer].unsent; n != w.unsent[conn] {
				w.unsent[conn] = n
				found = append(found, item{at: t.at, rank: aState, event: Event{Source: FromTables, Unsent: &Unsent{conn, n}}})
			}
		}
		for which, e := range ends {
			it := end{conn, which == theClient}
			state := latest[it]
			pending := state != nil
			if !pending {
				state = w.states[it]
			}
			if text := confirm(state, pending, it, e); text != "" && t.settled {
				found = append(found, item{at: t.at, rank: aState, event: Event{Source: FromTables, Note: &diagram.Note{Text: text}}})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b item) int { return cmp.Compare(a.connection(), b.connection()) })
	return found
}

func (it item) connection() int {
	if it.event.Queue != nil {
		return it.event.Queue.Conn
	}
	return 0
}

// ringRead is what io_uring_enter says of bytes that were read; whose they were,
// it does not.
var ringRead = regexp.MustCompile(`\bread \d+ = [1-9]`)

// confirm marks the latest state of one end of a connection, if the kernel's
// table has it in that state and it is not told yet. If the table has another
// one, it says so.
func confirm(latest *diagram.State, pending bool, which end, e endState) (contradiction string) {
	derived, side := closed, "server"
	if latest != nil {
		derived = latest.To
	}
	if which.client {
		side = "client"
	}
	switch {
	case !e.known:
		return ""
	case derived == e.state.String():
		if pending {
			latest.Confirmed = true
		}
		return ""
	}
	return fmt.Sprintf("the kernel has the %s's end of connection %d in %v; by its segments it is in %s", side, which.conn, e.state, derived)
}

// guess concludes which segments there were, where none can be captured.
func (w *watched) guess(until time.Duration) {
	type clue struct {
		at   time.Duration
		take func()
	}
	var clues []clue
	w.programs.mu.Lock()
	defer w.programs.mu.Unlock()
	for _, c := range w.programs.calls {
		g := w.guesses[c.of]
		if g == nil {
			g = &guess{emits: w.guessed(c.of)}
			w.guesses[c.of] = g
		}
		if c.Name == "connect" {
			g.opens = c.begin
		}
		if at := w.sinceBegin(c.end); !c.end.IsZero() && !c.guessed && at <= until { // else the tables say what it has done so far
			clues = append(clues, clue{at, func() {
				c.guessed = true
				g.returned(c)
			}})
		}
	}
	for i, t := range w.seen {
		if t.guessed || t.at > until {
			continue
		}
		w.seen[i].guessed = true
		for _, c := range w.theClients() {
			if g := w.guesses[c]; g != nil {
				ends := t.ends[c.address()]
				clues = append(clues, clue{t.at, func() { g.looked(w.begin.Add(t.at), ends[theClient], ends[theServer]) }})
			}
		}
	}
	slices.SortStableFunc(clues, func(a, b clue) int { return cmp.Compare(a.at, b.at) })
	for _, c := range clues {
		c.take()
	}
}

// guessed takes the segments that are concluded of a client's connection.
func (w *watched) guessed(c *client) func(at time.Time, s diagram.Segment) {
	return func(at time.Time, s diagram.Segment) {
		number := w.number[c.address()]
		if number == 0 {
			w.decoder.count++
			number = w.decoder.count
			w.number[c.address()] = number
		}
		s.Conn = number
		w.passes(w.sinceBegin(at), s, Concluded, nil)
	}
}
