package bench

import (
	"math"

	"socketlab/lab/text"
)

// bars is a picture of lengths, a row for each subject: for figures at one
// point, where there is no line to draw.
type bars struct {
	title string
	says  []string // what the parts of a bar are, if there are several
	rows  []bar
	write func(float64) string
}

// A bar is a row: parts one after the other, the second one lighter.
type bar struct {
	name string
	look
	parts []float64
	note  string // instead of a bar
}

// If the longest bar would be more than spanOfBars times the shortest, the scale
// is logarithmic, and the title says so.
const spanOfBars = 50

// shades are the parts of a bar in the style sheet.
var shades = []string{"bar", "bar light"}

func (c bars) draw(name string) (none Picture) {
	if len(c.rows) == 0 {
		return none
	}
	const row, from, end = 34, 150, width - 130
	longest, shortest := 0.0, math.Inf(1)
	for _, r := range c.rows {
		if t := total(r.parts); t > 0 {
			longest, shortest = max(longest, t), min(shortest, t)
		}
	}
	floor := top + row*len(c.rows)
	d := &drawing{Title: c.title, High: floor + 20}
	s := newScale(shortest, longest, 1, longest > spanOfBars*shortest, from, end)
	if s.factors {
		d.Title += ", each mark ten times the one before"
		grid := d.part("")
		for at := s.from; at <= longest; at *= 10 {
			grid.path("grid", "M%.1f %dV%d", s.at(at), top, floor)
		}
	}
	for i, r := range c.rows {
		part, y := d.part(r.class()), float64(top+i*row)
		part.text("name", "end", from-10, y+22, text.Shorten(r.name, 15))
		sum := total(r.parts)
		x, whole := float64(from), s.at(sum)-from
		for k, length := range r.parts {
			wide := whole * length / max(sum, 1e-12)
			part.path(shades[k], "M%.1f %.0fh%.1fv22H%.1fz", x, y+6, wide, x)
			x += wide
		}
		note := r.note
		if note == "" {
			note = c.write(sum)
		}
		part.text("name", "start", x+8, y+22, note)
	}
	if len(c.says) > 0 {
		d.High += 30
	}
	for i, says := range c.says {
		part, x, y := d.part("s7"), from+i*160, d.High-14
		part.path(shades[i], "M%d %dh22v14h-22z", x, y-12)
		part.text("tick", "start", float64(x+30), float64(y), says)
	}
	return d.picture(name)
}

func total(parts []float64) (sum float64) {
	for _, part := range parts {
		sum += part
	}
	return sum
}
