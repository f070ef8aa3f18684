package main

import (
	"fmt"
	"strconv"
	"strings"

	"socketlab/lab/bench"
	"socketlab/lab/text"
)

// questions are what a metric is the answer to.
var questions = map[string]string{
	"cpu":  "CPU time of the server for a request",
	"rate": "Requests per second",
	"p99":  "99 of 100 requests took at most",
}

// over shows metrics over the points, a table for each; and the CPU time beside
// that of the twins.
func over(metrics ...string) func(bench.Result) string {
	return func(r bench.Result) string {
		var b strings.Builder
		for _, metric := range metrics {
			fmt.Fprintf(&b, "%s:\n\n%s\n", questions[metric], overPoints(r, metric).Markdown())
			if metric == "cpu" {
				fmt.Fprintf(&b, "The twin's CPU time divided by the model's, in the same round: the median and its interval; more is better:\n\n%s\n", besideTwins(r, "cpu").Markdown())
			}
		}
		return b.String()
	}
}

// overPoints has a metric of all subjects, over the points.
func overPoints(r bench.Result, metric string) (t text.Table) {
	t.Head = headOver(r)
	for _, s := range r.Subjects {
		if s.Again {
			continue
		}
		row := text.Row{Name: s.Name}
		for _, cell := range s.Cells {
			row.Cells = append(row.Cells, cell.Figures(metric)...)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// besideTwins is how good each subject is in a metric where its twin is 1.
func besideTwins(r bench.Result, metric string) (t text.Table) {
	t.Head = headOver(r)
	for _, s := range r.Subjects {
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

func headOver(r bench.Result) []string {
	head := []string{""}
	for j := range r.Points {
		head = append(head, r.Title(j))
	}
	return head
}

// all shows everything at the only point that there is.
func all(r bench.Result) string {
	text := r.At(0).Markdown()
	if t, known := r.AsGoodAt(0); known {
		text += "\n" + t.Markdown()
	}
	return text
}

// growth is how the CPU time grows.
func growth(r bench.Result) string {
	t := overPoints(r, "cpu")
	t.Head = append(t.Head, "as a line")
	for i := range t.Rows {
		says := "–"
		if s, found := subject(r, t.Rows[i].Name); found && s.Fit != nil {
			says = s.Fit.Says
		}
		t.Rows[i].Cells = append(t.Rows[i].Cells, says)
	}
	return t.Markdown()
}

func subject(r bench.Result, name string) (bench.Subject, bool) {
	for _, s := range r.Subjects {
		if s.Name == name {
			return s, true
		}
	}
	return bench.Subject{}, false
}

// A ratio is what a Go benchmark says of itself, each time that it is run.
type ratio struct {
	of    string // which case; "": there is but one
	units []string
	each  map[string][]float64 // by unit
}

// parseBenchmark reads lines of "BenchmarkName/case-2  9  1.083 ratio  5.6 µs/req".
func parseBenchmark(report string) (all []ratio) {
	for line := range strings.Lines(report) {
		fields := strings.Fields(line)
		of := ""
		if _, clients, found := strings.Cut(fields[0], "/clients="); found {
			clients, _, _ = strings.Cut(clients, "-") // GOMAXPROCS
			n, _ := strconv.Atoi(clients)             // the benchmark wrote a number
			of = text.Count(n, "client")
		}
		if len(all) == 0 || all[len(all)-1].of != of {
			all = append(all, ratio{of: of, each: map[string][]float64{}})
		}
		r := &all[len(all)-1]
		for i := 2; i+1 < len(fields); i += 2 {
			x, _ := strconv.ParseFloat(fields[i], 64) // so it did here
			if len(r.each[fields[i+1]]) == 0 {
				r.units = append(r.units, fields[i+1])
			}
			r.each[fields[i+1]] = append(r.each[fields[i+1]], x)
		}
	}
	return all
}

func showRatios(args string, all []ratio) string {
	var t text.Table
	for _, r := range all {
		t.Head = append([]string{""}, r.units...)
		row := text.Row{Name: r.of}
		for _, unit := range r.units {
			e := bench.NewEstimate(r.each[unit])
			figure := strconv.FormatFloat(e.Median, 'g', 4, 64)
			if unit == "ratio" {
				figure = verdict(e).String()
			}
			row.Cells = append(row.Cells, figure)
		}
		t.Rows = append(t.Rows, row)
	}
	return "```sh\ngo test " + args + "\n```\n\n" + t.Markdown()
}

// verdict is an estimate, to be held to a goal as ratios are.
func verdict(e bench.Estimate) bench.Verdict {
	return bench.Verdict{Ratio: e.Median, Lo: e.Lo, Hi: e.Hi, Confidence: e.Confidence, Rounds: e.Runs}
}
