package bench

import (
	"fmt"
	"io"

	"socketlab/lab/report"
	"socketlab/lab/text"
)

// A column is a figure of the table.
type column struct {
	head string
	show func(Cell) string
}

// median is the column of a metric.
func median(head, metric string) column {
	return column{head, func(c Cell) string { return c.Figures(metric)[0] }}
}

// columns are those that mean something in the mode.
func (r Result) columns() []column {
	rate, p50, p99, cpu := median("requests/s", "rate"), median("p50", "p50"), median("p99", "p99"), median("CPU/req", "cpu")
	switch r.Setting.Mode {
	case "idle":
		return []column{
			median("memory/client", "per_client"), median("in all", "pss"), median("processes", "processes"),
			median("threads", "threads"), median("files", "files"), median("CPU ms/s", "idle_cpu"),
		}
	case "rate":
		return []column{rate, p50, p99, {"naive p99", naiveP99}, {"late", lateShare}, cpu, {"CPU is", Cell.verdict}}
	case "churn":
		rate.head = "connects/s"
	}
	return []column{rate, {"±", spread}, p50, p99, cpu, {"switches", switches}, median("memory", "pss"), {"CPU is", Cell.verdict}}
}

func naiveP99(c Cell) string {
	if c.Naive.Histogram == nil {
		return "–"
	}
	return duration(float64(c.Naive.ValueAtPercentile(99)) / 1000)
}

func lateShare(c Cell) string {
	late, all := c.late()
	if all == 0 {
		return "–"
	}
	return percent(float64(late) / float64(all))
}

func spread(c Cell) string {
	if e := c.Summary["rate"]; e.Confidence > 0 {
		return percent(e.spread())
	}
	return ""
}

func switches(c Cell) string {
	voluntary, involuntary := c.Summary["voluntary"], c.Summary["involuntary"]
	switch sum := voluntary.Median + involuntary.Median; {
	case voluntary.Runs+involuntary.Runs == 0:
		return "–"
	case c.Invalid != "":
		return about(sum, hundredths)
	default:
		return hundredths(sum)
	}
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
func (c Cell) verdict() string {
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
	for j, t := range r.Tables() {
		if j > 0 {
			fmt.Fprintln(w)
		}
		t.Text(w, style.Color)
	}
	for _, line := range r.Sentences() {
		fmt.Fprintln(w, text.Prose(line, "    ", 80))
	}
}

// Tables are the figures at each point, the comparison with the twins, and how
// the cost grows.
func (r Result) Tables() (all []text.Table) {
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
