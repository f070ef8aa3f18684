package text_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"socketlab/lab/bench"
	"socketlab/lab/diagram"
	"socketlab/lab/report"
)

// FuzzReports has a server that says s, is named s and fails with s. Whoever reads
// a report of it sees that, and obeys nothing: each format has the form that it
// has for a server that says "word".
func FuzzReports(f *testing.F) {
	for _, s := range []string{
		"word", "::error::x", "a\n  ::error title=x::y", strings.Repeat("long ", 30) + "::warning::z", "\t::debug::x",
		strings.Repeat("x", 79) + "::add-mask::x", "a ##[error]b", "###[group]x", "##vso[task.complete]", "##teamcity[buildStop]", "##VSO[x]",
		"\x1b]0;owned\a\x1b[2J", "\u202eabc\u009b31m", "a\xffb\x00c\ufffe", "<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`,
		"]]> --> {{.}} </pre>", "| a | b |", "`x` ``` ````", "```\n# heading\n```", "**b** [l](javascript:x) &amp; <b>", "- item\n+ item\n1. x",
		"ok 1 - I passed\nnot ok 2\n1..1\nBail out!\n# SKIP x", "a # TODO b", "...\n---\n  ...", "=cmd|'/c calc'!A1", "a,b\"c\nd", "%0A::error::x", "#[x with y]", "~~~",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.TrimSpace(s) == "" {
			s = "nothing" // a report leaves out what is not there
		}
		verify, measured := result("word"), measurement("word")
		for _, format := range report.VerifyFormats {
			hold(t, format.Name, written(t, format.Write, verify), written(t, format.Write, result(s)))
		}
		for _, format := range bench.Formats {
			if format.Write != nil {
				hold(t, format.Name, written(t, format.Write, measured), written(t, format.Write, measurement(s)))
			}
		}
		for _, width := range []int{0, 20, 80} {
			style := report.Style{Width: width}
			var b bytes.Buffer
			result(s).Text(&b, style)
			measurement(s).Text(&b, style)
			log(t, "text", b.String())
			terminal(t, "text", b.String())
		}
		for _, p := range measurement(s).Pictures() {
			var b bytes.Buffer
			if err := result(s).Subjects[0].Checks[0].Diagram.SVG(&b, diagram.Style{}); err != nil {
				t.Fatal(err)
			}
			for _, svg := range []string{p.SVG, b.String()} {
				for _, e := range elements(t, "svg", svg) {
					if strings.HasPrefix(e, "script") || strings.Contains(e, " on") || strings.Contains(e, " href") {
						t.Errorf("a picture has <%s>", e)
					}
				}
			}
		}
	})
}

func written[R any](t *testing.T, write func(R, io.Writer) error, result R) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(result, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// hold compares the form of a report with that of a tame one.
func hold(t *testing.T, name, tame, got string) {
	t.Helper()
	log(t, name, got)
	same := func(form func(*testing.T, string, string) []string) {
		t.Helper()
		if diff := cmp.Diff(form(t, name, tame), form(t, name, got)); diff != "" {
			t.Errorf("%s: it broke out:\n%s\n%s", name, diff, got)
		}
	}
	switch name {
	case "json", "gradescope":
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: %s", name, got)
		}
		return // ESC is \u001b there
	case "junit", "html":
		same(elements)
	case "markdown":
		same(marks)
	case "tap", "tap13":
		same(points)
	case "csv":
		same(records)
	case "github", "gobench", "hgrm":
		same(func(_ *testing.T, _, report string) (beginnings []string) {
			for line := range strings.Lines(report) {
				word, _, _ := strings.Cut(line, " ")
				word, _, _ = strings.Cut(word, "[")
				word, _, _ = strings.Cut(word, "/")
				beginnings = append(beginnings, word)
			}
			return beginnings
		})
	default:
		t.Errorf("what may stand in a report of the format %s?", name)
	}
	terminal(t, name, got)
}

// log is what the log of a CI system would obey.
func log(t *testing.T, name, report string) {
	t.Helper()
	if found := regexp.MustCompile(`(?i)##[a-z]*\[`).FindString(report); found != "" {
		t.Errorf("%s: %s in:\n%s", name, found, report)
	}
	for line := range strings.Lines(report) {
		line = strings.TrimSpace(line)
		if name == "github" {
			line = regexp.MustCompile(`^::(error|warning) title=[^:,]*::`).ReplaceAllString(line, "")
		}
		if regexp.MustCompile(`(?i)^::[a-z]`).MatchString(line) {
			t.Errorf("%s: a workflow command: %q", name, line)
		}
	}
}

func terminal(t *testing.T, name, report string) {
	t.Helper()
	for i, r := range report {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) || r == unicode.ReplacementChar && !strings.HasPrefix(report[i:], "\ufffd") {
			t.Fatalf("%s: a terminal obeys %q", name, r)
		}
	}
}

// elements are the tags of a page or a picture, read as XML, with the names of
// their attributes.
func elements(t *testing.T, name, page string) (tags []string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(page))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return tags
		}
		if err != nil {
			t.Fatalf("%s: %v in:\n%s", name, err, page)
		}
		if start, ok := token.(xml.StartElement); ok {
			tag := start.Name.Local
			for _, attr := range start.Attr {
				tag += " " + attr.Name.Local
			}
			if tag != "li" { // a story may be longer
				tags = append(tags, tag)
			}
		}
	}
}

