package bench

import (
	"fmt"
	"math"
	"strings"

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

func (c bars) svg() string {
	const row, from, end = 34, 150, width - 130
	longest, shortest := 0.0, math.Inf(1)
	for _, r := range c.rows {
		if t := total(r.parts); t > 0 {
			longest, shortest = max(longest, t), min(shortest, t)
		}
	}
	title, factors := c.title, longest > spanOfBars*shortest
	if factors {
		title += ", each mark ten times the one before"
	}
	high := top + 20 + row*len(c.rows)
	if len(c.says) > 0 {
		high += 30
	}
	var b strings.Builder
	head(&b, title, high)
	length := func(v float64) float64 {
		if factors {
			least := math.Pow(10, math.Floor(math.Log10(shortest)))
			return (end - from) * math.Log(max(v, least)/least) / math.Log(longest/least)
		}
		return (end - from) * v / longest
	}
	if factors {
		for at := math.Pow(10, math.Floor(math.Log10(shortest))); at <= longest; at *= 10 {
			fmt.Fprintf(&b, `<path class="grid" d="M%.1f %dV%d"/>`, from+length(at), top, top+row*len(c.rows))
		}
	}
	for i, r := range c.rows {
		y := top + i*row
		fmt.Fprintf(&b, `<g class="%s"><text class="name" text-anchor="end" x="%d" y="%d">%s</text>`, r.class(), from-10, y+22, text.XML(text.Shorten(r.name, 15)))
		sum := total(r.parts)
		x, whole := float64(from), length(sum)
		for k, part := range r.parts {
			wide := whole * part / max(sum, 1e-12)
			fmt.Fprintf(&b, `<rect class="bar%s" x="%.1f" y="%d" width="%.1f" height="22"/>`, map[bool]string{true: " light"}[k == 1], x, y+6, wide)
			x += wide
		}
		note := r.note
		if note == "" {
			note = c.write(sum)
		}
		fmt.Fprintf(&b, `<text class="name" x="%.1f" y="%d">%s</text></g>`+"\n", x+8, y+22, text.XML(note))
	}
	for i, says := range c.says {
		x, y := from+i*160, high-14
		fmt.Fprintf(&b, `<g class="s7"><rect class="bar%s" x="%d" y="%d" width="22" height="14"/><text class="tick" x="%d" y="%d">%s</text></g>`+"\n",
			map[bool]string{true: " light"}[i == 1], x, y-12, x+30, y, text.XML(says))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func total(parts []float64) (sum float64) {
	for _, part := range parts {
		sum += part
	}
	return sum
}
