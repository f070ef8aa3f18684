package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// A metric is one figure of a run.
type metric struct {
	name   string // in JSON
	unit   string // as benchstat knows it
	factor float64
	write  func(float64) string // for people
	of     func(Run) *float64   // nil: not known
}

var metrics = []metric{
	{"rate", "req/s", 1, si, func(r Run) *float64 { return some(r.Rate) }},
	{"cpu", "cpu-ns/req", 1000, duration, func(r Run) *float64 { return some(r.CPU) }},
	{"p50", "p50-ns", 1000, duration, func(r Run) *float64 { return some(r.P50) }},
	{"p99", "p99-ns", 1000, duration, func(r Run) *float64 { return some(r.P99) }},
	{"user", "user-ns/req", 1000, duration, func(r Run) *float64 { return some(r.User) }},
	{"system", "sys-ns/req", 1000, duration, func(r Run) *float64 { return some(r.System) }},
	{"starved", "starved-ns/req", 1000, duration, func(r Run) *float64 { return r.Starved }},
	{"voluntary", "vcsw/req", 1, hundredths, func(r Run) *float64 { return r.Voluntary }},
	{"involuntary", "ivcsw/req", 1, hundredths, func(r Run) *float64 { return r.Involuntary }},
	{"pss", "pss-B", 1, size, func(r Run) *float64 { return some(float64(r.PSS)) }},
	{"rss", "rss-B", 1, size, func(r Run) *float64 { return some(float64(r.RSS)) }},
	{"per_client", "B/client", 1, size, func(r Run) *float64 { return r.PerClient }},
	{"threads", "threads", 1, whole, func(r Run) *float64 { return some(float64(r.Threads)) }},
	{"processes", "processes", 1, whole, func(r Run) *float64 { return some(float64(r.Processes)) }},
	{"files", "files", 1, whole, func(r Run) *float64 { return some(float64(r.Files)) }},
	{"queued", "queued-B", 1, size, func(r Run) *float64 { return some(float64(r.Queued)) }},
	{"idle_cpu", "idle-cpu-ms/s", 1, twoDigits, func(r Run) *float64 {
		if r.Requests > 0 {
			return nil
		}
		return &r.IdleCPU
	}},
}

func metricNamed(name string) metric {
	return metrics[slices.IndexFunc(metrics, func(m metric) bool { return m.name == name })]
}

// compared are the metrics on which a verdict is passed.
var compared = []string{"rate", "cpu", "p50", "p99", "per_client"}

// some is x, if there is any of it.
func some(x float64) *float64 {
	if x == 0 {
		return nil
	}
	return &x
}

// An Estimate is the median of the runs that count, and an interval which holds
// the true one with the confidence that the number of runs allows.
type Estimate struct {
	Median     float64 `json:"median"`
	Lo         float64 `json:"lo"`
	Hi         float64 `json:"hi"`
	Confidence float64 `json:"confidence"` // 0: there are too few runs for an interval
	Runs       int     `json:"runs"`
}

// confidence is what is asked for. Five runs allow 94 %: the interval is then
// from the least to the greatest.
const confidence = 0.90

// enough is the number of rounds from which on there is an interval, and so a
// difference can be told from chance. Four rounds allow 88 % at most.
const enough = 5

// NewEstimate sums up.
func NewEstimate(values []float64) Estimate {
	s := benchmath.AssumeNothing.Summary(benchmath.NewSample(values, &benchmath.DefaultThresholds), confidence)
	e := Estimate{Median: s.Center, Lo: s.Lo, Hi: s.Hi, Confidence: s.Confidence, Runs: len(values)}
	if math.IsInf(s.Lo, 0) || math.IsInf(s.Hi, 0) || math.IsNaN(s.Lo) {
		e.Lo, e.Hi, e.Confidence = s.Center, s.Center, 0
	}
	return e
}

// spread is half the interval, as a share of the median.
func (e Estimate) spread() float64 {
	if e.Median == 0 || e.Confidence == 0 {
		return 0
	}
	return (e.Hi - e.Lo) / 2 / e.Median
}

// A Verdict is what comes of a comparison. Of two in one result it is the median
// of the ratios of each round, with its interval; of an earlier result no round
// has anything to do with one of ours, so there it is the ratio of the medians.
type Verdict struct {
	Ratio      float64 `json:"ratio"`
	Lo         float64 `json:"lo,omitempty"`
	Hi         float64 `json:"hi,omitempty"`
	Confidence float64 `json:"confidence"` // of the interval; 0: there is none
	Rounds     int     `json:"rounds"`     // in which both counted; 0: it is of an earlier result
	P          float64 `json:"p"`          // how probable such a difference is if there is none: sign test; of an earlier result Mann-Whitney U
	Noise      float64 `json:"noise"`      // how much one server differed from itself
	Different  bool    `json:"different"`
}

