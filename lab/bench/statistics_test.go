package bench

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestEstimate(t *testing.T) {
	e := NewEstimate([]float64{5, 1, 4, 2, 3})
	if e.Median != 3 || e.Lo != 1 || e.Hi != 5 || e.Confidence < 0.93 || e.Runs != 5 {
		t.Errorf("five runs: %+v, want from the least to the greatest", e)
	}
	e = NewEstimate([]float64{1, 2})
	if e.Median != 1.5 || e.Confidence != 0 || math.IsInf(e.Lo, 0) || e.spread() != 0 {
		t.Errorf("two runs: %+v, want no interval", e)
	}
}

// A difference is told if chance does not explain it, and noise does not.
func TestComparePairs(t *testing.T) {
	for _, test := range []struct {
		name            string
		ratios          []float64
		noise           float64
		different, same bool
	}{
		{"10 % more, with noise of 3 %", []float64{1.10, 1.12, 1.08, 1.11, 1.09}, 0.03, true, false},
		{"10 % more, with noise of 12 %", []float64{1.10, 1.12, 1.08, 1.11, 1.09}, 0.12, false, false},
		{"once less", []float64{1.10, 1.12, 0.99, 1.11, 1.09}, 0.03, false, false},
		{"alike", []float64{1.01, 0.99, 1.02, 0.97, 1}, 0.03, false, true},
		{"more, and worth nothing", []float64{1.01, 1.01, 1.02, 1.01, 1.03}, 0.03, false, true},
		{"four rounds", []float64{2, 2, 2, 2}, 0, false, false},
		{"all the same", []float64{1, 1, 1, 1, 1}, 0, false, true},
	} {
		v := comparePairs(test.ratios, test.noise)
		if v.Different != test.different || v.same() != test.same {
			t.Errorf("%s: %+v, the same: %v", test.name, v, v.same())
		}
	}
	for _, test := range []struct {
		ratios []float64
		want   float64
	}{
		{[]float64{2, 2, 2, 2, 2}, 2.0 / 32}, {[]float64{2, 2, 2, 2, 0.5}, 12.0 / 32},
		{[]float64{2, 0.5}, 1}, {[]float64{1}, 1}, {nil, 1},
	} {
		if p := signTest(test.ratios); p != test.want {
			t.Errorf("%v: p = %v, want %v", test.ratios, p, test.want)
		}
	}
}

func TestCompareApart(t *testing.T) {
	a, b := []float64{10, 10.1, 9.9, 10.2, 9.8}, []float64{11, 11.1, 10.9, 11.2, 10.8}
	if v := compareApart(a, b, 0.03); !v.Different || math.Abs(v.Ratio-1.1) > 0.01 {
		t.Errorf("10 %% more, with noise of 3 %%: %+v", v)
	}
	if v := compareApart(a, b, 0.12); v.Different {
		t.Errorf("10 %% more, with noise of 12 %%: %+v", v)
	}
	if v := compareApart([]float64{0, 0}, []float64{0, 0}, 0); math.IsNaN(v.P) || math.IsNaN(v.Ratio) {
		t.Errorf("nothing: %+v", v)
	}
}

// How often a difference is told on a machine whose speed drifts by a third
// from round to round, while each run has an error of 3 % of its own: hardly
// ever where there is none, and nearly always where there is one of 15 %.
func TestDrift(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const tries, error = 1000, 0.03
	told := map[string]int{}
	for range tries {
		r := Result{Points: []Point{{Clients: 1}}, Subjects: []Subject{
			{Name: "a", Cells: []Cell{{}}}, {Name: "like a", Cells: []Cell{{}}},
			{Name: "slower", Cells: []Cell{{}}}, {Name: "a again", Again: true, Cells: []Cell{{}}},
		}}
		for round := range 5 {
			speed := 1 + random.Float64()/3
			for i := range r.Subjects {
				s := &r.Subjects[i]
				cpu := speed * (1 + error*random.NormFloat64())
				if s.Name == "slower" {
					cpu *= 1.15
				}
				s.Cells[0].Runs = append(s.Cells[0].Runs, Run{Round: round, CPU: cpu})
			}
		}
		r.conclude(nil)
		for _, s := range r.Subjects {
			if s.Cells[0].Against["cpu"].Different {
				told[s.Name]++
			}
		}
	}
	if told["like a"] > tries*5/100 || told["a again"] > 0 {
		t.Errorf("of %d times, a difference was told where there was none: %v", tries, told)
	}
	if told["slower"] < tries*95/100 {
		t.Errorf("of %d times, the difference was told in %d", tries, told["slower"])
	}
}

