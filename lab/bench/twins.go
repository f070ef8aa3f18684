package bench

import (
	"fmt"
	"io"

	"socketlab/lab/report"
)

// compareTwins compares each subject with its twins in C, at one point.
func (r *Result) compareTwins(point int) {
	for i := range r.Subjects {
		s := &r.Subjects[i]
		cell := &s.Cells[point]
		for _, name := range s.Twins {
			twin, found := r.cell(name, r.Points[point])
			if !found || twin.Invalid != "" || cell.Invalid != "" || s.Failure != "" {
				continue
			}
			if cell.Twins == nil {
				cell.Twins = map[string]map[string]Verdict{}
			}
			cell.Twins[name] = r.verdicts(twin, *cell, point)
		}
	}
}

// asGood are the metrics in which a subject is held against its twin.
var asGood = []struct {
	head, metric string
	cost         bool // less is better
}{{"CPU/req", "cpu", true}, {"requests/s", "rate", false}, {"p99", "p99", true}}

// twinsFigures are how good a subject is where its twin is 1: more is better.
func (r Result) twinsFigures() (t Table, any bool) {
	t.Head = []string{"As good as C?"}
	for _, a := range asGood {
		t.Head = append(t.Head, a.head)
	}
	for j, p := range r.Points {
		for _, s := range r.Subjects {
			for _, name := range s.Twins {
				verdicts := s.Cells[j].Twins[name]
				row := Row{Name: fmt.Sprintf("%s / %s, %s", harmless(s.Name), name, r.title(p))}
				for _, a := range asGood {
					v, known := verdicts[a.metric]
					row.Cells = append(row.Cells, v.asGood(known, a.cost))
				}
				row.Bad = len(verdicts) == 0
				t.Rows = append(t.Rows, row)
			}
		}
	}
	return t, len(t.Rows) > 0
}

func (v Verdict) asGood(known, cost bool) string {
	if !known || v.Ratio == 0 {
		return "–"
	}
	ratio := v.Ratio
	if cost {
		ratio = 1 / ratio
	}
	text := fmt.Sprintf("%.2f", ratio)
	if !v.Different {
		text = "≈ " + text
	}
	return text
}

func (r Result) twinsTable(w io.Writer, style report.Style) {
	t, any := r.twinsFigures()
	if !any {
		return
	}
	const label, width = 44, 12
	line := func(name string, figures []string) (row string) {
		row = pad(Shorten(name, label-1), label)
		for _, figure := range figures {
			row += flush(figure, width)
		}
		return row
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, paint(style, "1", line(t.Head[0], t.Head[1:])))
	for _, row := range t.Rows {
		fmt.Fprintln(w, line(" "+row.Name, row.Cells))
	}
}
