package bench

import (
	_ "embed"
	"io"

	"socketlab/lab/report"
	"socketlab/lab/text"
)

//go:embed show_page.html
var page string

// A View is what a page shows: a result, and what comes before it and after it.
// Its strings are harmless.
type View struct {
	Result
	Title    string
	Lead     []string     // sentences in large letters
	Overview []text.Table // these two stand before the pictures
	Says     []string
	Matrix   string // text in columns
	Cards    []Card
}

// A Card is what a model says of itself.
type Card struct{ Name, Summary, Holds, Waits, Limit, Page string }

// HTML writes one page that needs nothing else, no network and no script.
func (r Result) HTML(w io.Writer) error {
	return View{Result: r.Harmless(), Title: "lab bench"}.Write(w)
}

// Write writes the page.
func (v View) Write(w io.Writer) error { return report.Page(w, page, v) }

// At has all subjects at a point, each with all its figures.
func (r Result) At(point int) (t text.Table) {
	t.Head = []string{r.Title(point)}
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
