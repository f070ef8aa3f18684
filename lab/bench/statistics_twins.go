package bench

import (
	"slices"
	"strconv"

	"socketlab/lab/text"
)

// compareTwins compares each subject with its twins in C, at one point.
func (r *Result) compareTwins(point int) {
	for i := range r.Subjects {
		s := &r.Subjects[i]
		for _, name := range s.Twins {
			twin := r.index(name)
			if twin < 0 {
				continue
			}
			if verdicts := r.verdicts(twin, i, point); len(verdicts) > 0 {
				cell := &s.Cells[point]
				if cell.Twins == nil {
					cell.Twins = map[string]map[string]Verdict{}
				}
				cell.Twins[name] = verdicts
			}
		}
	}
}

// index is where the subject of that name is; -1: nowhere.
func (r *Result) index(name string) int {
	return slices.IndexFunc(r.Subjects, func(s Subject) bool { return s.Name == name })
}

// asGood are the metrics in which a subject is held against its twin.
var asGood = []struct{ head, metric string }{{"CPU/req", "cpu"}, {"requests/s", "rate"}, {"p99", "p99"}}

// AsGoodAt is how good each subject is at a point where its twin is 1: more is
// better.
func (r Result) AsGoodAt(point int) (t text.Table, known bool) {
	t.Head = []string{"As good as C? " + r.Title(point)}
	for _, a := range asGood {
		t.Head = append(t.Head, a.head)
	}
	for _, s := range r.Subjects {
		for _, name := range s.Twins {
			if len(s.Cells[point].Runs) == 0 {
				continue
			}
			verdicts := s.Cells[point].Twins[name]
			known = known || len(verdicts) > 0
			row := text.Row{Name: s.Name + " / " + name, Bad: len(verdicts) == 0}
			for _, a := range asGood {
				row.Cells = append(row.Cells, verdicts[a.metric].AsGood(a.metric).String())
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t, known
}

// AsGood turns a verdict around if it is on a cost, of which less is better.
func (v Verdict) AsGood(metric string) Verdict {
	if metric == "rate" || v.Ratio == 0 {
		return v
	}
	v.Ratio = 1 / v.Ratio
	if v.Lo > 0 {
		v.Lo, v.Hi = 1/v.Hi, 1/v.Lo
	}
	return v
}

// String is the ratio with its interval.
func (v Verdict) String() string {
	if v.Ratio == 0 {
		return "–"
	}
	text := times(v.Ratio)
	if v.Confidence > 0 {
		text += " (" + times(v.Lo) + "–" + times(v.Hi) + ")"
	}
	return text
}

// times is a ratio.
func times(x float64) string {
	if x >= 9.995 {
		return digits(x, 2)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}
