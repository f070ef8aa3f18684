package bench

import (
	_ "embed"
	"io"
	"slices"
	"strings"

	"socketlab/lab/report"
	"socketlab/lab/text"
)

//go:embed show_page.html
var page string

// A View is what a page shows, in its order.
type View struct {
	Title    string
	When     string
	Machine  string
	Asked    string   // the command line
	Lead     []string // sentences in large letters
	Partial  bool
	First    []text.Table // before the pictures
	Tables   []text.Table
	Matrix   string // text in columns
	Cards    []Card
	Pictures []Picture
	Says     []string // what tables and pictures cannot
}

// A Card is what a model says of itself.
type Card struct{ Name, Summary, Holds, Waits, Limit, Page string }

// HTML writes one page that needs nothing else, no network and no script.
func (r Result) HTML(w io.Writer) error {
	v := r.View()
	v.Title = "lab bench"
	return v.Write(w)
}

// Write writes the page.
func (v View) Write(w io.Writer) error { return report.Page(w, page, v) }

// View is what a page shows of the result.
func (r Result) View() View {
	r = r.Harmless()
	v := View{
		When: r.Started.Format("2 January 2006, 15:04"), Machine: r.Machine.String(),
		Asked: strings.Join(r.Asked, " "), Partial: r.Partial, Pictures: r.Pictures(),
	}
	v.Tables = r.tables()
	v.Says = slices.DeleteFunc(r.Sentences(), func(line string) bool { return line == "" })
	return v
}

// At has all subjects at a point, each with all its figures.
func (r Result) At(point int) (t text.Table) {
	t.Head = []string{r.title(r.Points[point])}
	for _, c := range r.columns() {
		t.Head = append(t.Head, c.head)
	}
	for _, s := range r.Subjects {
		t.Rows = append(t.Rows, text.Row{
			Name: s.Name, Cells: r.row(s, point), Bad: s.Failure != "",
		})
	}
	return t
}

// row are the figures of a subject at a point, in the order of the columns; or
// in the first of them why there are none.
func (r Result) row(s Subject, point int) (cells []string) {
	cell := s.Cells[point]
	switch {
	case s.Failure != "":
		return []string{"FAILED, see below"}
	case cell.Skipped != "":
		return []string{"– " + cell.Skipped}
	case len(cell.Runs) == 0:
		return []string{"– not measured"}
	}
	for _, c := range r.columns() {
		cells = append(cells, c.show(cell))
	}
	return cells
}