// A cell counts while more than half of its runs do, and leaves out the others.
func TestCellLeavesOutWhatDoesNotCount(t *testing.T) {
	bad := Judgement{Invalid: "noise"}
	c := Cell{Runs: []Run{{CPU: 1}, {CPU: 2}, {CPU: 100, Judgement: bad}}}
	c.sumUp()
	if c.Invalid != "" || c.Summary["cpu"].Median != 1.5 {
		t.Errorf("one of three: %q, median %v", c.Invalid, c.Summary["cpu"].Median)
	}
	c.Runs[1].Judgement = bad
	c.sumUp()
	if c.Invalid != "2 of 3 runs do not count: noise" {
		t.Errorf("two of three: %q", c.Invalid)
	}
}

// Where a side does not count, nothing is compared.
func TestNoRatioOfWhatDoesNotCount(t *testing.T) {
	runs := func(cpu float64, why string) (all []Run) {
		for round := range 5 {
			all = append(all, Run{Round: round, CPU: cpu, Requests: 1, Judgement: Judgement{Invalid: why}})
			cpu *= 1.001
		}
		return all
	}
	for _, test := range []struct {
		name                 string
		first, second, again string
		want                 bool
	}{
		{"all count", "", "", "", true},
		{"the second does not", "", "noise", "", false},
		{"the first does not", "noise", "", "", false},
	} {
		r := Result{Points: []Point{{Clients: 1}}, Subjects: []Subject{
			{Name: "a", Cells: []Cell{{Runs: runs(1, test.first)}}},
			{Name: "b", Cells: []Cell{{Runs: runs(2, test.second)}}},
			{Name: "a again", Again: true, Cells: []Cell{{Runs: runs(1, test.again)}}},
		}}
		r.conclude(nil)
		v, compared := r.Subjects[1].Cells[0].Against["cpu"]
		if compared != test.want || compared && !v.Different {
			t.Errorf("%s: %+v, compared: %v", test.name, v, compared)
		}
	}
}

// A difference far beyond the disturbance is told although nothing counts; one
// that the disturbance may have made is not.
func TestClearThoughNoisy(t *testing.T) {
	runs := func(cpu, others float64) (all []Run) {
		for round := range 5 {
			all = append(all, Run{Round: round, CPU: cpu, PSS: 1 << 20, Requests: 1, Judgement: Judgement{Others: others, Invalid: "noise"}})
			cpu *= 1.01
		}
		return all
	}
	for _, test := range []struct {
		name        string
		cpu, others float64
		want        string
	}{
		{"four times, a tenth disturbed", 44, 0.1, "~× 4.00"},
		{"a quarter, a tenth disturbed", 2.75, 0.1, "~× 0.25"},
		{"four times, all disturbed", 44, 1, ""},
		{"half more", 16.5, 0.1, ""},
	} {
		r := Result{Points: []Point{{Clients: 10}}, Setting: Setting{Rounds: 5}, Subjects: []Subject{
			{Name: "a", Cells: []Cell{{Runs: runs(11, test.others)}}},
			{Name: "b", Cells: []Cell{{Runs: runs(test.cpu, test.others)}}},
			{Name: "a again", Again: true, Cells: []Cell{{Runs: runs(11, test.others)}}},
		}}
		r.conclude(nil)
		if got := r.Subjects[1].Cells[0].verdict(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		var b strings.Builder
		r.Text(&b, plain)
		if told := strings.Contains(b.String(), "Clear, though noisy, with 10 clients: b needs × "); told != (test.want != "") {
			t.Errorf("%s: told: %v\n%s", test.name, told, b.String())
		}
		if !strings.Contains(b.String(), "docs/results.md") || !strings.Contains(b.String(), " 1.00 MiB") {
			t.Errorf("%s: it says not where quiet figures are, or memory is marked:\n%s", test.name, b.String())
		}
	}
}

func TestAbout(t *testing.T) {
	for _, test := range []struct {
		x     float64
		write func(float64) string
		want  string
	}{
		{47.3, duration, "~47 µs"}, {1284, duration, "~1.3 ms"}, {12840, duration, "~13 ms"}, {35912, si, "~36k"}, {1995, si, "~2k"},
		{0, duration, "~0 µs"}, {100, si, "~100"},
	} {
		if got := about(test.x, test.write); got != test.want {
			t.Errorf("%v is %s, want %s", test.x, got, test.want)
		}
	}
}

func TestJudgement(t *testing.T) {
	for _, test := range []struct {
		name string
		Judgement
		want bool
	}{
		{"quiet", Judgement{Busy: 0.9, Server: 0.99}, true},
		{"both at their limit", Judgement{Busy: 0.99, Server: 0.97}, true},
		{"the generator is the limit", Judgement{Busy: 0.99, Server: 0.6}, false},
		{"no CPU for the generator", Judgement{Waited: 0.2}, false},
		{"steal", Judgement{Stolen: 0.1}, false},
		{"others", Judgement{Others: 0.3}, false},
		{"late", Judgement{Dragged: 0.1}, false},
	} {
		if why := test.why(true); (why == "") != test.want {
			t.Errorf("%s: %q", test.name, why)
		}
	}
}
