package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strings"

	"socketlab/lab/report"
)

// The lab draws its charts itself: libraries know one set of colours, and these
// charts must be readable on light and dark pages, on a projector and by the
// colour-blind. So each subject has its own shape and dash pattern, and its
// name beside it. The colours stay apart for the colour-blind; they are after
// Okabe and Ito, darker on light paper and lighter on dark. The style sheet does
// without variables, which not every program that shows SVG knows.
//
//go:embed show_picture.svg
var pictureSVG string

// A drawing is what show_picture.svg draws.
type drawing struct {
	Title string
	High  int
	Parts []*part
}

// A part is drawn in the look of one subject, or in none.
type part struct {
	Class string
	Paths []struct{ Class, D string }
	Words []words
}

type words struct {
	Class, Anchor string
	X, Y          float64
	Text          string
}

const (
	width, height = 800, 440
	left, right   = 88, 150
	top, bottom   = 48, 56
)

// part begins a part of that class.
func (d *drawing) part(class string) *part {
	p := &part{Class: class}
	d.Parts = append(d.Parts, p)
	return p
}

// path adds a path, whose numbers the format writes.
func (p *part) path(class, format string, numbers ...any) {
	p.Paths = append(p.Paths, struct{ Class, D string }{class, fmt.Sprintf(format, numbers...)})
}

// text adds words that begin, end, or have their middle at x: start, end or
// middle.
func (p *part) text(class, anchor string, x, y float64, says string) {
	p.Words = append(p.Words, words{class, anchor, math.Round(x*10) / 10, math.Round(y*10) / 10, says})
}

// picture is the drawing as a file.
func (d *drawing) picture(name string) Picture {
	var b strings.Builder
	report.Page(&b, pictureSVG, d) // our own template, and a Builder takes everything
	return Picture{name, d.Title, b.String()}
}

// A Picture is a chart that is ready, with the name that its file gets.
type Picture struct{ Name, Title, SVG string }

// Data is the picture as a part of a page's text.
func (p Picture) Data() template.URL { return report.Picture([]byte(p.SVG)) }

// A look is how a subject is drawn, in all charts of a page.
type look struct {
	number int  // of the colour, the shape and the dash
	twin   bool // hollow and dotted: a twin in C
}

// class is the look in the style sheet.
func (l look) class() string {
	class := fmt.Sprintf("s%d", l.number%len(shapes))
	if l.twin {
		class += " twin"
	}
	return class
}

func (l look) shape() string { return shapes[l.number%len(shapes)] }

// shapes are paths around a dot.
var shapes = []string{
	"m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",                    // circle
	"m-5-5h10v10h-10z",                                        // square
	"m0-6l6 11h-12z",                                          // triangle
	"m0-7l6 7l-6 7l-6-7z",                                     // diamond
	"m0 6l-6-11h12z",                                          // triangle, head down
	"m-6-2h4v-4h4v4h4v4h-4v4h-4v-4h-4z",                       // plus
	"m-5-6h10l-5 6l5 6h-10l5-6z",                              // hourglass
	"m-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0zm3 0h6v1h-6",         // ring
	"m-6-4l2-2l4 4l4-4l2 2l-4 4l4 4l-2 2l-4-4l-4 4l-2-2l4-4z", // cross
	"m-7-3h14v6h-14z",                                         // beam
}

// A scale maps values to places on the picture.
type scale struct {
	from, to   float64 // values
	start, end float64 // places
	factors    bool    // each step is a factor; else they are equal, from 0
}

// newScale is for values from least to most. Where they begin and end in steps
// that are factors, unit is what round values are multiples of.
func newScale(least, most, unit float64, factors bool, start, end float64) scale {
	if !factors || math.IsInf(least, 1) {
		return scale{0, max(most*1.05, 1e-9), start, end, false}
	}
	from := unit * math.Pow(10, math.Floor(math.Log10(least/unit)))
	return scale{from, max(most, from*10), start, end, true}
}

func (s scale) at(v float64) float64 {
	share := 0.0
	switch {
	case s.to == s.from:
		share = 0.5
	case s.factors:
		share = math.Log(max(v, s.from)/s.from) / math.Log(s.to/s.from)
	default:
		share = (v - s.from) / (s.to - s.from)
	}
	return s.start + share*(s.end-s.start)
}

// ticks are round values on the scale.
func (s scale) ticks(unit float64) (at []float64) {
	if s.factors {
		decades := math.Log10(s.to / s.from)
		for round := s.from; round <= s.to*1.001; round *= 10 {
			at = append(at, round)
			for _, between := range []float64{2, 5} {
				if decades < 2.5 && round*between <= s.to {
					at = append(at, round*between)
				}
			}
		}
		return at
	}
	step := unit * math.Pow(10, math.Floor(math.Log10(s.to/unit/4)))
	for _, factor := range []float64{2, 2.5, 2} { // 2, 5, 10 of them
		if s.to/step > 6 {
			step *= factor
		}
	}
	for round := 0.0; round <= s.to; round += step {
		at = append(at, round)
	}
	return at
}
