package diagram

import (
	"bufio"
	"fmt"
	"io"

	"socketlab/lab/text"
)

// A slide is 1600 by 900, and measured in units of 1.25: the smallest text is 16
// units, which are 20 pixels.
const (
	slideWidth, slideHeight = 1280.0, 720.0
	pixels                  = 1.25
	slidePadding            = 16.0
	bandHeight              = 24.0 // of an action's title
	gapBetween              = 12.0
)

// slideRows are the heights of a row with and without an arrow, from the
// roomiest to what can just be read.
var slideRows = [][2]float64{{30, 28}, {27, 25}, {24, 22}, {21, 20}}

// SVG draws the sides as a slide. One that does not fit becomes higher, not
// smaller.
func (s Sides) SVG(w io.Writer) error {
	if err := s.check(); err != nil {
		return err
	}
	s = s.shown(false)
	out := bufio.NewWriter(w)
	n := float64(len(s))
	each := (slideWidth - 2*slidePadding - gapBetween*(n-1)) / n
	all := make([]*picture, len(s))
	steps := make([][][]row, len(s))
	traces := make([]Trace, len(s))
	names := 0
	for i, t := range s {
		traces[i] = t.onSlide(len(s) == 1).folded()
		p := traces[i].terse(int(each / cell))
		if p.clear = len(s) == 1; p.clear {
			p.stretch()
		}
		all[i] = &picture{plan: p, out: out, id: "d" + hash(s.title()), left: slidePadding + float64(i)*(each+gapBetween), width: each}
		steps[i] = p.steps(traces[i])
		_, most := p.levels()
		names = max(names, most)
	}
	titles := s.actions()
	first := slidePadding + 34 + 26 + float64(names+1)*lineHeight
	footer := s.summary(onlyKey)
	for i := len(footer) - 1; i >= 0; i-- {
		footer = append(footer[:i], append(text.Wrap(footer[i], int((slideWidth-2*slidePadding)/cell)), footer[i+1:]...)...)
	}
	below := float64(len(footer)+1)*lineHeight + slidePadding
	var bands []band
	bottom := 0.0
	for _, heights := range slideRows {
		bands, bottom = place(all, steps, titles, first, heights)
		if bottom+below <= slideHeight {
			break
		}
	}
	height := max(slideHeight, bottom+below)
	openSVG(out, all[0].id, slideWidth, height, slideWidth*pixels, height*pixels, s.title(), s.story(all))
	all[0].text(slidePadding, slidePadding+22, "ink life", text.Shorten(s.title(), 78), ` font-size="24"`)
	for i, d := range all {
		d.text(d.left, slidePadding+34+20, "ink life", text.Shorten(s.below(i), int(each/11)), ` font-size="18"`)
		level, _ := d.levels()
		for j, c := range d.columns {
			if level[j] >= 0 {
				y := first - 8 - float64(level[j]*lineHeight)
				d.stroke("line", d.x(c.x), y+6, d.x(c.x), d.rowsBegin(first), ` stroke-width="2"`)
				d.text(d.x(c.x)-5, y, "ink", c.name, "")
			}
		}
		d.lanes(bottom)
		for j, r := range d.rows {
			d.row(j, r, Style{})
		}
	}
	for _, b := range bands { // the lines pass behind
		fmt.Fprintf(out, `<rect class="back" x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#fff"/>`+"\n", slidePadding-8, b.y-bandHeight+4, slideWidth-2*slidePadding+16, bandHeight)
		fmt.Fprintf(out, `<path class="line" d="M%.1f %.1fH%.1f" stroke="#818b98" stroke-width="1"/>`+"\n", slidePadding, b.y-bandHeight+5, slideWidth-slidePadding)
		all[0].text(slidePadding, b.y-3, "soft", text.Shorten(b.title, int((slideWidth-2*slidePadding)/cell)), ` font-weight="bold"`)
	}
	d := all[0]
	d.y = bottom + 14
	d.left = slidePadding
	d.signsOf(legendOf(all), slidePadding)
	for i, line := range footer {
		d.text(slidePadding, d.y+10+float64(i+1)*lineHeight-4, "soft", line, "")
	}
	fmt.Fprintln(out, "</svg>")
	return out.Flush()
}

// below is what stands below the title: whose side it is, and what it shows.
func (s Sides) below(i int) string {
	switch t := s[i]; {
	case len(s) == 1:
		return t.played()
	case t.Lesson != "":
		return t.Subject + ": " + t.Lesson
	}
	return s[i].Subject
}

// rowsBegin is where its first row is, or else there.
func (d *picture) rowsBegin(there float64) float64 {
	if len(d.rowY) > 0 {
		return d.rowY[0]
	}
	return there
}

// A band is the title of an action, above the rows that follow from it.
type band struct {
	y     float64
	title string
}

// place puts the rows of each step at the same height in all pictures.
func place(all []*picture, steps [][][]row, titles []string, first float64, heights [2]float64) (bands []band, bottom float64) {
	for _, d := range all {
		d.rowY = nil
	}
	y := first
	for step, title := range titles {
		rows := 0
		for i := range all {
			if step < len(steps[i]) {
				rows = max(rows, len(steps[i][step]))
			}
		}
		if rows == 0 && title == "" {
			continue
		}
		if title != "" {
			y += bandHeight + 1
			bands = append(bands, band{y - 3, title})
		}
		end := y
		for i, d := range all {
			at := y
			if step >= len(steps[i]) {
				continue
			}
			for _, r := range steps[i][step] {
				switch {
				case r.silent():
					at += 4
				case r.arrow != nil:
					at += heights[0]
				default:
					at += heights[1]
				}
				d.rowY = append(d.rowY, at)
				more := 0
				for _, l := range r.labels {
					_, lines := d.put(r, l)
					more = max(more, len(lines)-1)
				}
				at += float64(more * lineHeight)
			}
			end = max(end, at)
		}
		y = end + 6
	}
	return bands, y + 10
}

func legendOf(all []*picture) (words []string) {
	seen := map[string]bool{}
	for _, d := range all {
		for _, word := range d.legend() {
			if !seen[word] {
				seen[word] = true
				words = append(words, word)
			}
		}
	}
	return words
}

// story tells the slide to those who do not see it, side by side.
func (s Sides) story(all []*picture) (story string) {
	for i, d := range all {
		story += s[i].Subject + ": " + d.rowsStory()
	}
	return story
}
