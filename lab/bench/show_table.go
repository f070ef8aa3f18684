package bench

import (
	"fmt"
	"io"
	"math"
	"slices"

	"socketlab/lab/report"
	"socketlab/lab/text"
)

// A column is a figure of the table.
type column struct {
	head string
	show func(s Subject, c Cell) string
}

// median is the column of a metric, as show writes it.
func median(head, name string, show func(float64) string) column {
	return column{head, func(_ Subject, c Cell) string { return c.figure(name, show) }}
}

func whole(x float64) string { return text.Number(int(math.Round(x))) }

// columns are those that mean something in the mode.
func (r Result) columns() []column {
	rate := median("requests/s", "rate", si)
	latency := []column{median("p50", "p50", duration), median("p99", "p99", duration)}
	cost := []column{
		median("CPU/req", "cpu", duration),
		{"switches", switches},
		median("memory", "pss", size),
		{"CPU is", Subject.verdict},
	}
	switch r.Setting.Mode {
	case "idle":
		return []column{
			{"memory/client", perClient},
			median("in all", "pss", size),
			median("processes", "processes", whole),
			median("threads", "threads", whole),
			median("files", "files", whole),
			{"CPU ms/s", func(_ Subject, c Cell) string { return digits(c.Summary["idle_cpu"].Median, 2) }},
		}
	case "rate":
		naive := column{"naive p99", func(_ Subject, c Cell) string {
			if c.Naive.Histogram == nil {
				return "–"
			}
			return duration(float64(c.Naive.ValueAtPercentile(99)) / 1000)
		}}
		late := column{"late", func(_ Subject, c Cell) string {
			late, all := c.late()
			if all == 0 {
				return "–"
			}
			return percent(float64(late) / float64(all))
		}}
		return slices.Concat([]column{rate}, latency, []column{naive, late}, cost[:1], cost[3:])
	case "churn":
		rate.head = "connects/s"
	}
	spread := column{"±", func(_ Subject, c Cell) string {
		if e := c.Summary["rate"]; e.Confidence > 0 {
			return percent(e.spread())
		}
		return ""
	}}
	return slices.Concat([]column{rate, spread}, latency, cost)
}

func switches(_ Subject, c Cell) string {
	voluntary, known := c.Summary["voluntary"]
	involuntary := c.Summary["involuntary"]
	if !known && involuntary.Runs == 0 {
		return "–"
	}
	if write := func(n float64) string { return fmt.Sprintf("%.2f", n) }; c.Invalid != "" {
		return about(voluntary.Median+involuntary.Median, write)
	}
	return fmt.Sprintf("%.2f", voluntary.Median+involuntary.Median)
}

func perClient(_ Subject, c Cell) string {
	e, known := c.Summary["per_client"]
	if !known {
		return "–"
	}
	return size(e.Median)
}

// late counts the requests that an open loop could not send in time, in all runs.
func (c Cell) late() (late, all int64) {
	for _, r := range c.Runs {
		late += r.Late + r.Unsent
		all += r.Requests + r.Unsent
	}
	return late, all
}

// verdict is what the comparison of CPU time with the first subject says.
func (s Subject) verdict(c Cell) string {
	v, compared := c.Against["cpu"]
	switch {
	case !compared && c.Noisy["cpu"].Different:
		return "~× " + times(c.Noisy["cpu"].Ratio)
	case !compared:
		return ""
	case v.Different && v.Ratio < 0.0995:
		return "× " + digits(v.Ratio, 2)
	case v.Different:
		return "× " + times(v.Ratio)
	case v.same():
		return "the same"
	}
	return "?"
}

// Text writes the result for people: a table of 80 columns, and in sentences
// what the table cannot say.
func (r Result) Text(w io.Writer, style report.Style) {
	r = r.Harmless()
	if r.Partial {
		fmt.Fprintf(w, "PARTIAL: it was interrupted; this is what there is.\n\n")
	}
	for j, t := range r.tables() {
		if j > 0 {
			fmt.Fprintln(w)
		}
		t.Text(w, style.Color)
	}
	for _, line := range r.Sentences() {
		fmt.Fprintln(w, text.Prose(line, "    ", 80))
	}
}

// tables are the figures at each point, the comparison with the twins, and how
// the cost grows.
func (r Result) tables() (all []text.Table) {
	for j := range r.Points {
		all = append(all, r.At(j))
	}
	for j := range r.Points {
		if t, known := r.AsGoodAt(j); known {
			all = append(all, t)
		}
	}
	if t, known := r.Growth(); known {
		all = append(all, t)
	}
	return all
}

// Figures are medians of a cell, as the table shows them; – if not known.
func (c Cell) Figures(names ...string) (figures []string) {
	write := map[string]func(float64) string{
		"rate": si, "p50": duration, "p99": duration, "cpu": duration, "per_client": size, "pss": size,
		"threads": whole, "processes": whole, "files": whole,
	}
	for _, name := range names {
		figures = append(figures, c.figure(name, write[name]))
	}
	return figures
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
