package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"socketlab/lab/text"
)

// A chart is a picture of lines, one for each subject.
type chart struct {
	title  string
	x      string  // what the axis shows
	ticks  []tick  // of the x axis
	y0     bool    // from 0, in equal steps; else each step is a factor
	unit   float64 // what round values of y are multiples of
	plain  bool    // lines without dots: they have too many
	write  func(y float64) string
	series []series
}

// A tick is a place on an axis with a name.
type tick struct {
	at   float64
	name string
}

// A series is what is told of one subject.
type series struct {
	name string
	look
	naive  bool // drawn faint: the other histogram of the same subject
	points []dot
}

// A dot is a value with the interval in which it may be.
type dot struct{ x, y, lo, hi float64 }

// draw draws the chart; if there is nothing to show, no picture comes of it.
func (c chart) draw(name string) (none Picture) {
	if len(c.series) == 0 {
		return none
	}
	const apart, floor, end = 50.0, height - bottom, width - right // apart: names of ticks
	d := &drawing{Title: c.title, High: height}
	sx, sy := c.scales()
	axes := d.part("")
	for _, at := range sy.ticks(c.unit) {
		axes.path("grid", "M%d %.1fH%d", left, sy.at(at), end)
		axes.text("tick", "end", left-8, sy.at(at)+5, c.write(at))
	}
	named := -apart
	for _, t := range c.ticks {
		x := sx.at(t.at)
		axes.path("axis", "M%.1f %dv6", x, floor)
		if x-named >= apart {
			named = x
			axes.text("tick", "middle", x, floor+22, t.name)
		}
	}
	axes.path("axis", "M%d %dH%d", left, floor, end)
	axes.text("tick", "middle", (left+end)/2, height-10, c.x)
	for _, s := range c.series {
		s.draw(d, sx, sy, !c.plain)
	}
	c.names(d, sx, sy)
	return d.picture(name)
}

// draw draws the line of a series, its dots if wanted, and their intervals.
func (s series) draw(d *drawing, sx, sy scale, dots bool) {
	part := d.part(s.class())
	if s.naive {
		part.Class += " naive"
	}
	line := "M"
	for _, d := range s.points {
		line += fmt.Sprintf(" %.1f %.1f", sx.at(d.x), sy.at(d.y))
	}
	part.path("line", "%s", line)
	for _, d := range s.points {
		x, y := sx.at(d.x), sy.at(d.y)
		if d.hi > d.lo {
			part.path("whisker", "M%.1f %.1fV%.1f", x, sy.at(d.lo), sy.at(d.hi))
		}
		if dots {
			part.path("dot", "M%.1f %.1f%s", x, y, s.shape())
		}
	}
}

// names puts the name of each series at its end, apart from each other.
func (c chart) names(d *drawing, sx, sy scale) {
	const apart, x = 19, width - right + 8
	type label struct {
		series
		end dot
		y   float64
	}
	var labels []label
	for _, s := range c.series {
		end := s.points[len(s.points)-1]
		labels = append(labels, label{s, end, sy.at(end.y)})
	}
	slices.SortStableFunc(labels, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	for i := 1; i < len(labels); i++ {
		labels[i].y = max(labels[i].y, labels[i-1].y+apart)
	}
	floor := float64(height - bottom)
	for i, l := range slices.Backward(labels) {
		labels[i].y = min(l.y, floor)
		floor = labels[i].y - apart
	}
	for _, l := range labels {
		part := d.part(l.class())
		part.path("leader", "M%.1f %.1fL%d %.1f", sx.at(l.end.x)+8, sy.at(l.end.y), x, l.y)
		part.path("dot", "M%d %.1f%s", x+8, l.y, l.shape())
		part.text("name", "start", x+19, l.y+5, text.Shorten(l.name, 13))
	}
}

// scales are those of both axes. On the x axis each step is a factor, and 0 lies
// a factor of ten below the least.
func (c chart) scales() (x, y scale) {
	x = scale{from: math.Inf(1), start: left + 14, end: width - right - 14, factors: true}
	for _, t := range c.ticks {
		x.to = max(x.to, t.at)
		if t.at > 0 {
			x.from = min(x.from, t.at)
		}
	}
	least, most := math.Inf(1), 0.0
	for _, series := range c.series {
		for _, d := range series.points {
			x.to = max(x.to, d.x)
			least, most = min(least, d.y), max(most, d.y, d.hi)
		}
	}
	if slices.ContainsFunc(c.ticks, func(t tick) bool { return t.at == 0 }) {
		x.from /= 10
	}
	return x, newScale(least, most, c.unit, !c.y0, height-bottom, top+12)
}
