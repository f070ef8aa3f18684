package bench

import "socketlab/lab/text"

import ()

// Over is a table that answers one question: a metric of all subjects, over the
// points. What was disturbed has ~ in front.
func (r Result) Over(metric string) (t text.Table) {
	t.Head = r.headOver()
	for _, s := range r.shown() {
		row := text.Row{Name: s.Name}
		for _, cell := range s.Cells {
			row.Cells = append(row.Cells, cell.Figures(metric)...)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// AsGood is how good each subject is in a metric where its twin is 1.
func (r Result) AsGood(metric string) (t text.Table) {
	t.Head = r.headOver()
	for _, s := range r.shown() {
		for _, twin := range s.Twins {
			row := text.Row{Name: s.Name + " / " + twin}
			for _, cell := range s.Cells {
				row.Cells = append(row.Cells, cell.Twins[twin][metric].AsGood(metric).String())
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

// Growth is how the CPU time of a request grows from point to point; known is
// whether there is a line for anybody.
func (r Result) Growth() (t text.Table, known bool) {
	t.Head = []string{"CPU/req grows", "over " + r.axis()}
	for _, s := range r.shown() {
		if s.Fit != nil {
			t.Rows = append(t.Rows, text.Row{Name: s.Name, Cells: []string{s.Fit.Says}})
		}
	}
	return t, len(t.Rows) > 0
}

func (r Result) headOver() []string {
	head := []string{""}
	for _, p := range r.Points {
		head = append(head, r.title(p))
	}
	return head
}

// Compare compares two subjects at a point, by their names; not known is what
// does not count, or is lost in the noise.
func (r Result) Compare(name, with string, point int, metric string) (v Verdict, known bool) {
	a, b := r.index(with), r.index(name)
	if a < 0 || b < 0 {
		return v, false
	}
	return r.compare(a, b, point, metric)
}
