package diagram

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// JSON writes the sides as they are, with what the clients do in each step.
func (s Sides) JSON(w io.Writer) error {
	if err := s.check(); err != nil {
		return err
	}
	traces := make([]Trace, len(s))
	for i, t := range s {
		t.Missing, t.Actors, t.Events = some(t.Missing), some(t.Actors), some(t.Events)
		traces[i] = t
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(struct {
		Schema  string   `json:"schema"`
		Scene   string   `json:"scene"`
		Actions []string `json:"actions"`
		Traces  []Trace  `json:"traces"`
	}{SidesSchema, s[0].Scene, s.actions(), traces})
}

// Mermaid writes the sides as one sequence diagram with a box for each server.
// Mermaid draws one thing after the other, so what follows from an action is
// there for one server, and then for the next.
func (s Sides) Mermaid(w io.Writer) error {
	if err := s.check(); err != nil {
		return err
	}
	s = s.shown(false)
	out := bufio.NewWriter(w)
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	say("sequenceDiagram")
	say("    accTitle: %s", strings.ReplaceAll(entities(s.title()), "<br/>", " "))
	all := make([]*mermaid, len(s))
	at := make([]int, len(s))
	moments := make([][]moment, len(s))
	last := ""
	for i, t := range s {
		m := &mermaid{planner: planner{Trace: t.compared().folded(), plan: plan{width: pictureWidth}}, out: out, side: string(rune('a' + i))}
		m.findClients()
		m.findColumns(len(m.Actors) + 2)
		say("    box %s", entities(t.Subject))
		for j, c := range m.columns {
			last = fmt.Sprintf("%s%d", m.side, j)
			say("    participant %s as %s", last, entities(c.name))
		}
		say("    end")
		all[i], moments[i] = m, m.Trace.moments()
	}
	for step, title := range s.actions() {
		if title != "" {
			say("    Note over a0,%s: %s", last, entities(title))
		}
		for i, m := range all {
			for at[i] < len(moments[i]) && moments[i][at[i]].step <= step {
				at[i] += m.next(moments[i][at[i]:])
			}
		}
	}
	var lines []string
	for _, line := range s.summary(leftOut) {
		lines = append(lines, entities(line))
	}
	say("    Note over a0,%s: %s", last, strings.Join(lines, "<br/>"))
	return out.Flush()
}
