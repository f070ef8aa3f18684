package bench

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"socketlab/lab/report"
	"socketlab/lab/text"
)

// Formats are the ways to write a result.
var Formats = report.Formats[Result]{
	{Name: "json", Write: Result.JSON},
	{Name: "csv", Write: Result.CSV},
	{Name: "gobench", Write: Result.GoBench},
	{Name: "hgrm", Write: Result.HGRM},
	{Name: "markdown", Write: Result.Markdown},
	{Name: "html", Write: Result.HTML},
	{Name: "svg", Folder: Result.saveCharts},
}

// Failed reports whether a server did not do what was measured.
func (r Result) Failed() bool {
	return slices.ContainsFunc(r.Subjects, func(s Subject) bool { return s.Failure != "" })
}

// CSV writes a line for each run.
func (r Result) CSV(w io.Writer) error {
	r = r.Harmless()
	out := csv.NewWriter(w)
	head := []string{"subject", "clients", "idle", "size", "round", "invalid", "requests", "seconds"}
	for _, m := range metrics {
		head = append(head, m.name)
	}
	out.Write(head)
	for _, s := range r.Subjects {
		for j, p := range r.Points {
			for _, run := range s.Cells[j].Runs {
				line := []string{
					text.Sheet(s.Name), strconv.Itoa(p.Clients), strconv.Itoa(p.Idle), strconv.Itoa(p.Size),
					strconv.Itoa(run.Round), text.Sheet(run.Invalid), strconv.FormatInt(run.Requests, 10), digits(run.Seconds, 6),
				}
				for _, m := range metrics {
					text := ""
					if v := m.of(run); v != nil {
						text = strconv.FormatFloat(*v, 'f', -1, 64)
					}
					line = append(line, text)
				}
				out.Write(line)
			}
		}
	}
	out.Flush()
	return out.Error()
}

// GoBench writes a line for each run that counts, in the format of Go's own
// benchmarks: benchstat reads it, and others that do.
func (r Result) GoBench(w io.Writer) error {
	r = r.Harmless()
	var b strings.Builder
	fmt.Fprintf(&b, "goos: linux\ncpu: %s\nkernel: %s\n", r.Machine.CPU, r.Machine.Kernel)
	for _, s := range r.Subjects {
		for j, p := range r.Points {
			for _, run := range s.Cells[j].valid() {
				name := strings.Map(func(c rune) rune {
					if c == ' ' || c == '/' {
						return '_'
					}
					return c
				}, s.Name)
				fmt.Fprintf(&b, "Benchmark%s/model=%s/clients=%d/idle=%d/size=%d %d", titled(r.Setting.Mode), name, p.Clients, p.Idle, p.Size, max(1, run.Requests))
				for _, m := range metrics {
					if v := m.of(run); v != nil {
						fmt.Fprintf(&b, " %s %s", strconv.FormatFloat(*v*m.factor, 'f', -1, 64), m.unit)
					}
				}
				b.WriteByte('\n')
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func titled(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

// HGRM writes the percentiles of each histogram, in ms, as HdrHistogram's
// plotter reads them. The plotter takes one histogram for a file, so each has
// a line with its name in front: split the file there.
func (r Result) HGRM(w io.Writer) error {
	r = r.Harmless()
	for _, s := range r.Subjects {
		for j := range r.Points {
			for _, h := range []struct {
				name string
				Histogram
			}{{"", s.Cells[j].Latency}, {", from the moment of sending", s.Cells[j].Naive}} {
				if h.Histogram.Histogram == nil {
					continue
				}
				fmt.Fprintf(w, "#[%s with %s%s]\n", s.Name, r.Title(j), h.name)
				if _, err := h.PercentilesPrint(w, 5, 1e6); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Markdown writes a table for each point, in GitHub's dialect.
func (r Result) Markdown(w io.Writer) error {
	r = r.Harmless()
	var b strings.Builder
	b.WriteString("## lab bench\n\n" + text.Markdown(r.Machine.String()) + "\n")
	if r.Partial {
		b.WriteString("\nPARTIAL: it was interrupted.\n")
	}
	for _, t := range r.Tables() {
		b.WriteString("\n" + t.Markdown())
	}
	for _, line := range r.Sentences() {
		if line != "" {
			b.WriteString("\n" + text.Markdown(strings.TrimSpace(line)) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
