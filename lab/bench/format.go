package bench

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"socketlab/lab/report"
	"socketlab/lab/text"
)

// A format is one way to write a result.
type format struct {
	name  string
	write func(Result, io.Writer) error
}

// formats but for svg, which is several files.
var formats = []format{
	{"json", Result.JSON},
	{"csv", Result.CSV},
	{"gobench", Result.GoBench},
	{"hgrm", Result.HGRM},
	{"markdown", Result.Markdown},
	{"html", Result.HTML},
}

// A Target is where a report goes, and in which format: the value of --report.
type Target struct{ report.Target }

// UnmarshalText takes FORMAT=FILE.
func (t *Target) UnmarshalText(text []byte) error {
	t.Format, t.File, _ = strings.Cut(string(text), "=")
	known := []string{}
	for _, f := range formats {
		known = append(known, f.name)
	}
	known = append(known, "svg")
	switch {
	case !slices.Contains(known, t.Format):
		return fmt.Errorf("no format %q; there are %s", t.Format, strings.Join(known, ", "))
	case t.File == "" && t.Format == "svg":
		return errors.New("where to? say svg=FOLDER")
	case t.File == "":
		return fmt.Errorf("where to? say %s=FILE; - is standard output", t.Format)
	}
	return nil
}

// CheckTargets reports whether the folder of each report is there: it would be a
// pity to find out when all is measured.
func CheckTargets(targets []Target) error {
	for _, to := range targets {
		if to.File == "-" || to.Format == "svg" {
			continue
		}
		if _, err := os.Stat(filepath.Dir(to.File)); err != nil {
			return fmt.Errorf("cannot write the %s report to %s: there is no folder %s", to.Format, to.File, filepath.Dir(to.File))
		}
	}
	return nil
}

// SaveAll writes all reports, also if one of them cannot be written.
func (r Result) SaveAll(targets []Target) error {
	var errs []error
	for _, to := range targets {
		errs = append(errs, r.save(to))
	}
	return errors.Join(errs...)
}

func (r Result) save(to Target) error {
	if to.Format == "svg" {
		return r.saveCharts(to.File)
	}
	i := slices.IndexFunc(formats, func(f format) bool { return f.name == to.Format })
	var text bytes.Buffer
	if err := formats[i].write(r, &text); err != nil {
		return fmt.Errorf("cannot make the %s report: %w", to.Format, err)
	}
	return to.Write(text.Bytes())
}

// Failed reports whether a server did not do what was measured.
func (r Result) Failed() bool {
	return slices.ContainsFunc(r.Subjects, func(s Subject) bool { return s.Failure != "" })
}

// CSV writes a line for each run.
func (r Result) CSV(w io.Writer) error {
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
					text.Line(s.Name), strconv.Itoa(p.Clients), strconv.Itoa(p.Idle), strconv.Itoa(p.Size),
					strconv.Itoa(run.Round), run.Invalid, strconv.FormatInt(run.Requests, 10), digits(run.Seconds, 6),
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
				}, text.Line(s.Name))
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
	for _, s := range r.Subjects {
		for j, p := range r.Points {
			for _, h := range []struct {
				name string
				Histogram
			}{{"", s.Cells[j].Latency}, {", from the moment of sending", s.Cells[j].Naive}} {
				if h.Histogram.Histogram == nil {
					continue
				}
				fmt.Fprintf(w, "#[%s with %s%s]\n", text.Line(s.Name), r.title(p), h.name)
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
	var b strings.Builder
	b.WriteString("## lab bench\n\n" + text.Markdown(r.Machine.String()) + "\n")
	if r.Partial {
		b.WriteString("\nPARTIAL: it was interrupted.\n")
	}
	for j := range r.Points {
		b.WriteString("\n" + r.At(j).Markdown())
	}
	for j := range r.Points {
		if t, known := r.AsGoodAt(j); known {
			b.WriteString("\n" + t.Markdown())
		}
	}
	if t, known := r.Growth(); known {
		b.WriteString("\n" + t.Markdown())
	}
	for _, line := range r.Sentences() {
		switch {
		case line == "":
			continue
		case !strings.HasPrefix(line, "  "):
			b.WriteString("\n")
		}
		b.WriteString(text.Markdown(strings.TrimSpace(line)) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Markdown is the table in GitHub's dialect.
func (t Table) Markdown() string {
	var b strings.Builder
	b.WriteString("| " + strings.Join(t.Head, " | ") + " |\n|---" + strings.Repeat("|--:", len(t.Head)-1) + "|\n")
	for _, row := range t.Rows {
		fmt.Fprintf(&b, "| %s | %s |\n", text.Markdown(row.Name), strings.Join(row.Cells, " | "))
	}
	return b.String()
}
