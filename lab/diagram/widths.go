package diagram

import (
	"slices"

	"socketlab/lab/text"
)

// A keep is how narrow columns become before the next keep is tried. Labels
// may run across lines, so most columns can do with little; but an arrow ends
// where it ends, and right of the last column there is nothing.
type keep struct{ any, arrow, kernel, last int }

var keeps = []keep{{12, 44, 30, 30}, {12, 36, 16, 16}, {8, 26, 14, 10}, {leastWidth, leastGap, leastWidth, leastLast}}

func (k keep) of(i, kernel, last int) int {
	switch i {
	case last:
		return k.last
	case kernel:
		return k.kernel
	case kernel - 1:
		return k.arrow
	}
	return k.any
}

// spread gives each column the width that it would like to have, and takes
// from the widest while that is too much.
func (p *planner) spread(width, margin int) {
	const most = 44
	last := len(p.columns) - 1
	kernel := slices.IndexFunc(p.columns, func(c column) bool { return c.kind == ServerKernel })
	for i := range p.columns {
		c := &p.columns[i]
		if !c.late {
			c.width = text.Width(c.name) + 2
		}
		c.width = max(c.width, leastWidth)
	}
	for _, r := range p.rows {
		for _, l := range r.labels {
			if l.column < 0 {
				continue
			}
			c := &p.columns[l.column]
			if l.left {
				c = &p.columns[l.column-1]
			}
			c.width = max(c.width, min(most, text.Width(l.text)+4))
		}
	}
	for _, r := range p.rows {
		if r.arrow != nil {
			from, to := min(r.arrow.from, r.arrow.to), max(r.arrow.from, r.arrow.to)
			need := text.Width(r.arrow.texts()[0]) + 8
			for _, c := range p.columns[from : to-1] {
				need -= c.width
			}
			p.columns[to-1].width = max(p.columns[to-1].width, need)
		}
	}
	sum := margin
	for _, c := range p.columns {
		sum += c.width
	}
	limits := keeps
	if width > 100 { // of a picture
		limits = append([]keep{{22, 36, 24, 24}}, keeps...)
	}
	if p.terse {
		limits = []keep{{12, 30, 20, 24}, {4, 14, 3, 11}}
	}
	for _, keep := range limits {
		for ; sum > width; sum-- {
			widest := -1
			for i, c := range p.columns {
				if c.width > keep.of(i, kernel, last) && (widest < 0 || c.width > p.columns[widest].width) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			p.columns[widest].width--
		}
	}
	x := margin
	for i := range p.columns {
		c := &p.columns[i]
		c.x = x
		c.name = text.Shorten(c.name, width-x)
		x += c.width
	}
	p.used = min(width, x)
}

// stretch gives columns the room that is left.
func (p *plan) stretch() {
	more := (p.width - p.used) / len(p.columns)
	for i := range p.columns {
		p.columns[i].x += i * more
		p.columns[i].width += more
	}
	p.used += more * len(p.columns)
}

// levels says how high above the first row each name stands, so that it does
// not run across the line of a column to its right. Columns that begin later
// have their names there: -1.
func (p plan) levels() (level []int, most int) {
	level = make([]int, len(p.columns))
	for i := len(p.columns) - 1; i >= 0; i-- {
		if p.columns[i].late {
			level[i] = -1
			continue
		}
		end := p.columns[i].x + text.Width(p.columns[i].name) + 1
		for j := i + 1; j < len(p.columns) && p.columns[j].x < end; j++ {
			level[i] = max(level[i], level[j]+1)
		}
		most = max(most, level[i])
	}
	return level, most
}
