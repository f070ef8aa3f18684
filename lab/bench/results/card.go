package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"socketlab/lab/bench"
	"socketlab/lab/text"
)

// card is a model's own figures, as its page in docs shows them.
func card(model string, of figures) string {
	var b strings.Builder
	t := text.Table{Head: []string{"echo, 64 bytes", "requests/s", "p50", "p99", "CPU/req", "threads", "processes", "CPU: as good as C"}}
	rows := map[int]text.Row{} // by number of clients
	for _, experiment := range []string{"echo", "eight"} {
		r := of.results[experiment]
		for j, p := range r.Points {
			s, found := subject(r, model)
			if !found || len(s.Cells[j].Runs) == 0 {
				continue
			}
			figures := s.Cells[j].Figures("rate", "p50", "p99", "cpu", "threads", "processes")
			rows[p.Clients] = text.Row{Name: r.Title(j), Cells: append(figures, asGood(s, j))}
		}
	}
	for _, clients := range slices.Sorted(maps.Keys(rows)) {
		t.Rows = append(t.Rows, rows[clients])
	}
	b.WriteString(t.Markdown())
	says := func(experiment, format string, figures ...string) {
		if s, found := subject(of.results[experiment], model); found && len(s.Cells[0].Runs) > 0 {
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
		if v, known := s.Cells[point].Twins[name]["cpu"]; known {
			all = append(all, v.AsGood("cpu").String()+" of "+name)
		}
	}
	if len(all) == 0 {
		return "–"
	}
	return strings.Join(all, ", ")
}
