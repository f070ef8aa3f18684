package experiment

import (
	"fmt"
	"io"
	"strings"

	"socketlab/lab/text"
	"socketlab/models"
)

// A Document is what --json prints.
type Document struct {
	Schema      string   `json:"schema"` // lab.exp/1
	Experiments []Result `json:"experiments"`
}

// JSON writes it.
func (d Document) JSON(w io.Writer) error {
	d.Schema = "lab.exp/1"
	return text.JSON(w, d)
}

// Asked writes the question, with the answers to choose from.
func (q Question) Asked(w io.Writer, name string) {
	const indent = 15
	name = fmt.Sprintf("%-*s", indent, name)
	if len(name) >= indent && !strings.HasSuffix(name, " ") {
		fmt.Fprintln(w, name)
		name = strings.Repeat(" ", indent)
	}
	fmt.Fprintln(w, name+folded(q.Asks, 80-indent, indent))
	for i, c := range q.Says {
		fmt.Fprintf(w, "  %s  %s\n", Letter(i), folded(c.Text, 75, 5))
	}
}

// Told writes the table and the verdict.
func (r Result) Told(w io.Writer, e Experiment) {
	q := e.Variant(r.Seed)
	r.table(w)
	fmt.Fprintln(w, folded(r.verdict(q), 80, 0))
	if r.Status != AsTold {
		return
	}
	if p, err := q.Choose(r.Prediction); err == nil && r.Prediction != r.Saw && q.Says[p].But != "" {
		fmt.Fprintf(w, "%s: %s\n", r.Prediction, folded(q.Says[p].But, 77, 3))
	}
	fmt.Fprintf(w, "why: %s\n", folded(e.Why, 75, 5))
	if page := e.where(); page != "" {
		fmt.Fprintf(w, "page: %s   ", page)
	}
	fmt.Fprintf(w, "read: docs/experiments.md#%s\n", e.Name)
	if e.Picture != "" {
		fmt.Fprintf(w, "picture: %s\n", e.Picture)
	}
}

// verdict is the sentence that tells who was right, and why.
func (r Result) verdict(q Question) string {
	says := r.Says
	switch r.Status {
	case AsTold:
		if r.Prediction != "" && r.Prediction != r.Saw {
			return fmt.Sprintf("%s is right, and not %s. %s", r.Saw, r.Prediction, says)
		}
		return fmt.Sprintf("%s is right. %s", r.Saw, says)
	case Undecided:
		return fmt.Sprintf("This run could not decide: others used %.0f %% of the machine meanwhile. Try again when it is quiet. What was seen: %s", 100*r.Busy, says)
	case Contradicts:
		saw := "none of the answers"
		if r.Saw != "" {
			saw = r.Saw
		}
		return fmt.Sprintf("This run contradicts the text: it saw %s, and the text says %s. %s", saw, r.Expected, says)
	case Missing:
		return strings.ToUpper(says[:1]) + says[1:] + "."
	}
	return "The experiment could not go on: " + says
}

// table writes what was measured, and turns it where it would be too wide.
func (r Result) table(w io.Writer) {
	if len(r.Rows) == 0 {
		return
	}
	lines := [][]string{append([]string{""}, r.Columns...)}
	for _, row := range r.Rows {
		lines = append(lines, append([]string{row.Name}, row.Cells...))
	}
	if wide(lines) > 80 && wide(turned(lines)) < wide(lines) {
		lines = turned(lines)
	}
	widths := columnWidths(lines)
	fmt.Fprintln(w)
	for _, line := range lines {
		row := ""
		for i, cell := range line {
			row += "  " + text.Left(cell, widths[i]+1)
		}
		fmt.Fprintln(w, strings.TrimRight(row, " "))
	}
	fmt.Fprintln(w)
}

// turned has rows for columns.
func turned(lines [][]string) (all [][]string) {
	for i := range lines[0] {
		var line []string
		for _, old := range lines {
			line = append(line, old[i])
		}
		all = append(all, line)
	}
	return all
}

func wide(lines [][]string) (sum int) {
	for _, width := range columnWidths(lines) {
		sum += width + 3
	}
	return sum
}

func columnWidths(lines [][]string) []int {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], text.Width(cell))
		}
	}
	return widths
}

// folded breaks a sentence between words, and indents all lines but the first.
func folded(s string, width, indent int) string {
	return strings.Join(text.Wrap(s, width), "\n"+strings.Repeat(" ", indent))
}

// where is the line of a page that the experiment is about: FILE:LINE.
func (e Experiment) where() string {
	file, word, _ := strings.Cut(e.Page, ":")
	source, err := models.Source.ReadFile(strings.TrimPrefix(file, "models/"))
	if err != nil {
		return file
	}
	before, _, found := strings.Cut(string(source), word)
	if !found {
		return file
	}
	return fmt.Sprintf("%s:%d", file, 1+strings.Count(before, "\n"))
}
