package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"socketlab/lab/bench"
)

// A goal is what the lab asks of its own pages.
type goal struct {
	says  string
	least float64 // 0: there is no least
	most  float64
	of    func(all figures) []value
}

// A value is one measured figure.
type value struct {
	of string
	is float64
}

// figures are what was measured, by the experiment's name.
type figures struct {
	results    map[string]bench.Result
	benchmarks map[string]string
}

var goals = []goal{
	{"CPU of C blocking / blocking", 0.95, 0, beside("one", "blocking", "blocking", "cpu", true)},
	{"CPU of C select / select", 0.95, 0, beside("echo large", "select", "select", "cpu", true)},
	{"CPU of C poll / poll", 0.95, 0, beside("echo large", "poll", "poll", "cpu", true)},
	{"CPU of C epoll / goroutine", 0.85, 0, beside("echo large", "goroutine", "epoll", "cpu", true)},
	{"CPU of C thread / goroutine", 1.2, 0, beside("echo large", "goroutine", "thread", "cpu", true)},
	{"p99 of blocking / C blocking", 0, 1.2, beside("one", "blocking", "blocking", "p99", false)},
	{"p99 of select / C select", 0, 1.2, beside("echo", "select", "select", "p99", false)},
	{"p99 of poll / C poll", 0, 1.2, beside("echo", "poll", "poll", "p99", false)},
	{"p99 of goroutine / C epoll", 0, 1.2, beside("echo", "goroutine", "epoll", "p99", false)},
	{"connections/s of select / C epoll", 0.9, 0, beside("churn", "select", "epoll", "rate", false)},
	{"connections/s of poll / C epoll", 0.9, 0, beside("churn", "poll", "epoll", "rate", false)},
	{"connections/s of goroutine / C epoll", 0.9, 0, beside("churn", "goroutine", "epoll", "rate", false)},
	{"connections/s of process", 400, 0, median("churn", "process", "rate", 1)},
	{"start of a child / of a bare Go program", 0, 1.15, ratio("child")},
	{"KiB of memory for a silent client, select", 0, 0.3, median("idle", "select", "per_client", 1024)},
	{"KiB of memory for a silent client, poll", 0, 0.3, median("idle", "poll", "per_client", 1024)},
	{"KiB of memory for a silent client, goroutine", 0, 9, median("idle", "goroutine", "per_client", 1024)},
	{"KiB of memory for a silent client, process", 0, 870, median("idle", "process", "per_client", 1024)},
	{"CPU of the generator / of one in C", 0, 1.15, ratio("generator")},
}

// beside divides a model's medians by its twin's, or the other way round.
func beside(experiments, model, twin, metric string, upsideDown bool) func(figures) []value {
	return func(all figures) (values []value) {
		for name := range strings.FieldsSeq(experiments) {
			r := all.results[name]
			m, found := subject(r, model)
			c, found2 := subject(r, "C "+twin)
			if !found || !found2 {
				continue
			}
			for j, p := range r.Points {
				a, b := m.Cells[j].Summary[metric].Median, c.Cells[j].Summary[metric].Median
				if upsideDown {
					a, b = b, a
				}
				if a > 0 && b > 0 && m.Cells[j].Invalid == "" && c.Cells[j].Invalid == "" {
					values = append(values, value{fmt.Sprintf("%d × %d B", p.Clients, p.Size), a / b})
				}
			}
		}
		return values
	}
}

func median(experiment, model, metric string, unit float64) func(figures) []value {
	return func(all figures) (values []value) {
		r := all.results[experiment]
		if s, found := subject(r, model); found && len(s.Cells[0].Runs) > 0 {
			values = append(values, value{"", s.Cells[0].Summary[metric].Median / unit})
		}
		return values
	}
}

// ratio reads what a Go benchmark says of itself.
func ratio(benchmark string) func(figures) []value {
	line := regexp.MustCompile(`(?m)^Benchmark(?:\w+/clients=(\d+))?.*?\s([\d.]+) ratio`)
	return func(all figures) (values []value) {
		for _, found := range line.FindAllStringSubmatch(all.benchmarks[benchmark], -1) {
			x, _ := strconv.ParseFloat(found[2], 64) // digits and a point: it is one
			values = append(values, value{found[1], x})
		}
		return values
	}
}

// met tells all goals, and where they are missed.
func met(all figures) string {
	var b strings.Builder
	b.WriteString("| goal | measured | |\n|---|---|---|\n")
	for _, g := range goals {
		limit, worst := fmt.Sprintf("≥ %v", g.least), math.Inf(1)
		if g.most > 0 {
			limit, worst = fmt.Sprintf("≤ %v", g.most), math.Inf(-1)
		}
		var measured []string
		for _, v := range g.of(all) {
			text := strconv.FormatFloat(v.is, 'f', 2, 64)
			if v.is >= 10 {
				text = strconv.FormatFloat(v.is, 'f', 0, 64)
			}
			if v.of != "" {
				text += " (" + v.of + ")"
			}
			measured = append(measured, text)
			if g.most > 0 {
				worst = max(worst, v.is)
			} else {
				worst = min(worst, v.is)
			}
		}
		verdict := "reached"
		switch {
		case len(measured) == 0:
			measured, verdict = []string{"INVALID"}, "?"
		case g.most > 0 && worst > g.most+0.005, worst < g.least-0.005:
			verdict = "missed"
		}
		fmt.Fprintf(&b, "| %s %s | %s | %s |\n", g.says, limit, strings.Join(measured, ", "), verdict)
	}
	return b.String()
}
