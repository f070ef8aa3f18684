package main

import (
	"fmt"
	"strings"

	"socketlab/lab/bench"
)

// card is a model's own figures, as its page in docs shows them.
func card(model string, of map[string]bench.Result) string {
	var b strings.Builder
	b.WriteString("| echo, 64 bytes | requests/s | p50 | p99 | CPU/req | threads | processes | as good as C |\n|---|--:|--:|--:|--:|--:|--:|---|\n")
	for _, experiment := range []string{"one", "echo", "eight"} {
		r := of[experiment]
		for j, p := range r.Points {
			s, found := subject(r, model)
			if !found || len(s.Cells[j].Runs) == 0 || p.Size != 64 {
				continue
			}
			clients := fmt.Sprintf("%d clients", p.Clients)
			if p.Clients == 1 {
				clients = "1 client"
			}
			row := append([]string{clients}, s.Cells[j].Figures("rate", "p50", "p99", "cpu", "threads", "processes")...)
			fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(row, " | "), asGood(s, j))
		}
	}
	says := func(experiment, format string, figures ...string) {
		if s, found := subject(of[experiment], model); found && len(s.Cells[0].Runs) > 0 {
			var args []any
			for _, figure := range s.Cells[0].Figures(figures...) {
				args = append(args, figure)
			}
			fmt.Fprintf(&b, format, args...)
		}
	}
	b.WriteByte('\n')
	says("churn", "Connect, ask, close, 8 clients at a time: %s connections/s, %s of CPU time for each.\n", "rate", "cpu")
	says("idle", "A silent client, of 1,000: %s of memory. Processes, threads with all of them: %s, %s.\n", "per_client", "processes", "threads")
	return b.String()
}

// asGood is the CPU time of each C twin, divided by the model's.
func asGood(s bench.Subject, point int) string {
	var all []string
	for _, name := range s.Twins {
		text := "–"
		if v, known := s.Cells[point].Twins[name]["cpu"]; known && v.Ratio > 0 {
			text = fmt.Sprintf("%.2f of %s", 1/v.Ratio, name)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func subject(r bench.Result, name string) (bench.Subject, bool) {
	for _, s := range r.Subjects {
		if s.Name == name {
			return s, true
		}
	}
	return bench.Subject{}, false
}
