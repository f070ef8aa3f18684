package experiment

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"strings"

	"socketlab/lab/report"
)

//go:embed page.html
var page string

// A Target is where a page goes: the value of --report.
type Target struct{ report.Target }

// UnmarshalText takes html=FILE.
func (t *Target) UnmarshalText(text []byte) error {
	t.Format, t.File, _ = strings.Cut(string(text), "=")
	if t.Format != "html" || t.File == "" {
		return fmt.Errorf("%q: a report of experiments is a page: say html=FILE; - is standard output", text)
	}
	return nil
}

// Save writes the page, for a projector if it is to be slides.
func (d Document) Save(to Target, slides bool) error {
	var b bytes.Buffer
	if err := d.HTML(&b, slides); err != nil {
		return err
	}
	return to.Write(b.Bytes())
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
