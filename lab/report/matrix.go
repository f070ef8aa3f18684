package report

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"socketlab/lab/text"
)

// Style says how to write for people.
type Style struct {
	Color bool // symbols mean the same without
	Width int  // columns of the terminal; 0: no limit
}

// Matrix writes a row for each check and a column for each subject. Where the
// columns do not fit side by side, it writes several matrices.
func (v Verify) Matrix(w io.Writer, style Style) {
	v = v.shown()
	columns, label := v.columns(), groupWidth
	for _, id := range ids(v.Subjects) {
		label = max(label, groupWidth+text.Width(path.Base(id))+1)
	}
	room := 0
	if style.Width > 0 {
		room = max(1, style.Width-label)
	}
	for i, side := range sideBySide(columns, room) {
		if i > 0 {
			fmt.Fprintln(w)
		}
		matrix(w, style, label, side)
	}
	for i, m := range v.meanings() {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s: %s\n", m.Symbol, m.Says)
	}
}

// A column is a subject with as little of its name as there is room for.
type column struct {
	Subject
	Head string
}

func (c column) width() int { return max(text.Width(c.Head), len(waits)) + 1 }

func (v Verify) columns() []column {
	const most = 16
	var heads []string
	for _, s := range v.Subjects {
		heads = append(heads, text.Shorten(s.Name, most))
	}
	var all []column
	for i, head := range text.Apart(heads) {
		all = append(all, column{v.Subjects[i], head})
	}
	return all
}

// sideBySide divides the columns evenly into as few matrices as fit into room; 0
// is room for all.
func sideBySide(columns []column, room int) [][]column {
	for n := 1; n < len(columns); n++ {
		each := (len(columns) + n - 1) / n
		sides := slices.Collect(slices.Chunk(columns, each))
		if !slices.ContainsFunc(sides, func(side []column) bool { return room > 0 && widthOf(side) > room }) {
			return sides
		}
	}
	return slices.Collect(slices.Chunk(columns, 1))
}

func widthOf(columns []column) (width int) {
	for _, c := range columns {
		width += c.width()
	}
	return width
}

const groupWidth = len("random ")

func matrix(w io.Writer, style Style, label int, columns []column) {
	var subjects []Subject
	row := strings.Repeat(" ", label)
	for _, c := range columns {
		row += text.Centre(c.Head, c.width())
		subjects = append(subjects, c.Subject)
	}
	fmt.Fprintln(w, strings.TrimRight(row, " "))
	group := ""
	for _, id := range ids(subjects) {
		shown := ""
		if path.Dir(id) != group {
			group = path.Dir(id)
			shown = group
		}
		row := fmt.Sprintf("%-*s%-*s", groupWidth, shown, label-groupWidth, path.Base(id))
		for _, c := range columns {
			symbol := ""
			if check, held := c.check(id); held {
				symbol = check.Symbol()
			}
			row += text.Centre(paint(style, symbol), c.width())
		}
		fmt.Fprintln(w, strings.TrimRight(row, " "))
	}
}

// check is the verdict of one check, if the subject was held to it.
func (s Subject) check(id string) (c Check, held bool) {
	i := slices.IndexFunc(s.Checks, func(c Check) bool { return c.ID == id })
	if i < 0 {
		return Check{}, false
	}
	return s.Checks[i], true
}

// ids are the ids of all checks that any of the subjects was held to, in order,
// those of a group side by side.
func ids(subjects []Subject) (ids []string) {
	group := map[string]int{} // which one it is
	for _, s := range subjects {
		for _, c := range s.Checks {
			if _, known := group[path.Dir(c.ID)]; !known {
				group[path.Dir(c.ID)] = len(group)
			}
			if !slices.Contains(ids, c.ID) {
				ids = append(ids, c.ID)
			}
		}
	}
	slices.SortStableFunc(ids, func(a, b string) int { return group[path.Dir(a)] - group[path.Dir(b)] })
	return ids
}

// waits is the note of a pass that is not like the others.
const waits = "waits"

// The symbols differ in shape, not only in colour.
func (c Check) Symbol() string {
	switch c.Status {
	case Pass:
		if c.Note == waits {
			return waits
		}
		return "✓"
	case Fail:
		if c.Level == Should {
			return "!"
		}
		return "✗"
	case Skip:
		return "–"
	}
	return "?"
}

// A meaning is what a symbol stands for.
type meaning struct{ Symbol, Says string }

// meanings are those of the symbols that are not plain, and are used.
func (v Verify) meanings() []meaning {
	all := []meaning{
		{waits, "serves one client at a time, by design; the second one lost nothing"},
		{"–", "does not apply"},
		{"!", "should be, but need not"},
		{"?", "could not be decided"},
	}
	if v.Strict {
		all[2].Says = "should be, and --strict demands it"
	}
	return slices.DeleteFunc(all, func(m meaning) bool {
		return !v.any(func(c Check) bool { return c.Symbol() == m.Symbol })
	})
}

func (v Verify) any(ask func(Check) bool) bool {
	return slices.ContainsFunc(v.Subjects, func(s Subject) bool { return slices.ContainsFunc(s.Checks, ask) })
}

// paint adds colour to a symbol. A failure is inverse, so that the colour-blind
// see it, too.
func paint(style Style, symbol string) string {
	color := map[string]string{"✓": "32", waits: "32", "✗": "1;7;31", "!": "1;33", "?": "1;7;35"}[symbol]
	if !style.Color || color == "" {
		return symbol
	}
	return "\x1b[" + color + "m" + symbol + "\x1b[0m"
}
