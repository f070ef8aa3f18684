package bench

import (
	"fmt"
	"math"
	"strings"

	"socketlab/lab/text"
)

// A Fit is how the CPU time of a request grows: a + b·x, where x is the number
// of clients, of silent clients or of bytes. It goes through all runs that
// count, each weighed by its own size, since an error is a share of what is
// measured.
type Fit struct {
	Base      float64 `json:"base"` // µs at 0
	BaseError float64 `json:"base_error"`
	Each      float64 `json:"each"` // µs more for each
	EachError float64 `json:"each_error"`
	Off       float64 `json:"off"`    // how far a point lies from the line at most, as a share
	OffAt     float64 `json:"off_at"` // which one
	Says      string  `json:"says"`
}

// If a point is further than crooked from the line, there is no line.
const crooked = 0.15

// fit fits a subject's CPU time, if there are three points at least.
func (r *Result) fit(s Subject) *Fit {
	var x, y []float64
	seen := map[float64]bool{}
	cpu := metricNamed("cpu").of
	for j, cell := range s.Cells {
		if cell.Invalid != "" {
			continue
		}
		for _, run := range cell.valid() {
			if v := cpu(run); v != nil {
				x, y = append(x, r.x(r.Points[j])), append(y, *v)
				seen[x[len(x)-1]] = true
			}
		}
	}
	if len(seen) < 3 || s.Failure != "" {
		return nil
	}
	f := fitLine(x, y)
	for j, cell := range s.Cells {
		if e, known := cell.Summary["cpu"]; known && cell.Invalid == "" {
			at := r.x(r.Points[j])
			if off := math.Abs(e.Median/(f.Base+f.Each*at) - 1); off > f.Off {
				f.Off, f.OffAt = off, at
			}
		}
	}
	each := map[string]string{"idle": "silent client", "size": "byte"}[r.Setting.Over]
	if each == "" {
		each = "client"
	}
	f.Says = f.say(each)
	return &f
}

// fitLine is least squares with weights 1/y².
func fitLine(x, y []float64) (f Fit) {
	var w, wx, wy, wxx, wxy float64
	for i := range x {
		weight := 1 / (y[i] * y[i])
		w += weight
		wx += weight * x[i]
		wy += weight * y[i]
		wxx += weight * x[i] * x[i]
		wxy += weight * x[i] * y[i]
	}
	d := w*wxx - wx*wx
	f.Each = (w*wxy - wx*wy) / d
	f.Base = (wxx*wy - wx*wxy) / d
	var rest float64
	for i := range x {
		off := (y[i] - f.Base - f.Each*x[i]) / y[i]
		rest += off * off
	}
	if n := len(x); n > 2 {
		rest /= float64(n - 2)
		f.EachError = 2 * math.Sqrt(rest*w/d) // two standard errors: 95 %
		f.BaseError = 2 * math.Sqrt(rest*wxx/d)
	}
	return f
}

// say tells the fit in a sentence, "6.1 µs + 9.3 ns per silent client".
func (f Fit) say(each string) string {
	if f.Off > crooked {
		return fmt.Sprintf("no straight line: at %s it is off by %s", text.Count(int(f.OffAt), each), percent(f.Off))
	}
	if math.Abs(f.Each) <= f.EachError {
		return fmt.Sprintf("%s, no growth seen (%s ± %s ns per %s)", duration(f.Base), signed(f.Each), nanos(f.EachError), each)
	}
	sign := "+"
	if f.Each < 0 {
		sign = "−"
	}
	return fmt.Sprintf("%s %s %s ns per %s (± %s)", duration(f.Base), sign, nanos(math.Abs(f.Each)), each, nanos(f.EachError))
}

func nanos(us float64) string { return digits(us*1000, 2) }

// signed is nanos with a sign as people write it.
func signed(us float64) string { return strings.Replace(nanos(us), "-", "−", 1) }
