package experiment

import (
	_ "embed"
	"fmt"
	"io"

	"socketlab/lab/report"
)

//go:embed page.html
var page string

// Formats are the ways to write a document: a page, for a projector if it is to
// be slides.
func Formats(slides bool) report.Formats[Document] {
	return report.Formats[Document]{{Name: "html", Write: func(d Document, w io.Writer) error { return d.HTML(w, slides) }}}
}

// HTML writes one page that needs nothing else.
func (d Document) HTML(w io.Writer, slides bool) error {
	type view struct {
		Result
		Answers       []answer
		Verdict, Why  string
		Read, Command string
	}
	var all []view
	for _, r := range d.Experiments {
		e, _ := Find(r.Name)
		q := e.Variant(r.Seed)
		v := view{Result: r, Verdict: r.verdict(q), Why: e.Why, Read: e.Read, Command: fmt.Sprintf("lab exp %s --seed=%d", r.Name, r.Seed)}
		for i, c := range q.Says {
			v.Answers = append(v.Answers, answer{Letter(i), c.Text, c.But, Letter(i) == r.Saw})
		}
		all = append(all, v)
	}
	return report.Page(w, page, map[string]any{"Slides": slides, "All": all})
}

// An answer is one of those to choose from, as the page shows it.
type answer struct {
	Letter, Text, But string
	Right             bool
}
