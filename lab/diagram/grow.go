package diagram

import (
	"bufio"
	"io"
	"slices"
	"strings"

	"socketlab/lab/text"
)

// A Growing diagram is drawn as text while things happen. Who is in it changes
// as they come and go, and with each change the names are written anew.
type Growing struct {
	style  Style
	out    *bufio.Writer
	p      *planner
	legend []string
	tally  tally
}

// A Beat is what happens at a place in the order of time: an event, or the
// return of a call that began earlier.
type Beat struct {
	Event
	Returns bool
	ID      int // of the call
}

// Grow begins a diagram with a title.
func Grow(w io.Writer, s Style, title string) *Growing {
	if s.Width == 0 {
		s.Width = 80
	}
	s.Width = max(s.Width, 40)
	g := &Growing{style: s, out: bufio.NewWriter(w)}
	g.p = &planner{plan: plan{width: s.Width}}
	for _, line := range text.Wrap(text.Cells(title, s.ASCII), s.Width) {
		d := g.page()
		d.emit(d.line().write(0, line, bold))
	}
	return g
}

func (g *Growing) page() page { return page{g.p.plan, g.style, g.out} }

// Columns are the actors from now on, and whose each connection is. There is a
// server's kernel among them, and a client. Those who are idle together share a
// column.
func (g *Growing) Columns(actors []Actor, idle [][]Actor, client map[int]string) {
	old := g.p
	actors = slices.Clone(actors)
	var members []Actor
	for _, group := range idle {
		all := group[0]
		all.Name = together(namesOf(group))
		actors, members = append(actors, all), append(members, group...)
	}
	g.p = &planner{
		Trace: Trace{Actors: actors}.shown(g.style.ASCII), plan: plan{width: g.style.Width},
		merged: true, client: client, conns: map[string]int{},
	}
	p := g.p
	p.findColumns((p.width - leastGap - leastLast) / leastWidth)
	for _, group := range idle {
		at := p.place[group[0].ID]
		p.columns[at].folded = true
		for _, a := range group {
			p.place[a.ID] = at
		}
	}
	p.Actors = slices.Concat(Trace{Actors: members}.shown(g.style.ASCII).Actors, p.Actors) // by their own names
	p.rows = p.typical()
	p.spread(p.width, 0)
	p.rows = nil
	for id, at := range old.place {
		if now, stays := p.place[id]; stays && !p.columns[now].folded && !old.columns[at].folded {
			p.life[now] = old.life[at]
		}
	}
	for _, calls := range old.open {
		for _, o := range calls {
			if now, stays := p.place[o.actor]; stays {
				p.open[now] = append(p.open[now], o)
			}
		}
	}
	g.page().emit(nil)
	g.page().header()
}

// typical rows decide how wide the columns are, since nobody knows what will
// come.
func (p *planner) typical() (rows []row) {
	kernel := slices.IndexFunc(p.columns, func(c column) bool { return c.kind == ServerKernel })
	hello := Segment{Flags: "PSH+ACK", Seq: 10, Ack: 10, Len: 6, Data: []byte("hello\n")}
	rows = append(rows, row{
		arrow:  &arrow{Segment: hello, from: max(kernel-1, 0), to: kernel},
		labels: []label{{kernel, "state", "ESTABLISHED", false}},
	})
	for i := kernel + 1; i < len(p.columns); i++ {
		text := "accept(3) = 4"
		if i == len(p.columns)-1 {
			text = `write(4, "hello\n") = 6 bytes`
		}
		rows = append(rows, row{labels: []label{{i, "call", text, false}}})
	}
	return rows
}

// mostRows are drawn at once: of more, nobody could follow the middle.
const mostRows = 150

// Draw draws what has happened since the last time. All whom it is about have
// a column.
func (g *Growing) Draw(beats []Beat) error {
	for _, b := range beats {
		g.tally.add(b.Event)
	}
	moments := g.moments(beats)
	for _, m := range moments {
		if l := m.event.Life; l != nil && l.Event == "begins" {
			if at, known := g.p.place[l.Actor]; known && !g.p.columns[at].folded {
				g.p.life[at] = absent // until then
			}
		}
	}
	from, to := len(moments), len(moments)
	if len(moments) > mostRows {
		from, to = mostRows/2, len(moments)-mostRows/2
	}
	var left gap
	rows := 0
	for i := 0; i < len(moments); i++ {
		if i == from {
			rows = len(g.p.rows)
		}
		if m := moments[i]; i >= from && i < to && !m.returns {
			left.add(m.event)
		}
		if g.add(moments, i) {
			i++
		}
		if i+1 >= to && left.text() != "" {
			g.p.rows = g.p.rows[:rows]
			g.p.add(moment{at: left.at, event: Event{Note: &Note{Text: left.text()}}}, false)
			left = gap{}
		}
	}
	d := g.page()
	for _, r := range g.p.rows {
		d.row(r)
	}
	for _, word := range g.p.legend() {
		if !slices.Contains(g.legend, word) {
			g.legend = append(g.legend, word)
		}
	}
	g.p.rows = nil
	for _, calls := range g.p.open {
		for i := range calls {
			calls[i].row = -mostRows // what is printed is far away
		}
	}
	return g.out.Flush()
}

// add plans a moment, and reports whether it has planned the next one too: the
// return of the call that begins.
func (g *Growing) add(moments []moment, i int) (both bool) {
	m := moments[i]
	if i+1 < len(moments) {
		next := moments[i+1]
		both = m.event.Call != nil && !m.returns && next.returns && next.index == m.index && !m.event.Call.Slept
	}
	g.p.add(m, both)
	return both
}

func (g *Growing) moments(beats []Beat) (all []moment) {
	var t Trace
	for _, b := range beats {
		t.Events = append(t.Events, b.Event)
	}
	for i, e := range t.shown(g.style.ASCII).Events {
		m := moment{at: e.At, event: e, returns: beats[i].Returns}
		if e.Call != nil {
			m.index = beats[i].ID
		}
		all = append(all, m)
	}
	return all
}

// Close ends the diagram with what the signs mean, and how it was seen:
// t says that, its events do not matter.
func (g *Growing) Close(t Trace) error {
	t = t.shown(g.style.ASCII)
	d := g.page()
	d.emit(nil)
	lines := t.footerOf(g.tally)
	if len(g.legend) > 0 {
		lines = append([]string{strings.Join(g.legend, "   ")}, lines...)
	}
	for _, line := range lines {
		for i, part := range text.Wrap(line, g.style.Width-2) {
			d.emit(d.line().write(min(i, 1)*2, part, ""))
		}
	}
	return g.out.Flush()
}
