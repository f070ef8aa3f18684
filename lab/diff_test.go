//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"socketlab/lab/report"
	"socketlab/lab/text"
	"socketlab/models/all"
)

// In a terminal of any width, or of none, two pages are printed, and no row is
// wider than the terminal if that has room for two columns.
func TestDiffFitsAnyWidth(t *testing.T) {
	from, err := all.Named("select")
	to, err2 := all.Named("poll")
	left, right, err3 := diffCmd{From: modelFlag{from}, To: modelFlag{to}}.pages()
	_, twin, err4 := diffCmd{From: modelFlag{from}, C: true}.pages()
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	unified := diff.Diff(left.name, left.text, right.name, right.text)
	for width := range 201 {
		ended := make(chan string)
		go func() {
			var out bytes.Buffer
			s := sideBySide{Writer: bufio.NewWriter(&out), style: report.Style{Width: width}, whole: true}
			s.print(left.name, right.name, left.lines(), right.lines(), unified)
			s.beside(left, twin)
			s.Flush()
			ended <- out.String()
		}()
		var out string
		select {
		case out = <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("at %d columns it does not end", width)
		}
		for line := range bytes.Lines([]byte(out)) {
			if n := text.Width(string(bytes.TrimRight(line, "\n"))); n > max(width, 43) {
				t.Fatalf("at %d columns a row has %d: %s", width, n, line)
			}
		}
	}
}

// A page and its twin: each function of the one beside that of the other.
func TestDiffC(t *testing.T) {
	for _, m := range all.Models {
		page, twin, err := diffCmd{From: modelFlag{m}, C: true}.pages()
		if err != nil {
			continue // it has none
		}
		var names []string
		for _, p := range page.parts() {
			names = append(names, p.name)
		}
		both := 0
		for _, p := range twin.parts() {
			if p.name != "" && slices.Contains(names, p.name) {
				both++
			}
		}
		if both < 2 {
			t.Errorf("%s and %s have %d functions in common: %q", page.name, twin.name, both, names)
		}
	}
}
