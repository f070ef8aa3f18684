package diagram

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"socketlab/lab/text"
)

// marginWidth is the room for the time beside a row.
const marginWidth = 10

// Text draws the trace in characters, never wider than the style's width.
func (t Trace) Text(w io.Writer, s Style) error {
	if err := t.check(); err != nil {
		return err
	}
	t = t.shown(s.ASCII).folded()
	width, margin := 80, 0
	if s.Width > 0 {
		width = max(s.Width, 40)
	}
	if s.Times {
		margin = marginWidth
	}
	out := bufio.NewWriter(w)
	p := t.layout(width, margin)
	d := page{p, s, out}
	for _, line := range text.Wrap(t.played(), width) {
		d.emit(d.line().write(0, line, bold))
	}
	if t.Lesson != "" {
		for _, line := range text.Wrap(t.Lesson, width) {
			d.emit(d.line().write(0, line, ""))
		}
	}
	d.emit(nil)
	d.header()
	for _, r := range p.rows {
		d.row(r)
	}
	d.emit(nil)
	lines := t.footer()
	if legend := p.legend(); len(legend) > 0 {
		lines = append([]string{strings.Join(legend, "   ")}, lines...)
	}
	for _, line := range lines {
		for i, part := range text.Wrap(line, width-2) {
			d.emit(d.line().write(min(i, 1)*2, part, ""))
		}
	}
	return out.Flush()
}

// A page is where a plan is written.
type page struct {
	plan
	style Style
	out   *bufio.Writer
}

// Colours, as SGR parameters: ECMA-48.
const (
	bold   = "1"
	dim    = "2"
	red    = "1;31"
	yellow = "33"
	cyan   = "36"
)

var colors = map[string]string{"state": cyan, "queue": yellow, "life": bold, "note": dim}

// A line is a row of characters and their colours.
type line struct {
	runes  []rune
	colors []string
}

func (p page) line() *line {
	return &line{slices.Repeat([]rune{' '}, p.width), make([]string, p.width)}
}

func (l *line) write(x int, text, color string) *line {
	for _, r := range text {
		if x >= 0 && x < len(l.runes) {
			l.runes[x], l.colors[x] = r, color
		}
		x++
	}
	return l
}

// ascii is what stands for a sign on a terminal without UTF-8.
var ascii = map[rune]rune{
	'│': '|', '├': '|', '┤': '|', '▒': '#', '┃': '[', '┊': ':', '─': '-', '╌': '.', '…': '~', 'µ': 'u', '🔒': '*',
}

func (p page) emit(l *line) {
	color := ""
	if l != nil {
		end := len(l.runes)
		for end > 0 && l.runes[end-1] == ' ' {
			end--
		}
		for i, r := range l.runes[:end] {
			if p.style.Color && l.colors[i] != color {
				color = l.colors[i]
				fmt.Fprintf(p.out, "\x1b[%sm", "0;"[:2*min(1, len(color))]+color)
			}
			if i > 0 && l.runes[i-1] == '🔒' && !p.style.ASCII {
				continue // it is two columns wide, and takes that of the blank behind it
			}
			if plain, known := ascii[r]; p.style.ASCII && known {
				r = plain
			}
			p.out.WriteRune(r)
		}
	}
	if color != "" {
		p.out.WriteString("\x1b[m")
	}
	p.out.WriteByte('\n')
}

// header writes the names, each above its line.
func (p page) header() {
	for _, l := range p.names() {
		p.emit(l)
	}
}

func (p page) names() (lines []*line) {
	level, most := p.levels()
	for at := most; at >= 0; at-- {
		l := p.line()
		for i, c := range p.columns {
			switch {
			case level[i] == at:
				l.write(c.x, c.name, bold)
			case level[i] > at:
				l.write(c.x, signs[idle], dim)
			}
		}
		lines = append(lines, l)
	}
	return lines
}

func (p page) row(r row) {
	for _, l := range p.lines(r) {
		p.emit(l)
	}
}

func (p page) lines(r row) []*line {
	l := p.line()
	if p.style.Times {
		l.write(0, fmt.Sprintf("%8s", elapsed(r.at)), dim)
	}
	if r.arrow != nil {
		p.arrow(l, r.arrow)
	}
	p.lanes(l, r.lanes)
	if r.arrow != nil {
		p.ends(l, r)
	}
	lines := []*line{l}
	for _, label := range r.labels {
		x, parts := p.put(r, label)
		for i, part := range parts {
			if i == len(lines) {
				lines = append(lines, p.line())
				p.lanes(lines[i], r.lanes)
			}
			lines[i].write(x-1, " "+part+" ", "").write(x, part, colors[label.kind])
		}
	}
	return lines
}

var signs = map[lane]string{absent: "", idle: "│", busy: "┃", brief: "┃", asleep: "▒", zombie: "┊"}

func (p page) lanes(l *line, lanes []lane) {
	for i, lane := range lanes {
		color := dim
		if lane == asleep {
			color = yellow
		}
		l.write(p.columns[i].x, signs[lane], color)
	}
}

// arrow writes an arrow that passes behind the lines in between.
func (p page) arrow(l *line, a *arrow) {
	dash := "─"
	if a.Inferred {
		dash = "╌"
	}
	from, to := p.columns[a.from].x, p.columns[a.to].x
	left, right := min(from, to)+1, max(from, to)-1
	l.write(left, strings.Repeat(dash, right-left+1), "")
}

// ends writes an arrow's label near where it comes from, and its head.
func (p page) ends(l *line, r row) {
	a, color := r.arrow, ""
	if strings.Contains(a.Flags, "RST") {
		color = red
	}
	words := p.fit(a, 4)
	from, to := p.columns[a.from].x, p.columns[a.to].x
	if from < to {
		l.write(to-1, ">", color)
		l.write(from+2, words, color)
	} else {
		l.write(to+1, "<", color)
		l.write(from-1-text.Width(words), words, color)
	}
	if r.lanes[a.from] == idle {
		l.write(from, map[bool]string{true: "├", false: "┤"}[from < to], "")
	}
}

// legend explains the signs that are used.
func (p plan) legend() []string {
	used := map[lane]bool{}
	dashed := false
	for _, r := range p.rows {
		for _, lane := range r.lanes {
			used[lane] = true
		}
		dashed = dashed || r.arrow != nil && r.arrow.Inferred
	}
	var words []string
	if used[asleep] {
		words = append(words, "▒ asleep in the call")
	}
	if used[busy] || used[brief] {
		words = append(words, "┃ in the call, awake")
	}
	if used[zombie] {
		words = append(words, "┊ ended, not yet reaped")
	}
	if dashed {
		words = append(words, "╌> inferred, not seen")
	}
	return words
}

func elapsed(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.3f s", d.Seconds())
}
