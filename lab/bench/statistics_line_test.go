package bench

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A line that is there is found, within the error that the fit itself states;
// not always, but in about 95 of 100 cases.
func TestFitFindsTheLine(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	const tries = 400
	for range tries {
		base, each := 5+5*random.Float64(), 0.02*random.Float64()
		var x, y []float64
		for _, at := range []float64{0, 100, 1000, 10000} {
			for range 5 {
				x = append(x, at)
				y = append(y, (base+each*at)*(1+0.03*random.NormFloat64()))
			}
		}
		f := fitLine(x, y)
		if math.Abs(f.Each-each) < f.EachError && math.Abs(f.Base-base) < f.BaseError {
			found++
		}
	}
	if share := float64(found) / tries; share < 0.85 {
		t.Errorf("the line was within the error in %.0f %% of the cases", 100*share)
	}
}

func TestFitSays(t *testing.T) {
	for _, test := range []struct {
		fit  Fit
		want string
	}{
		{Fit{Base: 6.1, Each: 0.0093, EachError: 0.001}, "6.1 µs + 9.3 ns per silent client (± 1.0)"},
		{Fit{Base: 8, Each: 0.0001, EachError: 0.0003}, "8.0 µs, no growth seen (0.10 ± 0.30 ns per silent client)"},
		{Fit{Base: 8, Each: -0.02, EachError: 0.002}, "8.0 µs − 20 ns per silent client (± 2.0)"},
		{Fit{Base: 8, Each: 1, Off: 0.4, OffAt: 1}, "no straight line: at 1 silent client it is off by 40 %"},
	} {
		if got := test.fit.say("silent client"); got != test.want {
			t.Errorf("it says %q, want %q", got, test.want)
		}
	}
}