// comparePairs passes a verdict on the ratios of each round: they tell a
// difference if 1 is outside of their interval, and if it is more than the same
// server differs from itself. That 1 is outside is the sign test.
func comparePairs(ratios []float64, noise float64) Verdict {
	e := NewEstimate(ratios)
	return Verdict{
		Ratio: e.Median, Lo: e.Lo, Hi: e.Hi, Confidence: e.Confidence, Rounds: e.Runs, P: signTest(ratios), Noise: noise,
		Different: e.Confidence > 0 && (e.Lo > 1 || e.Hi < 1) && math.Abs(e.Median-1) > noise,
	}
}

// signTest is how probable it is, if more and less are equally probable, that as
// many ratios or more are on the same side of 1.
func signTest(ratios []float64) float64 {
	more, less := 0, 0
	for _, r := range ratios {
		switch {
		case r > 1:
			more++
		case r < 1:
			less++
		}
	}
	p, ways := 0.0, 1.0 // to choose k of all
	for k := range min(more, less) + 1 {
		p += ways
		ways = ways * float64(more+less-k) / float64(k+1)
	}
	return min(1, 2*p/math.Exp2(float64(more+less)))
}

// compareApart passes a verdict on figures of two results: they differ if chance
// hardly explains it, and if by more than the same server differs from itself.
func compareApart(before, after []float64, noise float64) Verdict {
	x := benchmath.NewSample(before, &benchmath.DefaultThresholds)
	y := benchmath.NewSample(after, &benchmath.DefaultThresholds)
	c := benchmath.AssumeNothing.Compare(x, y)
	v := Verdict{Ratio: 1, P: c.P, Noise: noise}
	if median := NewEstimate(before).Median; median != 0 {
		v.Ratio = NewEstimate(after).Median / median
	}
	if math.IsNaN(v.P) { // all values are the same
		v.P = 1
	}
	v.Different = v.P < c.Alpha && math.Abs(v.Ratio-1) > noise
	return v
}

// Of an interval within alike of 1 we say "the same".
const alike = 0.10

// same reports whether there is no difference worth telling. If there is none,
// and it is not the same, then it is not known.
func (v Verdict) same() bool {
	return !v.Different && v.Confidence > 0 && v.Lo >= 1-alike && v.Hi <= 1+alike
}

// pairs divide b's figure by a's, round by round. A slow drift of the machine's
// speed is in both figures and cancels out.
func pairs(a, b Cell, m metric) (ratios []float64) {
	for _, x := range a.valid() {
		for _, y := range b.valid() {
			if x.Round != y.Round {
				continue
			}
			if before, after := m.of(x), m.of(y); before != nil && after != nil && *before > 0 {
				ratios = append(ratios, *after / *before)
			}
		}
	}
	return ratios
}

// valid are the runs that count.
func (c Cell) valid() (runs []Run) {
	for _, r := range c.Runs {
		if r.Invalid == "" {
			runs = append(runs, r)
		}
	}
	return runs
}

// values are a metric's, of the runs that count.
func (c Cell) values(m metric) (values []float64) {
	runs := c.valid()
	if c.Invalid != "" {
		runs = c.Runs // shown, and marked
	}
	for _, r := range runs {
		if v := m.of(r); v != nil {
			values = append(values, *v)
		}
	}
	return values
}

// conclude sums up, compares and fits, once all runs are there.
func (r *Result) conclude(baseline *Result) {
	for i := range r.Subjects {
		for j := range r.Subjects[i].Cells {
			r.Subjects[i].Cells[j].sumUp()
		}
	}
	for j := range r.Points {
		r.compareAll(j)
		r.compareTwins(j)
		if baseline != nil {
			r.compareWith(*baseline, j)
		}
	}
	for i := range r.Subjects {
		r.Subjects[i].Fit = r.fit(r.Subjects[i])
	}
}

func (c *Cell) sumUp() {
	if valid := c.valid(); 2*len(valid) <= len(c.Runs) && len(c.Runs) > 0 {
		why := "" // of the last run that does not count
		for _, r := range c.Runs {
			why = cmp.Or(r.Invalid, why)
		}
		c.Invalid = fmt.Sprintf("%d of %d runs do not count: %s", len(c.Runs)-len(valid), len(c.Runs), why)
	}
	c.Summary = map[string]Estimate{}
	for _, m := range metrics {
		if values := c.values(m); len(values) > 0 {
			c.Summary[m.name] = NewEstimate(values)
		}
	}
}

