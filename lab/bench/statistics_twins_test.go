package bench

import (
	"strings"
	"testing"
)

// What is told of a twin is the ratio of each round, more is better; and nothing
// is told where nothing counts.
func TestTwins(t *testing.T) {
	runs := func(cpu, speed float64, why string) (all []Run) {
		for round := range 5 {
			all = append(all, Run{Round: round, CPU: cpu * speed, Rate: 1000, Requests: 1, Judgement: Judgement{Invalid: why}})
			speed *= 2 // the machine gets slower, and all who are on it
		}
		return all
	}
	result := func(why string) Result {
		r := Result{Setting: Setting{Rounds: 5}, Points: []Point{{Clients: 10, Size: 64}}, Subjects: []Subject{
			{Name: "poll", Twins: []string{"C poll"}, Cells: []Cell{{Runs: runs(2, 1, "")}}},
			{Name: "C poll", Cells: []Cell{{Runs: runs(1, 1, why)}}},
			{Name: "poll again", Again: true, Cells: []Cell{{Runs: runs(2, 1, "")}}},
		}}
		r.conclude(nil)
		return r
	}
	told := result("")
	var text strings.Builder
	told.Text(&text, plain)
	for _, want := range []string{"\nAs good as C? 10 clients ", "\n poll / C poll           0.50 (0.50–0.50) "} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, text.String())
		}
	}
	if ratio := told.Subjects[0].Cells[0].Twins["C poll"]["cpu"].Ratio; ratio != 2 {
		t.Errorf("poll costs %v times as much as its twin, want 2", ratio)
	}
	untold := result("noise")
	text.Reset()
	untold.Text(&text, plain)
	if strings.Contains(text.String(), "As good as C") {
		t.Errorf("the twin does not count, and yet:\n%s", text.String())
	}
}