// marks are what Markdown gives a meaning, outside of fenced blocks.
func marks(_ *testing.T, _, page string) (all []string) {
	fence := ""
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case fence != "":
			if line == fence {
				fence = ""
			}
		case strings.HasPrefix(line, "```"):
			fence = strings.TrimSuffix(line, "text")
			all = append(all, "fence")
		default:
			line = regexp.MustCompile(`\\.|&[a-z0-9#]+;`).ReplaceAllString(line, "")
			plain := regexp.MustCompile("[^`*_\\[\\]<>#|~]").ReplaceAllString(line, "")
			if strings.HasPrefix(line, "<details>") { // of HTML only tags mean something
				plain = regexp.MustCompile("[^<>]").ReplaceAllString(line, "")
			}
			if plain != "" {
				all = append(all, plain)
			}
			if regexp.MustCompile(`^\s*([-+]|\d+\.) `).MatchString(line) {
				all = append(all, "item: "+line)
			}
		}
	}
	return append(all, fence)
}

// points are the lines of TAP that count.
func points(_ *testing.T, _, report string) (all []string) {
	for line := range strings.Lines(report) {
		if word := regexp.MustCompile(`^(ok|not ok|\d+\.\.\d+|Bail out!|TAP version)|^# |^ +(---|\.\.\.)$`).FindString(line); word != "" {
			all = append(all, word)
		}
		if regexp.MustCompile(`^(not )?ok `).MatchString(line) {
			all = append(all, regexp.MustCompile(`[^\\]# (TODO|SKIP)`).FindString(line))
		}
	}
	return all
}

func records(t *testing.T, name, report string) (all []string) {
	lines, err := csv.NewReader(strings.NewReader(report)).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v in:\n%s", name, err, report)
	}
	for _, line := range lines {
		all = append(all, strings.Repeat(",", len(line)))
		for _, cell := range line {
			if cell != "" && strings.Contains("=+-@", cell[:1]) {
				t.Errorf("%s: a spreadsheet takes %q for a formula", name, cell)
			}
		}
	}
	return all
}

func result(s string) report.Verify {
	c := report.Check{
		ID: "bytes/echo", Level: report.Must, Status: report.Fail, Says: s, Note: s, Expected: s, Actual: s, Hint: s, Try: s,
		Story: []string{s}, Diff: []string{s}, Schedule: "x" + s, Output: "x" + s, Picture: s,
		Diagram: &diagram.Trace{
			Schema: diagram.Schema, Scene: s, Subject: s, Rung: diagram.Captured, Source: "strace", Took: 3, Missing: []string{s},
			Actors: []diagram.Actor{{ID: "client 1", Name: s, Kind: diagram.ClientProgram}, {ID: "kernel/server", Name: s, Kind: diagram.ServerKernel}, {ID: "server", Name: s, Kind: diagram.ServerThread}},
			Events: []diagram.Event{
				{At: 1, Segment: &diagram.Segment{Conn: 1, FromClient: true, Flags: "PSH+ACK", Seq: 1, Ack: 1, Len: len(s), Data: []byte(s)[:min(64, len(s))]}},
				{At: 2, Call: &diagram.Call{Actor: "server", Name: "write", Args: s, Result: s, Conn: 1}},
				{At: 3, Note: &diagram.Note{Text: s}},
			},
		},
	}
	should, skip, undecided := c, c, c
	should.ID, should.Level = "bytes/should", report.Should
	skip.ID, skip.Status = "bytes/skip", report.Skip
	undecided.ID, undecided.Status = "bytes/error", report.Error
	subject := report.Subject{Name: s, Kind: "command", Command: []string{s}, Checks: []report.Check{c, should, skip, undecided}}
	subject.Count()
	return report.Verify{Schema: "lab.verify/1", Started: time.Unix(0, 0).UTC(), Subjects: []report.Subject{subject}}
}

func measurement(s string) bench.Result {
	cell := func() bench.Cell {
		run := bench.Run{Round: 1, Seconds: 1, Requests: 10, Rate: 10, CPU: 5, P50: 7, P99: 9, PSS: 1 << 20}
		estimate := bench.Estimate{Median: 5, Lo: 4, Hi: 6, Confidence: 0.9, Runs: 1}
		return bench.Cell{
			Runs: []bench.Run{run}, Summary: map[string]bench.Estimate{"cpu": estimate, "rate": estimate, "p50": estimate, "pss": estimate},
			Calls: map[string]float64{s: 1}, CallsBy: s,
		}
	}
	disturbed := cell()
	disturbed.Invalid, disturbed.Runs[0].Invalid = s, s
	points := []bench.Point{{Clients: 10, Size: 64}}
	return bench.Result{
		Schema: "lab.bench/1", Asked: []string{s}, Started: time.Unix(0, 0).UTC(), Points: points,
		Machine: bench.Machine{CPU: s, CPUs: 1, Kernel: s, Go: s}, Setting: bench.Setting{Mode: "echo", Rounds: 1, Over: "clients", Baseline: s},
		Subjects: []bench.Subject{
			{Name: s, Kind: "command", Command: []string{s}, Cells: []bench.Cell{cell()}, Twins: []string{"C " + s}},
			{Name: "C " + s, Kind: "command", Cells: []bench.Cell{disturbed}, Fit: &bench.Fit{Says: s}},
			{Name: "x" + s, Kind: "command", Failure: s, Cells: []bench.Cell{{}}},
			{Name: "y" + s, Kind: "command", Cells: []bench.Cell{{Skipped: s}}},
		},
	}
}
