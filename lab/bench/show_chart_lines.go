package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"socketlab/lab/text"
)

// A chart is a picture of lines, one for each subject. The lab draws its SVG
// itself: libraries for charts know one set of colours, and these charts must be
// readable on light and dark pages, on a projector and by the colour-blind. So
// each line has its own shape and dash pattern, and its name at its end.
type chart struct {
	title  string
	x, y   string // what the axes show
	ticks  []tick // of the x axis
	y0     bool   // from 0, in equal steps; else each step is a factor
	bytes  bool   // y is in bytes: ticks are round in KiB
	plain  bool   // lines without dots: they have too many
	write  func(y float64) string
	series []series
}

// A tick is a place on an axis with a name.
type tick struct {
	at   float64
	name string
}

// A look is how a subject is drawn, in all charts of a page.
type look struct {
	number int  // of the colour, the shape and the dash
	twin   bool // hollow and dotted: a twin in C
}

// class is the look in the style sheet.
func (l look) class() string {
	class := fmt.Sprintf("s%d", l.number%looks)
	if l.twin {
		class += " twin"
	}
	return class
}

func (l look) shape() string { return shapes[l.number%looks] }

// A series is what is told of one subject.
type series struct {
	name string
	look
	naive  bool // drawn faint: the other histogram of the same subject
	points []dot
}

// A dot is a value with the interval in which it may be.
type dot struct{ x, y, lo, hi float64 }

const (
	width, height = 800, 440
	left, right   = 88, 150
	top, bottom   = 48, 56
)

// svg draws the chart. Its style sheet has colours for light and for dark pages.
func (c chart) svg() string {
	var b strings.Builder
	head(&b, c.title, height)
	sx, sy := c.scaleX(), c.scaleY()
	for _, t := range c.ticksY(sy) {
		y := sy.at(t.at)
		fmt.Fprintf(&b, `<path class="grid" d="M%d %.1fH%d"/><text class="tick" text-anchor="end" x="%d" y="%.1f">%s</text>`+"\n",
			left, y, width-right, left-8, y+5, text.XML(t.name))
	}
	const apart = 50 // names of ticks
	named := -1.0 * apart
	for _, t := range c.ticks {
		x := sx.at(t.at)
		fmt.Fprintf(&b, `<path class="axis" d="M%.1f %dv6"/>`, x, height-bottom)
		if x-named >= apart {
			named = x
			fmt.Fprintf(&b, `<text class="tick" text-anchor="middle" x="%.1f" y="%d">%s</text>`+"\n", x, height-bottom+22, text.XML(t.name))
		}
	}
	fmt.Fprintf(&b, `<path class="axis" d="M%d %dH%d"/><text class="tick" text-anchor="middle" x="%d" y="%d">%s</text><text class="tick" x="14" y="%d">%s</text>`+"\n",
		left, height-bottom, width-right, (left+width-right)/2, height-10, text.XML(c.x), top-2, text.XML(c.y))
	for _, s := range c.series {
		s.draw(&b, sx, sy, !c.plain)
	}
	c.names(&b, sx, sy)
	b.WriteString("</svg>\n")
	return b.String()
}

// head begins a picture: its size, its style sheet and its title.
func head(b *strings.Builder, title string, high int) {
	title = text.XML(title)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n<style>%s</style>\n"+
		`<rect class="paper" width="%d" height="%d"/><text class="title" x="14" y="28">%s</text>`+"\n",
		width, high, width, high, title, chartStyle(), width, high, title)
}

