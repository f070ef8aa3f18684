package diagram

import (
	"slices"

	"socketlab/lab/text"
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
	terse  bool           // nothing is said of a call that returns
	guests int            // clients that have columns before all others; 0: as many as is fair
}

type open struct {
	index int // in Trace.Events
	row   int // where it began
	slept bool
	actor string
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
	return p.draw(margin)
}

// beside is layout for one of several, in few characters: clients have columns
// of their own before the server's threads have.
func (t Trace) beside(width int) plan { return t.narrow(width, false) }

// terse is beside without the results of calls.
func (t Trace) terse(width int) plan { return t.narrow(width, true) }

func (t Trace) narrow(width int, terse bool) plan {
	p := &planner{Trace: t, plan: plan{width: width}, terse: terse}
	p.findClients()
	for _, a := range p.Actors {
		if a.Kind == ClientProgram && p.guests < 3 {
			p.guests++
		}
	}
	p.merged = true
	for i, a := range p.Actors {
		if a.Kind == ServerKernel {
			p.Actors[i].Name = "kernel"
		}
	}
	p.findColumns(p.guests + max(1, (width-leastGap-leastLast-leastWidth*p.guests)/(2*leastWidth)))
	return p.draw(0)
}

func (p *planner) draw(margin int) plan {
	moments := p.Trace.moments()
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
	p.spread(p.width, margin)
	return p.plan
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
	case e.Call != nil && m.returns && p.terse:
		p.returns(m)
		if n := len(p.rows); n > 0 && p.rows[n-1].silent() { // so that its bar ends here
			p.rows[n-1].lanes = p.lanes()
		} else {
			p.rows = append(p.rows, row{at: m.at, lanes: p.lanes()})
		}
		return
	case e.Call != nil && m.returns:
		say(p.returns(m))
	case e.Call != nil:
		at, prefix := p.of(e.Call.Actor)
		if p.life[at] == absent { // nobody has said that it begins
			p.life[at] = idle
			name := label{at, "life", p.columns[at].name, false}
			p.rows = append(p.rows, row{at: m.at, lanes: p.lanes(), labels: []label{name}})
		}
		text := prefix + e.Call.begins()
		if atOnce {
			quick, text = at, text+" = "+e.Call.Result
		} else {
			p.open[at] = append(p.open[at], open{m.index, len(p.rows), e.Call.Slept, e.Call.Actor})
		}
		if p.terse && p.besideArrow(label{at, "call", text, false}) {
			return
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
			if text = "not accepted (" + text + ")"; e.Queue.Seats != "" {
				text = e.Queue.text()
			}
		}
		if e.Queue.Conn == 0 {
			p.queue = e.Queue.Length
		}
		at := p.end(e.Queue.Conn, false)
		if p.terse {
			r.labels = []label{{at, "queue", e.Queue.short(), true}}
			break
		}
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

// besideArrow puts what a thread of the server's begins beside the arrow above,
// if nothing stands there.
func (p *planner) besideArrow(l label) bool {
	i := len(p.rows) - 1
	if i > 0 && p.rows[i].silent() {
		i--
	}
	room := 24
	if p.width < 45 {
		room = 8
	}
	if i < 0 || p.rows[i].arrow == nil || len(p.rows[i].labels) > 0 || p.columns[l.column].kind != ServerThread || text.Width(l.text) > room {
		return false
	}
	p.rows = p.rows[:i+1]
	p.rows[i].labels, p.rows[i].lanes = []label{l}, p.lanes()
	return true
}

// silent rows only change what columns do.
func (r row) silent() bool { return r.arrow == nil && len(r.labels) == 0 }

// returns closes a call. Far from its beginning, or beside another one, the
// result says whose it is.
func (p *planner) returns(m moment) (at int, kind, words string) {
	at, prefix := p.of(m.event.Call.Actor)
	words = "= " + m.event.Call.Result
	i := slices.IndexFunc(p.open[at], func(o open) bool { return o.index == m.index })
	if i < 0 || len(p.open[at]) > 1 || len(p.rows)-p.open[at][i].row > 6 {
		words = m.event.Call.Name + " " + words
	}
	if i >= 0 {
		p.open[at] = slices.Delete(p.open[at], i, i+1)
	}
	return at, "call", prefix + words
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
	case "begins", "begin":
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
