package diagram

import (
	"bufio"
	"io"
	"strings"

	"socketlab/lab/text"
)

const (
	leastSide = 38 // characters of one server among others
	between   = 3  // characters between two
)

// Text draws the sides as wide as the style's width allows, and the others
// below.
func (s Sides) Text(w io.Writer, style Style) error {
	if err := s.check(); err != nil {
		return err
	}
	s = s.shown(style.ASCII)
	width := 80
	if style.Width > 0 {
		width = max(style.Width, 40)
	}
	out := bufio.NewWriter(w)
	p := page{plan{width: width}, style, out}
	say := func(lines []string, indent int, color string) {
		for i, line := range lines {
			p.emit(p.line().write(min(i, 1)*indent, line, color))
		}
	}
	say(text.Wrap(s.title(), width), 0, bold)
	fit := min(len(s), max(1, (width+between)/(leastSide+between)))
	titles := s.actions()
	words := map[string]bool{}
	var legend []string
	for first := 0; first < len(s); first += fit {
		group := s[first:min(len(s), first+fit)]
		p.emit(nil)
		for _, word := range p.group(group, titles) {
			if !words[word] {
				words[word] = true
				legend = append(legend, word)
			}
		}
	}
	p.emit(nil)
	say(text.Wrap(strings.Join(legend, "   "), width-2), 2, "")
	for _, line := range s.summary(leftOut) {
		say(text.Wrap(line, width-2), 2, "")
	}
	return out.Flush()
}

// group draws sides beside each other, and returns the signs that it uses.
func (p page) group(sides Sides, titles []string) (legend []string) {
	one := (p.width-between*(len(sides)-1))/len(sides) - 1
	traces, pages := make([]Trace, len(sides)), make([]page, len(sides))
	lanes := make([][]lane, len(sides))
	names, heads := p.line(), make([][]*line, len(sides))
	for i, t := range sides {
		traces[i] = t.compared().folded()
		pages[i] = page{traces[i].beside(one), p.style, p.out}
		lanes[i] = pages[i].atRest()
		names.write(i*(one+between), text.Shorten(traces[i].Subject, one), bold)
		heads[i] = pages[i].names()
		legend = append(legend, pages[i].legend()...)
	}
	p.emit(names)
	p.beside(heads, one, func(i int) *line { return pages[i].line() }, true)
	for step, title := range titles {
		columns, most := make([][]*line, len(sides)), 0
		for i, page := range pages {
			steps := page.steps(traces[i])
			if step >= len(steps) {
				continue
			}
			for _, r := range steps[step] {
				columns[i] = append(columns[i], page.lines(r)...)
				lanes[i] = after(r.lanes)
			}
			most = max(most, len(columns[i]))
		}
		if title == "" && most == 0 {
			continue
		}
		if title != "" {
			for _, part := range text.Wrap("── "+title+" ", p.width) {
				p.emit(p.line().write(0, part, bold))
			}
		}
		p.beside(columns, one, func(i int) *line {
			l := pages[i].line()
			pages[i].lanes(l, lanes[i])
			return l
		}, false)
	}
	return legend
}

// after is how lanes go on after a row.
func after(lanes []lane) []lane {
	on := make([]lane, len(lanes))
	for i, l := range lanes {
		if on[i] = l; l == brief {
			on[i] = idle
		}
	}
	return on
}

// beside emits columns of lines beside each other; one that is shorter is filled
// up, at its beginning or its end.
func (p page) beside(columns [][]*line, one int, fill func(i int) *line, top bool) {
	most := 0
	for _, c := range columns {
		most = max(most, len(c))
	}
	for row := range most {
		all := p.line()
		for i, c := range columns {
			at := row
			if top {
				at -= most - len(c)
			}
			l := (*line)(nil)
			if at >= 0 && at < len(c) {
				l = c[at]
			} else {
				l = fill(i)
			}
			copy(all.runes[i*(one+between):], l.runes)
			copy(all.colors[i*(one+between):], l.colors)
		}
		p.emit(all)
	}
}
