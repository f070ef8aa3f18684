package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"socketlab/lab/report"
	"socketlab/lab/text"
)

// A column is a figure of the table.
type column struct {
	head  string
	width int
	show  func(s Subject, c Cell) string
}

// median is the column of a metric, as show writes it.
func median(head string, width int, name string, show func(float64) string) column {
	return column{head, width, func(_ Subject, c Cell) string { return c.figure(name, show) }}
}

func whole(x float64) string { return text.Number(int(math.Round(x))) }

// columns are those that mean something in the mode.
func (r Result) columns() []column {
	rate := median("requests/s", 11, "rate", si)
	latency := []column{median("p50", 8, "p50", duration), median("p99", 8, "p99", duration)}
	cost := []column{
		median("CPU/req", 8, "cpu", duration),
		{"switches", 9, switches},
		median("memory", 9, "pss", size),
		{"CPU is", 9, Subject.verdict},
	}
	switch r.Setting.Mode {
	case "idle":
		return []column{
			{"memory/client", 14, perClient},
			median("in all", 10, "pss", size),
			median("processes", 10, "processes", whole),
			median("threads", 9, "threads", whole),
			median("files", 9, "files", whole),
			{"CPU ms/s", 9, func(_ Subject, c Cell) string { return digits(c.Summary["idle_cpu"].Median, 2) }},
		}
	case "rate":
		naive := column{"naive p99", 10, func(_ Subject, c Cell) string {
			if c.Naive.Histogram == nil {
				return "–"
			}
			return duration(float64(c.Naive.ValueAtPercentile(99)) / 1000)
		}}
		late := column{"late", 7, func(_ Subject, c Cell) string {
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
	spread := column{"±", 6, func(_ Subject, c Cell) string {
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

// late counts what an open loop could not send in time, in all runs.
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
	r = r.harmless()
	if r.Partial {
		fmt.Fprintf(w, "PARTIAL: it was interrupted; this is what there is.\n\n")
	}
	for j, p := range r.Points {
		if j > 0 {
			fmt.Fprintln(w)
		}
		r.table(w, style, j, r.title(p))
	}
	for j := range r.Points {
		r.twinsTable(w, style, j)
	}
	r.growthTable(w, style)
	for _, line := range r.Sentences() {
		fmt.Fprintln(w, text.Prose(line, "    ", 80))
	}
}

func (r Result) table(w io.Writer, style report.Style, point int, title string) {
	columns := r.columns()
	label := 80
	for _, c := range columns {
		label -= c.width
	}
	row := text.Left(title, label)
	if text.Width(title) >= label {
		fmt.Fprintln(w, title)
		row = text.Left("", label)
	}
	for _, c := range columns {
		row += text.Right(c.head, c.width)
	}
	fmt.Fprintln(w, paint(style, "1", strings.TrimRight(row, " ")))
	for _, s := range r.Subjects {
		row := text.Left(" "+s.label(label-2), label)
		cells := r.row(s, point)
		if len(cells) < len(columns) {
			row += "  " + cells[0]
		} else {
			for i, c := range columns {
				row += text.Right(cells[i], c.width)
			}
		}
		if s.Failure != "" {
			row = paint(style, "7", strings.TrimRight(row, " ")) // inverse: not by colour alone
		}
		fmt.Fprintln(w, strings.TrimRight(row, " "))
	}
}

func (r Result) growthTable(w io.Writer, style report.Style) {
	t, known := r.Growth()
	if !known {
		return
	}
	const label = 15
	fmt.Fprintln(w)
	fmt.Fprintln(w, paint(style, "1", text.Left(t.Head[0], label)+t.Head[1]))
	for _, row := range t.Rows {
		fmt.Fprintln(w, text.Left(" "+text.Shorten(row.Name, label-2), label)+row.Cells[0])
	}
}

// label is the subject's name in so many columns.
func (s Subject) label(most int) string {
	name := s.Name
	if s.Again && text.Width(name) > most {
		return "… again"
	}
	return text.Shorten(name, most)
}

func paint(style report.Style, code, s string) string {
	if !style.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
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
