package report

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Style says how to write for people.
type Style struct {
	Color bool // symbols mean the same without
	Width int  // columns of the terminal
}

// Matrix writes a row for each check and a column for each subject. Where the
// columns do not fit side by side, it writes several matrices.
func (v Verify) Matrix(w io.Writer, style Style) {
	const label = 24
	for subjects := v.Subjects; len(subjects) > 0; {
		n, width := 0, label
		for n < len(subjects) && (n == 0 || width+columnWidth(subjects[n]) <= style.Width) {
			width += columnWidth(subjects[n])
			n++
		}
		matrix(w, style, label, subjects[:n])
		subjects = subjects[n:]
		if len(subjects) > 0 {
			fmt.Fprintln(w)
		}
	}
	if legend := v.legend(); legend != "" {
		fmt.Fprintf(w, "\n%s\n", legend)
	}
}

func columnWidth(s Subject) int { return max(utf8.RuneCountInString(s.Name), 5) + 1 }

func matrix(w io.Writer, style Style, label int, subjects []Subject) {
	fmt.Fprint(w, strings.Repeat(" ", label))
	for _, s := range subjects {
		fmt.Fprint(w, centre(s.Name, columnWidth(s)))
	}
	fmt.Fprintln(w)
	group := ""
	for _, id := range ids(subjects) {
		shown := ""
		if path.Dir(id) != group {
			group = path.Dir(id)
			shown = group
		}
		fmt.Fprintf(w, "%-7s%-*s", shown, label-7, path.Base(id))
		for _, s := range subjects {
			symbol := ""
			if i := slices.IndexFunc(s.Checks, func(c Check) bool { return c.ID == id }); i >= 0 {
				symbol = s.Checks[i].symbol()
			}
			fmt.Fprint(w, paint(style, symbol, centre(symbol, columnWidth(s))))
		}
		fmt.Fprintln(w)
	}
}

// ids are the ids of all checks that any of the subjects was held to, in order.
func ids(subjects []Subject) []string {
	var ids []string
	for _, s := range subjects {
		for _, c := range s.Checks {
			if !slices.Contains(ids, c.ID) {
				ids = append(ids, c.ID)
			}
		}
	}
	slices.SortStableFunc(ids, func(a, b string) int {
		return slices.Index(groups(ids), path.Dir(a)) - slices.Index(groups(ids), path.Dir(b))
	})
	return ids
}

func groups(ids []string) []string {
	var groups []string
	for _, id := range ids {
		if !slices.Contains(groups, path.Dir(id)) {
			groups = append(groups, path.Dir(id))
		}
	}
	return groups
}

// The symbols differ in shape, not only in colour.
func (c Check) symbol() string {
	switch c.Status {
	case Pass:
		if c.Note != "" {
			return c.Note
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

// legend explains the symbols that are not plain, if there are any.
func (v Verify) legend() string {
	meaning := []struct{ symbol, says string }{
		{"waits", "serves one client at a time, by design; the second one lost nothing"},
		{"–", "does not apply"},
		{"!", "should be, but need not"},
		{"?", "could not be decided"},
	}
	var lines []string
	for _, m := range meaning {
		if v.any(func(c Check) bool { return c.symbol() == m.symbol }) {
			lines = append(lines, m.symbol+": "+m.says)
		}
	}
	return strings.Join(lines, "\n")
}

func (v Verify) any(ask func(Check) bool) bool {
	return slices.ContainsFunc(v.Subjects, func(s Subject) bool { return slices.ContainsFunc(s.Checks, ask) })
}

func centre(s string, width int) string {
	free := max(0, width-utf8.RuneCountInString(s))
	return strings.Repeat(" ", free-free/2) + s + strings.Repeat(" ", free/2)
}

func paint(style Style, symbol, text string) string {
	color := map[string]string{"✓": "32", "waits": "32", "✗": "1;31", "!": "33", "?": "1;35"}[symbol]
	if !style.Color || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}