// If a server differs from itself by more than mostNoise in CPU time, nothing is
// said about the others.
const mostNoise = 0.15

func (r *Result) tooNoisy(point int) bool { return r.noise(point, metricNamed("cpu")) > mostNoise }

// compareAll compares all subjects with the reference, at one point.
func (r *Result) compareAll(point int) {
	for i := range r.Subjects {
		if i == r.First {
			continue
		}
		cell := &r.Subjects[i].Cells[point]
		cell.Against, cell.Noisy = r.verdicts(r.First, i, point), map[string]Verdict{}
		for _, name := range compared {
			if _, known := cell.Against[name]; known || !disturbable(name) {
				continue
			}
			if v := r.despite(r.First, i, point, metricNamed(name)); v.Different {
				cell.Noisy[name] = v
			}
		}
	}
}

// despite compares subject b with a in all runs, also in those that do not count.
// A difference is told if it is far beyond what the disturbance may have done:
// the whole interval is beyond a factor of two, and beyond three times the share
// of the machine that others took.
func (r *Result) despite(a, b, point int, m metric) Verdict {
	x, y := all(r.Subjects[a].Cells[point]), all(r.Subjects[b].Cells[point])
	worst := r.noise(point, m)
	for _, run := range append(x.Runs, y.Runs...) {
		worst = max(worst, run.Stolen, run.Others, run.Waited, run.Dragged)
	}
	v := comparePairs(pairs(x, y, m), worst)
	far := 1 + max(1, 3*worst)
	v.Different = v.Different && (v.Lo > far || v.Hi < 1/far)
	return v
}

// all has the runs of a cell as if each of them counted.
func all(c Cell) (counted Cell) {
	for _, run := range c.Runs {
		run.Invalid = ""
		counted.Runs = append(counted.Runs, run)
	}
	return counted
}

// disturbable reports whether other programs can change a metric. They do not
// change how much memory a server has.
func disturbable(name string) bool {
	return !slices.Contains([]string{"pss", "rss", "per_client", "threads", "processes", "files"}, name)
}

// verdicts compare subject b with a, in all metrics of which both have figures.
func (r *Result) verdicts(a, b, point int) map[string]Verdict {
	all := map[string]Verdict{}
	for _, name := range compared {
		if v, known := r.compare(a, b, point, name); known {
			all[name] = v
		}
	}
	return all
}

// compare compares subject b with a in a metric; not known is what does not
// count, or is lost in the noise.
func (r *Result) compare(a, b, point int, name string) (v Verdict, known bool) {
	x, y, m := r.Subjects[a], r.Subjects[b], metricNamed(name)
	if x.Failure != "" || y.Failure != "" || x.Cells[point].Invalid != "" || y.Cells[point].Invalid != "" {
		return v, false
	}
	ratios := pairs(x.Cells[point], y.Cells[point], m)
	if len(ratios) == 0 || r.tooNoisy(point) {
		return v, false
	}
	return comparePairs(ratios, r.noise(point, m)), true
}

// noise is how much the reference differs from itself within a round: the median
// of the distances from 1. The median of the ratios may be near 1 by luck.
func (r *Result) noise(point int, m metric) float64 {
	last := r.Subjects[len(r.Subjects)-1]
	first, again := r.Subjects[r.First].Cells[point], last.Cells[point]
	if !last.Again || first.Invalid != "" || again.Invalid != "" {
		return 0
	}
	off := pairs(first, again, m)
	for i := range off {
		off[i] = math.Abs(off[i] - 1)
	}
	if len(off) == 0 {
		return 0
	}
	return NewEstimate(off).Median
}

// compareWith compares each subject with itself in an earlier result.
func (r *Result) compareWith(earlier Result, point int) {
	for i := range r.Subjects {
		s := &r.Subjects[i]
		before, found := earlier.cell(s.Name, r.Points[point])
		cell := &s.Cells[point]
		if !found || cell.Invalid != "" || before.Invalid != "" || r.tooNoisy(point) {
			continue
		}
		cell.Before = map[string]Verdict{}
		for _, name := range compared {
			m := metricNamed(name)
			if was, is := before.values(m), cell.values(m); len(was) > 0 && len(is) > 0 {
				cell.Before[name] = compareApart(was, is, r.noise(point, m))
			}
		}
	}
}

// cell is a subject's at a point.
func (r Result) cell(name string, p Point) (Cell, bool) {
	for _, s := range r.Subjects {
		for j, point := range r.Points {
			if s.Name == name && point == p && j < len(s.Cells) && len(s.Cells[j].Runs) > 0 {
				return s.Cells[j], true
			}
		}
	}
	return Cell{}, false
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
