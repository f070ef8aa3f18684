package bench

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A plan holds its rate, gives every client its turn, and two ways to ask for a
// moment agree.
func TestPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clients := rapid.IntRange(1, 50).Draw(t, "clients")
		rate := rapid.Float64Range(1, 1e6).Draw(t, "rate")
		p := newPlan(clients, rate)
		d := time.Duration(rapid.Int64Range(1, int64(time.Second)).Draw(t, "d"))
		n := p.count(d)
		if n < 1 || p.at(n-1) >= int64(d) || p.at(n) < int64(d) {
			t.Fatalf("%d requests in %v: the last at %d, the next at %d", n, d, p.at(n-1), p.at(n))
		}
		k := rapid.IntRange(0, n).Draw(t, "k")
		if p.of(k%clients, k/clients) != p.at(k) {
			t.Errorf("request %d is at %d, and as its client's at %d", k, p.at(k), p.of(k%clients, k/clients))
		}
		if p.at(k+1) < p.at(k) {
			t.Errorf("request %d is before %d", k+1, k)
		}
	})
}

func TestShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, several := rapid.IntRange(0, 1000).Draw(t, "n"), rapid.IntRange(1, 8).Draw(t, "several")
		sum := 0
		for i := range several {
			part := share(n, i, several)
			if part < n/several || part > n/several+1 {
				t.Errorf("%d of %d is no fair share", part, n)
			}
			sum += part
		}
		if sum != n {
			t.Errorf("%d were given out, of %d", sum, n)
		}
	})
}
