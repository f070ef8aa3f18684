package main

import (
	"cmp"
	"fmt"

	"socketlab/lab/bench"
	"socketlab/lab/text"
)

// figures are what was measured, by the experiment's name.
type figures struct {
	results map[string]bench.Result
	ratios  map[string][]ratio
}

// A goal is what the lab asks of its own pages.
type goal struct {
	says  string
	least float64 // 0: there is no least
	most  float64 // 0: there is no most
	of    func(all figures) map[string]bench.Verdict
}

// crowds are numbers of clients: the columns of those goals that have a value for each.
var crowds = []string{"10 clients", "100 clients", "1,000 clients"}

var crowded = []goal{
	{"CPU of C select / select, 64 B", 0.95, 0, beside("echo", "select", "select", "cpu")},
	{"CPU of C select / select, 4 KiB", 0.95, 0, beside("large", "select", "select", "cpu")},
	{"CPU of C poll / poll, 64 B", 0.95, 0, beside("echo", "poll", "poll", "cpu")},
	{"CPU of C poll / poll, 4 KiB", 0.95, 0, beside("large", "poll", "poll", "cpu")},
	{"CPU of C epoll / goroutine, 64 B", 0.85, 0, beside("echo", "goroutine", "epoll", "cpu")},
	{"CPU of C epoll / goroutine, 4 KiB", 0.85, 0, beside("large", "goroutine", "epoll", "cpu")},
	{"CPU of C thread / goroutine, 64 B", 1.2, 0, beside("echo", "goroutine", "thread", "cpu")},
	{"CPU of C thread / goroutine, 4 KiB", 1.2, 0, beside("large", "goroutine", "thread", "cpu")},
	{"p99 of select / C select", 0, 1.2, beside("echo", "select", "select", "p99")},
	{"p99 of poll / C poll", 0, 1.2, beside("echo", "poll", "poll", "p99")},
	{"p99 of goroutine / C epoll", 0, 1.2, beside("echo", "goroutine", "epoll", "p99")},
	{"CPU of the generator / of one in C", 0, 1.15, benchmark("generator")},
}

// alone are those with one value; of the blocking model it is that with one client.
var alone = []goal{
	{"CPU of C blocking / blocking, 64 B", 0.95, 0, beside("echo", "blocking", "blocking", "cpu")},
	{"CPU of C blocking / blocking, 4 KiB", 0.95, 0, beside("large", "blocking", "blocking", "cpu")},
	{"p99 of blocking / C blocking", 0, 1.2, beside("echo", "blocking", "blocking", "p99")},
	{"connections/s of select / C epoll", 0.9, 0, beside("churn", "select", "epoll", "rate")},
	{"connections/s of poll / C epoll", 0.9, 0, beside("churn", "poll", "epoll", "rate")},
	{"connections/s of goroutine / C epoll", 0.9, 0, beside("churn", "goroutine", "epoll", "rate")},
	{"connections/s of process", 400, 0, median("churn", "process", "rate", 1)},
	{"start of a child / of a bare Go program", 0, 1.15, benchmark("child")},
	{"KiB of memory for a silent client, select", 0, 0.3, median("idle", "select", "per_client", 1024)},
	{"KiB of memory for a silent client, poll", 0, 0.3, median("idle", "poll", "per_client", 1024)},
	{"KiB of memory for a silent client, goroutine", 0, 9, median("idle", "goroutine", "per_client", 1024)},
	{"KiB of memory for a silent client, process", 0, 870, median("idle", "process", "per_client", 1024)},
}

// beside is a model beside a twin in C: costs upside down but for p99, whose
// goal is a most.
func beside(experiment, model, twin, metric string) func(figures) map[string]bench.Verdict {
	return func(all figures) map[string]bench.Verdict {
		r, values := all.results[experiment], map[string]bench.Verdict{}
		for j := range r.Points {
			v, known := r.Compare(model, "C "+twin, j, metric)
			if !known {
				continue
			}
			if metric == "cpu" {
				v = v.AsGood(metric)
			}
			values[column(r, j)] = v
		}
		return values
	}
}

// column is where a value stands: with its number of clients, or alone. A goal
// with columns has none for one client.
func column(r bench.Result, point int) string {
	if len(r.Points) == 1 || r.Points[point].Clients == 1 {
		return ""
	}
	return r.Title(point)
}

func median(experiment, model, metric string, unit float64) func(figures) map[string]bench.Verdict {
	return func(all figures) map[string]bench.Verdict {
		s, found := subject(all.results[experiment], model)
		if !found || s.Cells[0].Invalid != "" || s.Cells[0].Summary[metric].Runs == 0 {
			return nil
		}
		e := s.Cells[0].Summary[metric]
		e.Median, e.Lo, e.Hi = e.Median/unit, e.Lo/unit, e.Hi/unit
		return map[string]bench.Verdict{"": verdict(e)}
	}
}

func benchmark(name string) func(figures) map[string]bench.Verdict {
	return func(all figures) map[string]bench.Verdict {
		values := map[string]bench.Verdict{}
		for _, r := range all.ratios[name] {
			values[r.of] = verdict(bench.NewEstimate(r.each["ratio"]))
		}
		return values
	}
}

// An outcome is what can be said of a goal.
type outcome string

const (
	reached   outcome = "✓" // the whole interval is on the right side
	missed    outcome = "✗" // the whole interval is on the wrong side
	undecided outcome = "?" // the goal is within the interval, or there is none
)

func (g goal) outcome(v bench.Verdict) outcome {
	if v.Confidence == 0 {
		return undecided
	}
	good, bad := v.Lo >= g.least, v.Hi < g.least
	if g.most > 0 {
		good, bad = v.Hi <= g.most, v.Lo > g.most
	}
	switch {
	case good:
		return reached
	case bad:
		return missed
	}
	return undecided
}

// limit is the goal as a number.
func (g goal) limit() string {
	if g.most > 0 {
		return fmt.Sprintf("≤ %v", g.most)
	}
	return fmt.Sprintf("≥ %v", g.least)
}

// met tells all goals.
func met(all figures) string {
	count := map[outcome]int{}
	table := func(goals []goal, columns ...string) string {
		t := text.Table{Head: []string{"", "goal"}}
		for _, column := range columns {
			t.Head = append(t.Head, cmp.Or(column, "measured"))
		}
		for _, g := range goals {
			row, values := text.Row{Name: g.says, Cells: []string{g.limit()}}, g.of(all)
			for _, column := range columns {
				text := "–"
				if v, known := values[column]; known {
					o := g.outcome(v)
					count[o]++
					text = string(o) + " " + v.String()
				}
				row.Cells = append(row.Cells, text)
			}
			t.Rows = append(t.Rows, row)
		}
		return t.Markdown()
	}
	tables := table(crowded, crowds...) + "\n" + table(alone, "")
	return fmt.Sprintf("✓ reached: %d; ✗ missed: %d; ? not decided, since the goal is within the interval: %d.\n\n%s", count[reached], count[missed], count[undecided], tables)
}
