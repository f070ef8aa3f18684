package bench

import (
	"fmt"
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// A metric is one figure of a run.
type metric struct {
	name   string // in JSON
	says   string
	unit   string // as benchstat knows it
	factor float64
	of     func(Run) *float64 // nil: not known
}

var metrics = []metric{
	{"rate", "requests per second", "req/s", 1, func(r Run) *float64 { return some(r.Rate) }},
	{"cpu", "CPU time per request", "cpu-ns/req", 1000, func(r Run) *float64 { return some(r.CPU) }},
	{"p50", "latency, 50 %", "p50-ns", 1000, func(r Run) *float64 { return some(r.P50) }},
	{"p99", "latency, 99 %", "p99-ns", 1000, func(r Run) *float64 { return some(r.P99) }},
	{"user", "user time per request", "user-ns/req", 1000, func(r Run) *float64 { return some(r.User) }},
	{"system", "system time per request", "sys-ns/req", 1000, func(r Run) *float64 { return some(r.System) }},
	{"starved", "time without a CPU per request", "starved-ns/req", 1000, func(r Run) *float64 { return r.Starved }},
	{"voluntary", "voluntary switches per request", "vcsw/req", 1, func(r Run) *float64 { return r.Voluntary }},
	{"involuntary", "involuntary switches per request", "ivcsw/req", 1, func(r Run) *float64 { return r.Involuntary }},
	{"pss", "memory", "pss-B", 1, func(r Run) *float64 { return some(float64(r.PSS)) }},
	{"per_client", "memory per client", "B/client", 1, func(r Run) *float64 { return r.PerClient }},
	{"threads", "threads", "threads", 1, func(r Run) *float64 { return some(float64(r.Threads)) }},
	{"processes", "processes", "processes", 1, func(r Run) *float64 { return some(float64(r.Processes)) }},
	{"files", "descriptors", "files", 1, func(r Run) *float64 { return some(float64(r.Files)) }},
	{"queued", "bytes in kernel queues", "queued-B", 1, func(r Run) *float64 { return some(float64(r.Queued)) }},
	{"idle_cpu", "CPU time while silent, ms per s", "idle-cpu-ms/s", 1, func(r Run) *float64 {
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

// enough is how many runs of each of two servers it takes until a difference
// can be told from chance: with four of each the least p is 0.03, and one that
// does not count is one too few.
const enough = 4

func estimate(values []float64) Estimate {
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

// A Verdict is what comes of a comparison.
type Verdict struct {
	Ratio     float64 `json:"ratio"` // of the medians
	P         float64 `json:"p"`     // how probable such a difference is if there is none: Mann-Whitney U
	Noise     float64 `json:"noise"` // how much one server differed from itself
	Different bool    `json:"different"`
}

// compare passes a verdict: two samples differ if chance hardly explains it, and
// if by more than the same server differs from itself.
func compare(a, b []float64, noise float64) Verdict {
	x := benchmath.NewSample(a, &benchmath.DefaultThresholds)
	y := benchmath.NewSample(b, &benchmath.DefaultThresholds)
	c := benchmath.AssumeNothing.Compare(x, y)
	v := Verdict{Ratio: ratio(a, b), P: c.P, Noise: noise}
	if math.IsNaN(v.P) { // all values are the same
		v.P = 1
	}
	v.Different = v.P < c.Alpha && math.Abs(v.Ratio-1) > noise
	return v
}

// ratio is that of the medians, and 1 where there is nothing to divide by.
func ratio(a, b []float64) float64 {
	if x := estimate(a).Median; x != 0 {
		return estimate(b).Median / x
	}
	return 1
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
		c.Invalid = fmt.Sprintf("%d of %d runs do not count: %s", len(c.Runs)-len(valid), len(c.Runs), c.whyInvalid())
	}
	c.Summary = map[string]Estimate{}
	for _, m := range metrics {
		if values := c.values(m); len(values) > 0 {
			c.Summary[m.name] = estimate(values)
		}
	}
}

// whyInvalid is the reason of the last run that does not count.
func (c *Cell) whyInvalid() (why string) {
	for _, r := range c.Runs {
		if r.Invalid != "" {
			why = r.Invalid
		}
	}
	return why
}

// tooNoisy is a difference of a server from itself with which nothing can be
// said of others.
const tooNoisy = 0.15

// compareAll compares all subjects with the reference, at one point.
func (r *Result) compareAll(point int) {
	first := &r.Subjects[r.First].Cells[point]
	if first.Invalid != "" || r.Subjects[r.First].Failure != "" {
		return
	}
	for i := range r.Subjects {
		cell := &r.Subjects[i].Cells[point]
		if i != r.First && cell.Invalid == "" && r.Subjects[i].Failure == "" {
			cell.Against = r.verdicts(*first, *cell, point)
		}
	}
}

// verdicts compare b with a, in all metrics of which both have figures.
func (r *Result) verdicts(a, b Cell, point int) map[string]Verdict {
	all := map[string]Verdict{}
	for _, name := range compared {
		m := metricNamed(name)
		before, after, noise := a.values(m), b.values(m), r.noise(point, m)
		if len(before) > 0 && len(after) > 0 && noise <= tooNoisy {
			all[name] = compare(before, after, noise)
		}
	}
	return all
}

// noise is how much the reference differs from itself: of the two medians.
func (r *Result) noise(point int, m metric) float64 {
	last := r.Subjects[len(r.Subjects)-1]
	first := r.Subjects[r.First].Cells[point]
	a, b := first.values(m), last.Cells[point].values(m)
	if !last.Again || first.Invalid != "" || last.Cells[point].Invalid != "" || len(a) == 0 || len(b) == 0 {
		return 0
	}
	return math.Abs(ratio(a, b) - 1)
}

// compareWith compares each subject with itself in an earlier result.
func (r *Result) compareWith(earlier Result, point int) {
	for i := range r.Subjects {
		s := &r.Subjects[i]
		before, found := earlier.cell(s.Name, r.Points[point])
		cell := &s.Cells[point]
		if found && cell.Invalid == "" && before.Invalid == "" {
			cell.Before = r.verdicts(before, *cell, point)
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