// draw draws the line of a series, its dots if wanted, and their intervals.
func (s series) draw(b *strings.Builder, sx, sy scale, dots bool) {
	class := s.class()
	if s.naive {
		class += " naive"
	}
	line := ""
	for _, d := range s.points {
		line += fmt.Sprintf("%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[line == ""], sx.at(d.x), sy.at(d.y))
	}
	fmt.Fprintf(b, `<g class="%s"><path class="line" d="%s"/>`, class, line)
	for _, d := range s.points {
		x, y := sx.at(d.x), sy.at(d.y)
		if d.hi > d.lo {
			fmt.Fprintf(b, `<path class="whisker" d="M%.1f %.1fV%.1f"/>`, x, sy.at(d.lo), sy.at(d.hi))
		}
		if dots {
			fmt.Fprintf(b, `<path class="dot" d="M%.1f %.1f%s"/>`, x, y, s.shape())
		}
	}
	b.WriteString("</g>\n")
}

// names puts the name of each series at its end, apart from each other.
func (c chart) names(b *strings.Builder, sx, sy scale) {
	const apart = 19
	type label struct {
		series
		from, y float64
	}
	var labels []label
	for _, s := range c.series {
		if len(s.points) > 0 {
			y := sy.at(s.points[len(s.points)-1].y)
			labels = append(labels, label{s, y, y})
		}
	}
	slices.SortStableFunc(labels, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	for i := range labels {
		if i > 0 {
			labels[i].y = max(labels[i].y, labels[i-1].y+apart)
		}
	}
	floor := float64(height - bottom)
	for i := len(labels) - 1; i >= 0; i-- {
		labels[i].y = min(labels[i].y, floor)
		floor = labels[i].y - apart
	}
	for _, l := range labels {
		x := sx.at(l.points[len(l.points)-1].x)
		fmt.Fprintf(b, `<g class="%s"><path class="leader" d="M%.1f %.1fL%d %.1f"/><path class="dot" d="M%d %.1f%s"/><text class="name" x="%d" y="%.1f">%s</text></g>`+"\n",
			l.class(), x+8, l.from, width-right+8, l.y, width-right+16, l.y, l.shape(), width-right+27, l.y+5, text.XML(text.Shorten(l.name, 13)))
	}
}

// A scale maps values to places on the picture.
type scale struct {
	from, to       float64 // values
	start, end     float64 // places
	factors, zeros bool    // each step is a factor; 0 lies a factor of ten below the least
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

// scaleX is for numbers of clients: each step is a factor.
func (c chart) scaleX() scale {
	s := scale{start: left + 14, end: width - right - 14, factors: true, from: math.Inf(1)}
	for _, t := range c.ticks {
		s.to = max(s.to, t.at)
		if t.at > 0 {
			s.from = min(s.from, t.at)
		} else {
			s.zeros = true
		}
	}
	for _, series := range c.series {
		for _, d := range series.points {
			s.to = max(s.to, d.x)
		}
	}
	if s.zeros {
		s.from /= 10
	}
	return s
}

func (c chart) scaleY() scale {
	s := scale{start: height - bottom, end: top + 12, factors: !c.y0, from: math.Inf(1)}
	for _, series := range c.series {
		for _, d := range series.points {
			s.to = max(s.to, d.y, d.hi)
			s.from = min(s.from, d.y)
		}
	}
	if c.y0 || math.IsInf(s.from, 1) {
		s.from = 0
		s.factors = false
		s.to = max(s.to*1.05, 1e-9)
		return s
	}
	s.from = c.unit() * math.Pow(10, math.Floor(math.Log10(s.from/c.unit())))
	s.to = max(s.to, s.from*10)
	return s
}

// unit is what round values are multiples of.
func (c chart) unit() float64 {
	if c.bytes {
		return 1 << 10
	}
	return 1
}

// ticksY are round values.
func (c chart) ticksY(s scale) (ticks []tick) {
	if s.factors {
		decades := math.Log10(s.to / s.from)
		for at := s.from; at <= s.to*1.001; at *= 10 {
			ticks = append(ticks, tick{at, c.write(at)})
			for _, between := range []float64{2, 5} {
				if decades < 2.5 && at*between <= s.to {
					ticks = append(ticks, tick{at * between, c.write(at * between)})
				}
			}
		}
		return ticks
	}
	step := c.unit() * math.Pow(10, math.Floor(math.Log10(s.to/c.unit()/4)))
	for _, factor := range []float64{2, 2.5, 2} { // 2, 5, 10 of them
		if s.to/step > 6 {
			step *= factor
		}
	}
	for at := 0.0; at <= s.to; at += step {
		ticks = append(ticks, tick{at, c.write(at)})
	}
	return ticks
}

// looks is how many series look different from each other.
const looks = 10

// shapes are paths around a dot.
var shapes = [looks]string{
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
