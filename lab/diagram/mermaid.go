package diagram

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"socketlab/lab/text"
)

// Mermaid writes the trace as a Mermaid sequence diagram, which GitHub draws.
// Solid arrows between kernels are segments, and those between a program and
// its kernel are calls; a program that sleeps in a call is activated. What is
// dashed was not seen.
func (t Trace) Mermaid(w io.Writer) error {
	if err := t.check(); err != nil {
		return err
	}
	t = t.shown(false).folded()
	m := mermaid{planner: planner{Trace: t, plan: plan{width: pictureWidth}}, out: bufio.NewWriter(w), side: "a"}
	m.findClients()
	m.findColumns(len(m.Actors) + 2)
	m.say("sequenceDiagram")
	m.say("    accTitle: %s", strings.ReplaceAll(entities(t.title()), "<br/>", " "))
	for i, c := range m.columns {
		m.say("    participant a%d as %s", i, entities(c.name))
	}
	for moments := t.moments(); len(moments) > 0; {
		moments = moments[m.next(moments):]
	}
	over := "a0"
	if last := len(m.columns) - 1; last > 0 {
		over = fmt.Sprintf("a0,a%d", last)
	}
	var lines []string
	for _, line := range t.footer() {
		lines = append(lines, entities(line))
	}
	m.say("    Note over %s: %s", over, strings.Join(lines, "<br/>"))
	return m.out.Flush()
}

type mermaid struct {
	planner
	out  *bufio.Writer
	side string // a letter that the names of its columns begin with
}

// next writes the first moment, and the second too if it is the return of a call
// that did not sleep: one arrow. It returns how many it has written.
func (m *mermaid) next(moments []moment) int {
	c := moments[0].event.Call
	if c != nil && !c.Slept && len(moments) > 1 && moments[1].returns && moments[1].index == moments[0].index {
		m.call(c, c.begins()+" = "+c.Result)
		return 2
	}
	m.moment(moments[0])
	return 1
}

func (m *mermaid) column(at int) string { return fmt.Sprintf("%s%d", m.side, at) }

func (m *mermaid) say(format string, args ...any) { fmt.Fprintf(m.out, format+"\n", args...) }

func (m *mermaid) moment(now moment) {
	switch e := now.event; {
	case e.Segment != nil:
		s, way := e.Segment, "->>"
		if s.Inferred {
			way = "-->>"
		}
		from, to := m.end(s.Conn, s.FromClient), m.end(s.Conn, !s.FromClient)
		m.say("    %s%s%s: %s", m.column(from), way, m.column(to), entities(m.which(s.Conn, m.end(s.Conn, true))+s.texts()[0]))
	case e.Call != nil && now.returns:
		at, _ := m.of(e.Call.Actor)
		m.say("    %s->>%s: %s", m.column(m.kernel(at)), m.column(at), entities(e.Call.Name+" = "+e.Call.Result))
		if e.Call.Slept {
			m.say("    deactivate %s", m.column(at))
		}
	case e.Call != nil:
		m.call(e.Call, e.Call.begins())
		if at, _ := m.of(e.Call.Actor); e.Call.Slept {
			m.say("    activate %s", m.column(at))
		}
	case e.State != nil:
		at := m.end(e.State.Conn, e.State.Client)
		m.note(at, m.which(e.State.Conn, at)+e.State.To)
	case e.Queue != nil:
		at, text := m.end(e.Queue.Conn, false), e.Queue.text()
		if e.Queue.Conn == 0 {
			text = "accept " + text
		}
		m.note(at, m.which(e.Queue.Conn, at)+text)
	case e.Life != nil:
		at, _ := m.of(e.Life.Actor)
		m.note(at, e.Life.text(m.name))
	case e.Note != nil && e.Note.Actor == "":
		m.say("    Note over %s,%s: %s", m.column(0), m.column(len(m.columns)-1), entities("("+e.Note.Text+")"))
	case e.Note != nil:
		at, _ := m.of(e.Note.Actor)
		m.note(at, "("+e.Note.Text+")")
	}
}

// call is an arrow from a program to its kernel.
func (m *mermaid) call(c *Call, text string) {
	at, _ := m.of(c.Actor)
	m.say("    %s->>%s: %s", m.column(at), m.column(m.kernel(at)), entities(text))
}

func (m *mermaid) note(at int, text string) {
	m.say("    Note over %s: %s", m.column(at), entities(text))
}

// kernel is the column of a program's kernel, or its own if that is drawn as
// one with it.
func (m *mermaid) kernel(at int) int {
	want := map[ActorKind]ActorKind{ServerThread: ServerKernel, ClientProgram: ClientKernel}[m.columns[at].kind]
	for i, c := range m.columns {
		if c.kind == want {
			return i
		}
	}
	return at
}

// entities writes all that might mean something to Mermaid, Markdown or HTML
// as an entity code: Mermaid, "Entity codes to escape characters". The word
// end would close a block. What is long gets several lines.
func entities(s string) string {
	var b strings.Builder
	for i, line := range text.Wrap(s, 72) {
		if i > 0 {
			b.WriteString("<br/>")
		}
		if strings.EqualFold(strings.TrimSpace(line), "end") {
			b.WriteString("#8203;") // no width
		}
		for _, r := range line {
			switch {
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r > 0x7f,
				strings.ContainsRune(" .,=+()_/!?'-", r):
				b.WriteRune(r)
			default:
				fmt.Fprintf(&b, "#%d;", r)
			}
		}
	}
	return b.String()
}
