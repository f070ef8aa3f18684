package bench

import (
	"context"
	"encoding/csv"
	"os"
	"strings"
	"testing"
	"time"
)

// measured is a small but real result: two echo servers, two points.
func measuredResult(t *testing.T, ctx context.Context, change func(*Options)) Result {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := []string{exe, "echo", "{port}"}
	servers := []Subject{
		{Name: "one", Kind: "command", Limit: 1, Command: command},
		{Name: "all", Kind: "command", Command: command},
	}
	o := Options{
		Setting: Setting{Mode: "echo", Rounds: 2, Over: "clients"},
		Points:  []Point{{Clients: 1, Size: 64}, {Clients: 12, Size: 64}}, Duration: brief,
		Patience: 10 * time.Second, Progress: func(Step) {},
	}
	change(&o)
	r, err := Bench(ctx, servers, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each subject is measured once in each round where it serves, and the one that
// serves everywhere is measured twice.
func TestBench(t *testing.T) {
	r := measuredResult(t, t.Context(), func(*Options) {})
	if len(r.Subjects) != 3 || !r.Subjects[2].Again || r.First != 1 || r.Subjects[2].Name != "all again" {
		t.Fatalf("want a third subject, the second one again: %+v", r.Subjects)
	}
	for i, s := range r.Subjects {
		for j, c := range s.Cells {
			want := 2
			if i == 0 && j == 1 {
				want = 0
			}
			if len(c.Runs) != want || (c.Skipped != "") != (want == 0) {
				t.Errorf("%s at point %d: %d runs, %q", s.Name, j, len(c.Runs), c.Skipped)
			}
			for _, run := range c.Runs {
				if run.Requests == 0 || run.CPU <= 0 || run.P50 > run.P99 || run.P99 > run.Max || run.PSS <= 0 || run.Processes != 1 {
					t.Errorf("%s at point %d: %+v", s.Name, j, run)
				}
				if (run.PerClient != nil) != (j == 1) {
					t.Errorf("%s at point %d: memory per client %v: it takes ten", s.Name, j, run.PerClient)
				}
				if run.Voluntary == nil || run.Files < 4+r.Points[j].Clients {
					t.Errorf("%s at point %d: %+v", s.Name, j, run)
				}
			}
		}
	}
}

// What is measured until an interruption is kept, and marked.
func TestBenchInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	steps := 0
	r := measuredResult(t, ctx, func(o *Options) {
		o.Rounds = 1000
		o.Progress = func(Step) {
			if steps++; steps == 4 {
				cancel()
			}
		}
	})
	runs := 0
	for _, s := range r.Subjects {
		for _, c := range s.Cells {
			runs += len(c.Runs)
		}
	}
	if !r.Partial || runs != 3 || r.Failed() {
		t.Errorf("partial: %v, %d runs, want 3", r.Partial, runs)
	}
	var text strings.Builder
	r.Text(&text, plain)
	if !strings.HasPrefix(text.String(), "PARTIAL: ") {
		t.Errorf("it does not say that it is partial: %s", text.String())
	}
}

// A stopped server goes on, and its clients lose nothing.
func TestFreeze(t *testing.T) {
	const freeze = 100 * time.Millisecond
	r := measuredResult(t, t.Context(), func(o *Options) {
		o.Duration, o.Freeze, o.Rounds = 3*freeze, freeze, 1
	})
	for _, run := range r.Subjects[1].Cells[1].Runs {
		if slowest := time.Duration(run.Max * 1000); slowest < freeze*9/10 {
			t.Errorf("the slowest request took %v, and the server stood still for %v", slowest, freeze)
		}
	}
}

// A crowd that a server takes in, and how many of them.
func TestServes(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := Subject{Name: "all", Kind: "command", Command: []string{exe, "echo", "{port}"}}
	c, err := Serves(t.Context(), s, 40, 5*time.Second, 20*time.Second)
	if err != nil || c.Served != 40 || c.Why != "" {
		t.Errorf("%+v, %v", c, err)
	}
}

// Every format has each run that it should have.
func TestFormats(t *testing.T) {
	r := measuredResult(t, t.Context(), func(*Options) {})
	written := func(f func(Result, *strings.Builder) error) string {
		t.Helper()
		var b strings.Builder
		if err := f(r, &b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	lines, err := csv.NewReader(strings.NewReader(written(func(r Result, b *strings.Builder) error { return r.CSV(b) }))).ReadAll()
	if err != nil || len(lines) != 1+10 {
		t.Errorf("CSV has %d lines, %v", len(lines), err)
	}
	r.Subjects[1].Cells[0].Runs[0].Invalid = "noise"
	valid := 0
	for _, s := range r.Subjects {
		for _, c := range s.Cells {
			valid += len(c.valid())
		}
	}
	bench := written(func(r Result, b *strings.Builder) error { return r.GoBench(b) })
	if n := strings.Count(bench, "\nBenchmark"); n != valid {
		t.Errorf("gobench has %d lines, want those %d that count:\n%s", n, valid, bench)
	}
	page := written(func(r Result, b *strings.Builder) error { return r.HTML(b) })
	if strings.Contains(page, "http://") || strings.Contains(page, "https://") {
		t.Error("the page needs a network")
	}
}
