package diagram

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"socketlab/lab/records"
	"socketlab/lab/text"
)

// Style says how to draw for people.
type Style struct {
	Color bool // the signs mean the same without
	Width int  // columns of the terminal, at least 40; 0: 80
	ASCII bool // for terminals without UTF-8
	Times bool // the time since the scene began, beside each row
}

// The pieces of a diagram that are words are the same in all formats.

func (c Call) begins() string { return c.Name + "(" + c.Args + ")" }

// texts are what stands on a segment's arrow, from all there is to say to the
// least. What leaves something out ends with a mark of omission.
func (s Segment) texts() []string {
	head := s.Flags
	if s.Inferred {
		head = "inferred " + head
	}
	if s.Retransmit {
		head += " again"
	}
	switch again := strings.TrimPrefix(head, s.Flags); {
	case s.Dropped:
		return []string{numbers(s, head) + ": dropped", "SYN: dropped", "SYN…"}
	case s.Label == handshake:
		return []string{handshake, "handshake", "opens…", "…"}
	case s.Label == dataOnly && len(s.Data) > 0:
		return []string{quote(s.Data, s.Len, 32) + again, quote(s.Data, s.Len, 16), quote(s.Data, s.Len, 8), "…"}
	case s.Label == dataOnly:
		return []string{text.Count(s.Len, "byte", "bytes") + again, "…"}
	case s.Label != "":
		return []string{s.Label + again, s.Label, "…"}
	}
	numbers := numbers(s, head)
	if s.Len == 0 {
		return []string{numbers, head + "…", s.Flags + "…"}
	}
	length := fmt.Sprintf(" len=%d", s.Len)
	if len(s.Data) == 0 { // nobody saw it
		return []string{numbers + length, head + length + "…", s.Flags + "…"}
	}
	if len(s.Records) > 0 {
		return s.secured(head, numbers+length)
	}
	return []string{
		numbers + length + " " + quote(s.Data, s.Len, 32),
		numbers + length + " " + quote(s.Data, s.Len, 16),
		numbers + length + " " + quote(s.Data, s.Len, 8),
		head + "…" + length + " " + quote(s.Data, s.Len, 16),
		head + "…" + length + " " + quote(s.Data, s.Len, 8),
		head + "… " + quote(s.Data, s.Len, 16),
		head + "… " + quote(s.Data, s.Len, 8),
		head + length + "…", s.Flags + "…",
	}
}

func numbers(s Segment, head string) string {
	numbers := fmt.Sprintf("%s seq=%d", head, s.Seq)
	if strings.Contains(s.Flags, "ACK") {
		numbers += fmt.Sprintf(" ack=%d", s.Ack)
	}
	if s.Full {
		numbers += " win=0"
	}
	return numbers
}

