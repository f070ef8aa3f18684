package diagram

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A moment is a place in the order of time. A call has two: it begins, and it
// returns.
type moment struct {
	at      time.Duration
	event   Event
	index   int // in Trace.Events
	returns bool
}

// moments puts the returns of the calls among the events. Of what is said to
// have happened at the same time, a return comes last: it is the effect.
func (t Trace) moments() []moment {
	var all []moment
	for i, e := range t.Events {
		all = append(all, moment{e.At, e, i, false})
		if c := e.Call; c != nil && c.Result != "" && c.Took == 0 {
			all = append(all, moment{e.At, e, i, true})
		}
	}
	for i, e := range t.Events {
		if c := e.Call; c != nil && c.Result != "" && c.Took > 0 {
			all = append(all, moment{e.At + c.Took, e, i, true})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	return all
}

// A plan is a drawing in characters: which columns stand where, and what each
// row shows. Text and SVG draw the same plan.
type plan struct {
	width   int // as many as there are
	used    int // as many as the columns take
	columns []column
	rows    []row
}

type column struct {
	name   string
	kind   ActorKind
	late   bool // it begins while the scene runs
	folded bool // it stands for several actors
	x      int  // of its line
	width  int  // to the next line
}

// A row is one moment. What follows at once from a segment stands beside it.
type row struct {
	at     time.Duration
	lanes  []lane // how each column goes on from here
	arrow  *arrow
	labels []label // one for each column at most
}

type arrow struct {
	Segment
	from, to int    // columns
	which    string // the connection, if it is not plain
}

// texts name the connection first. Where there is no room for that, they end
// with a mark.
func (a arrow) texts() (texts []string) {
	all := a.Segment.texts()
	for _, text := range all {
		texts = append(texts, a.which+text)
	}
	for _, text := range all {
		texts = append(texts, strings.TrimSuffix(text, "…")+"…")
	}
	return texts
}

type label struct {
	column int // -1: of nobody
	kind   string
	text   string
	left   bool // it stands left of its line, because an arrow is on the right
}

// A lane is what an actor is doing between a row and the next.
type lane int

const (
	absent lane = iota // not there yet, or no more
	idle               // not in a call that is known
	busy               // in a call, and running
	brief              // in a call that returned before anything else happened
	asleep             // in a call, waiting
	zombie             // ended, and not collected
)

// A planner goes through the moments and remembers who is doing what.
type planner struct {
	Trace
	plan
	merged bool           // TCP on the clients' side has no column of its own
	place  map[string]int // an actor's column
	client map[int]string // a connection's client
	conns  map[string]int // how many connections a client has
	open   [][]open       // by column: calls that have not returned
	life   []lane         // by column: what it does outside of calls
	queue  int            // length of the accept queue
}

type open struct {
	index int // in Trace.Events
	row   int // where it began
	slept bool
}

const (
	leastWidth = 4  // of a column
	leastGap   = 16 // left of the server's kernel: an arrow with its flags
	leastLast  = 10 // of the last column, right of which is nothing
)

// layout draws a trace, made harmless, in so many characters. The margin is
// left free.
func (t Trace) layout(width, margin int) plan {
	p := &planner{Trace: t, plan: plan{width: width}}
	p.findClients()
	p.findColumns((width - margin - leastGap - leastLast) / leastWidth)
	moments := t.moments()
	for i := 0; i < len(moments); i++ {
		m, atOnce := moments[i], false
		if i+1 < len(moments) {
			next := moments[i+1]
			atOnce = next.returns && next.index == m.index && !m.event.Call.Slept
		}
		p.add(m, atOnce)
		if atOnce {
			i++
		}
	}
	p.spread(width, margin)
	return p.plan
}

// findClients decides whose a connection is: the client's who made a call on
// it, or else the one's with its number.
func (p *planner) findClients() {
	var clients []string
	kinds := map[ActorKind]bool{}
	for _, a := range p.Actors {
		kinds[a.Kind] = true
		if a.Kind == ClientProgram {
			clients = append(clients, a.ID)
		}
	}
	if !kinds[ClientProgram] {
		p.Actors = append(p.Actors, Actor{"client", "client", ClientProgram})
		clients = []string{"client"}
	}
	if !kinds[ServerKernel] {
		p.Actors = append(p.Actors, Actor{"kernel/server", "kernel", ServerKernel})
	}
	p.merged = len(clients) > 1 || p.width < 100
	p.client, p.conns = map[int]string{}, map[string]int{}
	claim := func(conn int, id string) {
		if conn > 0 && p.client[conn] == "" {
			p.client[conn] = id
			p.conns[id]++
		}
	}
	for _, e := range p.Events {
		if c := e.Call; c != nil && slices.Contains(clients, c.Actor) {
			claim(c.Conn, c.Actor)
		}
	}
	for _, e := range p.Events {
		if conn := e.conn(); conn > 0 {
			claim(conn, clients[min(conn, len(clients))-1])
		}
	}
}

// findColumns gives every actor its column, at most so many to clients and
// threads: beyond, the last one stands for all that are left.
func (p *planner) findColumns(most int) {
	order := []ActorKind{ClientProgram, ClientKernel, ServerKernel, ServerThread}
	slices.SortStableFunc(p.Actors, func(a, b Actor) int {
		return slices.Index(order, a.Kind) - slices.Index(order, b.Kind)
	})
	all, room := map[ActorKind]int{}, map[ActorKind]int{}
	for _, a := range p.Actors {
		all[a.Kind]++
	}
	most = max(most, 2)
	if clients, threads := all[ClientProgram], all[ServerThread]; clients+threads > most {
		fair := max(1, min(most-1, most*clients/(clients+threads)))
		room[ClientProgram], room[ServerThread] = fair, most-fair
	}
	late := map[string]bool{}
	for _, e := range p.Events {
		if e.Life != nil && e.Life.Event == "begins" {
			late[e.Life.Actor] = true
		}
	}
	p.place = map[string]int{}
	seen := map[ActorKind]int{}
	for _, a := range p.Actors {
		seen[a.Kind]++
		last := len(p.columns) - 1
		switch n := seen[a.Kind]; {
		case a.Kind == ClientKernel && p.merged,
			a.Kind == ServerKernel && n > 1, a.Kind == ClientKernel && n > 1:
			continue // its events stand beside the client, or the first
		case room[a.Kind] > 0 && n > room[a.Kind]:
			p.columns[last].folded = true
			p.columns[last].late = false
			p.columns[last].name = count(all[a.Kind]-room[a.Kind]+1, "more", "more")
			p.life[last] = idle
		default:
			p.columns = append(p.columns, column{name: a.Name, kind: a.Kind, late: late[a.ID]})
			p.open = append(p.open, nil)
			p.life = append(p.life, idle)
			last++
			if late[a.ID] {
				p.life[last] = absent
			}
		}
		p.place[a.ID] = last
	}
}

// end is the column of one end of a connection.
func (p *planner) end(conn int, client bool) int {
	kind := ServerKernel
	if client && p.merged {
		return p.place[p.client[conn]]
	} else if client {
		kind = ClientKernel
	}
	i := slices.IndexFunc(p.columns, func(c column) bool { return c.kind == kind })
	if i < 0 {
		return p.place[p.client[conn]]
	}
	return i
}

// of is the actor's column, and what to call it in a column of several.
func (p *planner) of(id string) (at int, prefix string) {
	at, found := p.place[id]
	if !found { // a kernel without a column
		at = p.end(0, false)
	}
	if p.columns[at].folded {
		prefix = p.name(id) + ": "
	}
	return at, prefix
}

func (p *planner) name(id string) string {
	if i := slices.IndexFunc(p.Actors, func(a Actor) bool { return a.ID == id }); i >= 0 {
		return p.Actors[i].Name
	}
	return clean(id, true)
}

// which tells connections apart, where there are several: whose it is, in the
// kernels' columns, and which one, if a client has more than one.
func (p *planner) which(conn, at int) string {
	switch id := p.client[conn]; {
	case conn == 0 || len(p.client) < 2:
		return ""
	case p.columns[at].kind == ClientProgram && !p.columns[at].folded:
		if p.conns[id] > 1 {
			return "#" + strconv.Itoa(conn) + ": "
		}
		return ""
	case p.conns[id] > 1:
		return p.name(id) + " #" + strconv.Itoa(conn) + ": "
	default:
		return p.name(id) + ": "
	}
}

func (p *planner) add(m moment, atOnce bool) {
	r := row{at: m.at}
	say := func(column int, kind, text string) { r.labels = []label{{column, kind, text, false}} }
	quick := -1
	switch e := m.event; {
	case e.Segment != nil:
		s := e.Segment
		from, to := p.end(s.Conn, s.FromClient), p.end(s.Conn, !s.FromClient)
		r.arrow = &arrow{*s, from, to, p.which(s.Conn, p.end(s.Conn, true))}
	case e.Call != nil && m.returns:
		say(p.returns(m))
	case e.Call != nil:
		at, prefix := p.of(e.Call.Actor)
		text := prefix + e.Call.begins()
		if atOnce {
			quick, text = at, text+" = "+e.Call.Result
		} else {
			p.open[at] = append(p.open[at], open{m.index, len(p.rows), e.Call.Slept})
		}
		say(at, "call", text)
	case e.State != nil:
		at := p.end(e.State.Conn, e.State.Client)
		if p.joins(label{at, "state", e.State.To, false}, e.State.Conn) {
			return
		}
		say(at, "state", p.which(e.State.Conn, at)+e.State.To)
	case e.Queue != nil:
		text := e.Queue.text()
		if e.Queue.Conn == 0 && e.Queue.Length > p.queue {
			text = "not accepted (" + text + ")"
		}
		if e.Queue.Conn == 0 {
			p.queue = e.Queue.Length
		}
		at := p.end(e.Queue.Conn, false)
		if p.joins(label{at, "queue", text, false}, e.Queue.Conn) {
			return
		}
		say(at, "queue", p.which(e.Queue.Conn, at)+text)
	case e.Life != nil:
		at, prefix := p.of(e.Life.Actor)
		if prefix == "" {
			p.live(at, m)
			if e.Life.Event != "reaped" {
				prefix = p.name(e.Life.Actor) + " "
			}
		}
		say(at, "life", prefix+e.Life.text(p.name))
	case e.Note != nil && e.Note.Actor == "":
		say(-1, "note", "("+e.Note.Text+")")
	case e.Note != nil:
		at, prefix := p.of(e.Note.Actor)
		say(at, "note", prefix+"("+e.Note.Text+")")
	}
	r.lanes = p.lanes()
	if quick >= 0 && r.lanes[quick] == idle {
		r.lanes[quick] = brief
	}
	p.rows = append(p.rows, r)
}

// returns closes a call. Far from its beginning, or beside another one, the
// result says whose it is.
func (p *planner) returns(m moment) (at int, kind, text string) {
	at, prefix := p.of(m.event.Call.Actor)
	text = "= " + m.event.Call.Result
	i := slices.IndexFunc(p.open[at], func(o open) bool { return o.index == m.index })
	if i < 0 || len(p.open[at]) > 1 || len(p.rows)-p.open[at][i].row > 6 {
		text = m.event.Call.Name + " " + text
	}
	if i >= 0 {
		p.open[at] = slices.Delete(p.open[at], i, i+1)
	}
	return at, "call", prefix + text
}

// joins puts what follows at once from a segment beside its arrow: a state of
// the same connection, or the length of a queue. That needs a side of the
// kernel's line where no arrow is.
func (p *planner) joins(l label, conn int) bool {
	i := len(p.rows) - 1
	for i > 0 && p.rows[i].arrow == nil && p.rows[i].labels[0].kind == "state" {
		i-- // the other end's state follows from the same segment
	}
	if i < 0 || p.columns[l.column].kind == ClientProgram {
		return false
	}
	r := &p.rows[i]
	if r.arrow == nil || conn > 0 && r.arrow.Conn != conn {
		return false
	}
	l.left = p.columns[l.column].kind == ClientKernel
	for i := range r.labels {
		if r.labels[i].column == l.column {
			r.labels[i].text += ", " + l.text
			return true
		}
	}
	r.labels = append(r.labels, l)
	return true
}

// live begins or ends a column. What has ended stays behind as a zombie until
// it is collected: a process, which has an exit status.
func (p *planner) live(at int, m moment) {
	l := m.event.Life
	switch l.Event {
	case "begins":
		p.life[at] = idle
	case "ends":
		p.open[at], p.life[at] = nil, absent
		if l.How != "" || slices.ContainsFunc(p.Events[m.index:], func(e Event) bool {
			return e.Life != nil && e.Life.Event == "reaped" && e.Life.Actor == l.Actor
		}) {
			p.life[at] = zombie
		}
	case "reaped":
		p.open[at], p.life[at] = nil, absent
	}
}

func (p *planner) lanes() []lane {
	lanes := slices.Clone(p.life)
	for i, calls := range p.open {
		if len(calls) > 0 {
			lanes[i] = busy
		}
		if slices.ContainsFunc(calls, func(o open) bool { return o.slept }) {
			lanes[i] = asleep
		}
	}
	return lanes
}

// A keep is how narrow columns become before the next keep is tried. Labels
// may run across lines, so most columns can do with little; but an arrow ends
// where it ends, and right of the last column there is nothing.
type keep struct{ any, arrow, kernel, last int }

var keeps = []keep{{12, 44, 30, 30}, {12, 36, 16, 16}, {leastWidth, leastGap, leastWidth, leastLast}}

func (k keep) of(i, kernel, last int) int {
	switch i {
	case last:
		return k.last
	case kernel:
		return k.kernel
	case kernel - 1:
		return k.arrow
	}
	return k.any
}

// spread gives each column the width that it would like to have, and takes
// from the widest while that is too much.
func (p *planner) spread(width, margin int) {
	const most = 44
	last := len(p.columns) - 1
	kernel := slices.IndexFunc(p.columns, func(c column) bool { return c.kind == ServerKernel })
	for i := range p.columns {
		c := &p.columns[i]
		if !c.late {
			c.width = length(c.name) + 2
		}
		c.width = max(c.width, leastWidth)
	}
	for _, r := range p.rows {
		for _, l := range r.labels {
			if l.column < 0 {
				continue
			}
			c := &p.columns[l.column]
			if l.left {
				c = &p.columns[l.column-1]
			}
			c.width = max(c.width, min(most, length(l.text)+4))
		}
	}
	for _, r := range p.rows {
		if r.arrow != nil {
			from, to := min(r.arrow.from, r.arrow.to), max(r.arrow.from, r.arrow.to)
			need := length(r.arrow.texts()[0]) + 8
			for _, c := range p.columns[from : to-1] {
				need -= c.width
			}
			p.columns[to-1].width = max(p.columns[to-1].width, need)
		}
	}
	sum := margin
	for _, c := range p.columns {
		sum += c.width
	}
	for _, keep := range keeps {
		for ; sum > width; sum-- {
			widest := -1
			for i, c := range p.columns {
				if c.width > keep.of(i, kernel, last) && (widest < 0 || c.width > p.columns[widest].width) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			p.columns[widest].width--
		}
	}
	x := margin
	for i := range p.columns {
		c := &p.columns[i]
		c.x = x
		c.name = shorten(c.name, width-x)
		x += c.width
	}
	p.used = min(width, x)
}

// levels says how high above the first row each name stands, so that it does
// not run across the line of a column to its right. Columns that begin later
// have their names there: -1.
func (p plan) levels() (level []int, most int) {
	level = make([]int, len(p.columns))
	for i := len(p.columns) - 1; i >= 0; i-- {
		if p.columns[i].late {
			level[i] = -1
			continue
		}
		end := p.columns[i].x + length(p.columns[i].name) + 1
		for j := i + 1; j < len(p.columns) && p.columns[j].x < end; j++ {
			level[i] = max(level[i], level[j]+1)
		}
		most = max(most, level[i])
	}
	return level, most
}

// fit is the longest text that the arrow has room for.
func (p plan) fit(a *arrow, frame int) string {
	room := p.columns[a.from].x - p.columns[a.to].x
	room = max(room, -room) - 1 - frame
	texts := a.texts()
	for _, text := range texts {
		if length(text) <= room {
			return text
		}
	}
	return texts[len(texts)-1]
}

// put says where a label stands, in one line or several: right of its line if
// there is room, even across other lines; or else left of it.
func (p plan) put(r row, l label) (x int, lines []string) {
	n := length(l.text)
	if l.column < 0 {
		lines = wrap(l.text, p.used-2)
		return (p.used - longest(lines)) / 2, lines
	}
	at := p.columns[l.column].x
	left, right := at-1, p.width-at-2
	switch {
	case l.left, n > right && r.arrow == nil && (n <= left || left > right):
		lines = wrap(l.text, left)
		return at - 1 - longest(lines), lines
	default:
		return at + 2, wrap(l.text, right)
	}
}

// wrap breaks a text at spaces into lines of at most so many characters, and
// a word that is longer than that wherever it must.
func wrap(text string, width int) (lines []string) {
	width = max(width, 1)
	for length(text) > width {
		runes := []rune(text)
		cut := width
		for i := width; i > width/2; i-- {
			if runes[i] == ' ' {
				cut = i
				break
			}
		}
		lines = append(lines, string(runes[:cut]))
		text = strings.TrimLeft(string(runes[cut:]), " ")
	}
	return append(lines, text)
}

// shorten leaves out the middle: names often differ at the end.
func shorten(name string, most int) string {
	runes := []rune(name)
	if len(runes) <= most {
		return name
	}
	return string(runes[:most/2]) + "…" + string(runes[len(runes)-(most-1)/2:])
}

func longest(lines []string) (n int) {
	for _, line := range lines {
		n = max(n, length(line))
	}
	return n
}

func length(s string) int { return utf8.RuneCountInString(s) }
