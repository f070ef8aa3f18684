package diagram

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"socketlab/lab/text"
)

// A plan is a drawing in characters: which columns stand where, and what each
// row shows. Text and SVG draw the same plan.
type plan struct {
	width   int  // as many as there are
	used    int  // as many as the columns take
	clear   bool // no label stands on a column, if there is room anywhere else
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
	if a.ByExit {
		long := slices.Clone(all)
		for i := range long {
			long[i] += " (by exit)"
		}
		all = append(long, all...)
	}
	if a.Step > 0 {
		all = slices.Clone(all)
		for i := range all {
			all[i] = fmt.Sprintf("(%d) %s", a.Step, all[i])
		}
	}
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

// fit is the longest text that the arrow has room for.
func (p plan) fit(a *arrow, frame int) string {
	room := p.columns[a.from].x - p.columns[a.to].x
	room = max(room, -room) - 1 - frame
	texts := a.texts()
	for _, t := range texts {
		if text.Width(t) <= room {
			return t
		}
	}
	return texts[len(texts)-1]
}

// put says where a label stands, in one line or several: right of its line if
// there is room, even across other lines; or else left of it.
func (p plan) put(r row, l label) (x int, lines []string) {
	n := text.Width(l.text)
	if l.column < 0 {
		lines = text.Wrap(l.text, p.used-2)
		return (p.used - longest(lines)) / 2, lines
	}
	at := p.columns[l.column].x
	left, right := at-1, p.width-at-2
	if p.clear {
		leftFree, rightFree := p.free(r, l.column)
		toLeft, toRight := wrap(l.text, leftFree), wrap(l.text, rightFree)
		switch {
		case !l.left && toRight != nil:
			return at + 2, toRight
		case toLeft != nil && (l.left || r.arrow == nil):
			return at - 1 - longest(toLeft), toLeft
		}
	}
	switch {
	case l.left, n > right && r.arrow == nil && (n <= left || left > right):
		lines = text.Wrap(l.text, left)
		return at - 1 - longest(lines), lines
	default:
		return at + 2, text.Wrap(l.text, right)
	}
}

// wrap breaks a label between words, into three lines at most; nil if that does
// not go into so many columns.
func wrap(words string, room int) (lines []string) {
	for _, word := range strings.Fields(words) {
		last := len(lines) - 1
		switch {
		case text.Width(word) > room:
			return nil
		case last >= 0 && text.Width(lines[last])+1+text.Width(word) <= room:
			lines[last] += " " + word
		default:
			lines = append(lines, word)
		}
	}
	if len(lines) > 3 {
		return nil
	}
	return lines
}

// free is the room on both sides of a column, up to the next that is there.
func (p plan) free(r row, column int) (left, right int) {
	at := p.columns[column].x
	left, right = at-1, p.width-at-2
	for i, c := range p.columns {
		switch {
		case r.lanes[i] == absent:
		case i < column:
			left = at - c.x - 3
		case i > column:
			return left, c.x - at - 3
		}
	}
	return left, right
}

func longest(lines []string) (n int) {
	for _, line := range lines {
		n = max(n, text.Width(line))
	}
	return n
}