// secured are the texts of a segment with TLS in it: all records, or as many as
// there is room for, and how many more there are.
func (s Segment) secured(head, numbers string) (texts []string) {
	all := s.Records
	telling := slices.DeleteFunc(slices.Clone(all), func(r records.Record) bool { return r.Name == "ChangeCipherSpec" })
	for most := len(all); most > 0; most-- {
		shown := all[:most]
		if most < len(all) { // first goes what in TLS 1.3 means nothing
			shown = telling[:min(most, len(telling))]
		}
		var names []string
		for _, record := range shown {
			names = append(names, record.String())
		}
		if more := len(all) - len(shown); more > 0 {
			names = append(names, fmt.Sprintf("%d more…", more))
		}
		said := strings.Join(names, ", ")
		texts = append(texts, numbers+" "+said, head+"… "+said, said)
	}
	slices.SortStableFunc(texts, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return append(texts, s.Flags+"…")
}

// quote shows the first of n bytes in at most about so many characters. All
// that is not plain ASCII is escaped: a byte that the reader sees is that byte.
func quote(data []byte, n, most int) string {
	var b strings.Builder
	for i, c := range data {
		piece := strconv.QuoteToASCII(string(rune(c)))
		if c >= 0x7f || c == '#' && i > 0 && data[i-1] == '#' { // ##[error] is a command to some
			piece = fmt.Sprintf(`"\x%02x"`, c)
		}
		piece = piece[1 : len(piece)-1]
		if b.Len()+len(piece) > most {
			n = i + 1 // one more than is shown
			data = data[:i]
			break
		}
		b.WriteString(piece)
	}
	shown := `"` + b.String() + `"`
	if len(data) < n {
		shown += "…"
	}
	return shown
}

// text is what stands beside the listening socket or a connection.
func (q Queue) text() string {
	switch {
	case q.Seats != "":
		return "accept queue " + q.Seats
	case q.Conn == 0 && q.Limit > 0:
		return fmt.Sprintf("queue %d of %d", q.Length, q.Limit)
	case q.Conn == 0:
		return fmt.Sprintf("queue %d", q.Length)
	case q.Length == 0:
		return "nothing waits here"
	}
	return text.Count(q.Length, "byte waits here", "bytes wait here")
}

// short is text where there is little room.
func (q Queue) short() string {
	if q.Conn == 0 {
		return "accept " + strings.TrimPrefix(q.text(), "accept ")
	}
	return text.Count(q.Length, "byte", "bytes") + " unread"
}

func (l Life) text(name func(id string) string) string {
	text := l.Event
	if l.By != "" {
		text += " by " + name(l.By)
		if strings.HasPrefix(l.Event, "begin") { // or, of several, "begin"
			text = l.Event + ", started by " + name(l.By)
		}
	}
	if l.How != "" {
		text += ": " + l.How
	}
	return text
}

var rungs = map[Rung]string{
	Captured:  "captured on lo",
	Namespace: "captured on lo in a namespace of its own",
	Inferred:  "inferred from the kernel's tables",
}

// sourceText says how the calls were seen.
func (t Trace) sourceText() string {
	source, known := map[string]string{
		"":       "the server's calls were not seen",
		"probes": "the server's calls come from the probes in models/sys",
		"strace": "the server's calls come from strace",
		"proc":   "the server's calls are samples of /proc: short ones are missed",
	}[t.Source]
	if !known {
		source = "the server's calls come from " + t.Source
	}
	return source
}

// A tally counts what the footer speaks of.
type tally struct{ segments, inferred, states, confirmed int }

func (n *tally) add(e Event) {
	switch {
	case e.Segment != nil:
		n.segments++
		if e.Segment.Inferred {
			n.inferred++
		}
	case e.State != nil:
		n.states++
		if e.State.Confirmed {
			n.confirmed++
		}
	}
}

// footer says how what is drawn came to be known, and what did not.
func (t Trace) footer() []string {
	var n tally
	for _, e := range t.Events {
		n.add(e)
	}
	return t.footerOf(n)
}

func (t Trace) footerOf(n tally) []string {
	lines := []string{fmt.Sprintf("%s, %s, %d inferred", rungs[t.Rung], text.Count(n.segments, "segment", "segments"), n.inferred)}
	if n.states > 0 {
		line := "states follow from the segments (RFC 9293)"
		if n.segments == 0 {
			line = "states are those in the kernel's table"
		} else if n.confirmed > 0 {
			line += fmt.Sprintf("; the kernel's table confirms %d of %d", n.confirmed, n.states)
		}
		lines = append(lines, line)
	}
	lines = append(lines, t.sourceText())
	for _, m := range t.Missing {
		lines = append(lines, "missing: "+m)
	}
	return lines
}

// shown is t as it may be shown to anybody: programs are named and speak as
// they like, and some of that would be obeyed by a terminal, turn the line
// around or be wider than it counts. What is left is one column wide each.
func (t Trace) shown(ascii bool) Trace {
	clean := func(s *string) { *s = text.Cells(*s, ascii) }
	t.Actors, t.Events, t.Missing = slices.Clone(t.Actors), slices.Clone(t.Events), slices.Clone(t.Missing)
	clean(&t.Scene)
	clean(&t.Subject)
	clean(&t.Source)
	for i := range t.Missing {
		clean(&t.Missing[i])
	}
	for i := range t.Actors {
		t.Actors[i].Name = cmp.Or(t.Actors[i].Name, t.Actors[i].ID)
		clean(&t.Actors[i].Name)
	}
	for i := range t.Events {
		t.Events[i] = t.Events[i].clone()
		switch e := t.Events[i]; {
		case e.Segment != nil:
			clean(&e.Segment.Flags)
		case e.Call != nil:
			clean(&e.Call.Name)
			clean(&e.Call.Args)
			clean(&e.Call.Result)
		case e.State != nil:
			clean(&e.State.From)
			clean(&e.State.To)
		case e.Life != nil:
			clean(&e.Life.How)
		case e.Note != nil:
			clean(&e.Note.Text)
		}
	}
	return t
}

// clone copies what an event points to, so that it may be changed.
func (e Event) clone() Event {
	e.Segment, e.Call, e.State = clone(e.Segment), clone(e.Call), clone(e.State)
	e.Queue, e.Life, e.Note = clone(e.Queue), clone(e.Life), clone(e.Note)
	return e
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	copied := *p
	return &copied
}
