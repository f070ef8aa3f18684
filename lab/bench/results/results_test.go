package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"socketlab/lab/bench"
)

// A goal is reached or missed if the whole interval is on one side of it.
func TestOutcome(t *testing.T) {
	least, most := goal{least: 0.95}, goal{most: 1.2}
	for _, test := range []struct {
		goal
		lo, hi, confidence float64
		want               outcome
	}{
		{least, 0.96, 1.02, 0.93, reached},
		{least, 0.80, 0.94, 0.93, missed},
		{least, 0.90, 1.02, 0.93, undecided},
		{least, 1.50, 1.50, 0, undecided},
		{most, 0.90, 1.19, 0.93, reached},
		{most, 1.21, 1.90, 0.93, missed},
		{most, 1.10, 1.30, 0.93, undecided},
	} {
		v := bench.Verdict{Lo: test.lo, Hi: test.hi, Confidence: test.confidence}
		if got := test.outcome(v); got != test.want {
			t.Errorf("%s, from %v to %v: %s, want %s", test.limit(), test.lo, test.hi, got, test.want)
		}
	}
}

func TestParseBenchmark(t *testing.T) {
	all := parseBenchmark("BenchmarkGenerator/clients=10-2 \t 9 \t 1.08 ratio\t 5.6 µs/req\n" +
		"BenchmarkGenerator/clients=10-2 9 1.02 ratio 5.7 µs/req\nBenchmarkGenerator/clients=1000 9 1.1 ratio\n")
	if len(all) != 2 || all[0].of != "10 clients" || len(all[0].each["ratio"]) != 2 || all[0].units[1] != "µs/req" || all[1].of != "1,000 clients" {
		t.Errorf("%+v", all)
	}
	if all := parseBenchmark("BenchmarkChild-2 300 1.3 ratio\n"); len(all) != 1 || all[0].of != "" {
		t.Errorf("%+v", all)
	}
}

// What is measured has a place in docs, and what has a place is measured. A run
// that finds none stops after a quarter of an hour.
func TestMarks(t *testing.T) {
	root := "../../.."
	page := func(file string) string {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	results := page("docs/results.md")
	names := []string{"goals", "machine"}
	for _, e := range experiments {
		names = append(names, e.name)
	}
	for _, b := range benchmarks {
		names = append(names, b.name)
	}
	for _, name := range names {
		if !marksOf(name).MatchString(results) {
			t.Errorf("docs/results.md has no marks for %s", name)
		}
	}
	for _, model := range measured() {
		if !marksOf("figures").MatchString(page(pageOf(model))) {
			t.Errorf("%s has no marks for figures", pageOf(model))
		}
		if !strings.Contains(experiments[0].args, model) {
			t.Errorf("%s has a place for figures, and %s does not measure it", model, experiments[0].name)
		}
	}
}
