package diagram

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"socketlab/lab/text"
)

// SVG draws the trace as a picture that stands for itself: no script, no font
// and no image from elsewhere, light or dark as the reader's system is.
//
// It is written element by element: all that a drawing library would take off
// us is the angle brackets, and it would not escape what stands in attributes.
func (t Trace) SVG(w io.Writer, s Style) error {
	if err := t.check(); err != nil {
		return err
	}
	if t.About == Waiting && !s.Times {
		return Sides{t}.SVG(w)
	}
	seen := t.shown(false).footer()
	t = t.shown(false).brief().operated().named().folded()
	margin := 0
	if s.Times {
		margin = marginWidth
	}
	out := bufio.NewWriter(w)
	plan := t.layout(pictureWidth, margin)
	plan.clear = true
	d := picture{plan: plan, out: out, id: "d" + hash(t.title()), left: padding}
	d.draw(t, seen, s)
	return out.Flush()
}

// The measures are pixels. A picture is at most 1200 wide, so that its smallest
// words can be read at the far end of a classroom.
const (
	pictureWidth = 120 // characters
	cell         = 9.6 // a character, of a monospaced font of the size:
	fontSize     = 16
	padding      = 24
	rowHeight    = 36 // of an arrow, whose text stands above it
	labelHeight  = 27 // of a row without one
	lineHeight   = 20
)

type picture struct {
	plan
	out   *bufio.Writer
	id    string
	y     float64   // how far down it is drawn
	rowY  []float64 // of each row's arrow, or the middle of its first line
	left  float64   // where its columns begin
	width float64   // on a slide: of its columns; 0: all
}

// hash keeps ids apart when several pictures stand on one page: FNV-1a.
func hash(s string) string {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return fmt.Sprintf("%08x", h)
}

// A renderer that knows no style sheets draws with the attributes, which are
// the light colours.
const sheet = `
.back{fill:#fff}.ink{fill:#1f2328}.soft{fill:#59636e}.state{fill:#0550ae;font-weight:bold}
.queue{fill:#7d4e00;font-weight:bold}.life{font-weight:bold}.note{font-style:italic}
.halo{stroke:#fff}.line{stroke:#818b98}.arrow{stroke:#1f2328}.head{fill:#1f2328}
.reset{stroke:#c1121f}.resethead{fill:#c1121f}
.asleep{stroke:#9a6700}.paper{fill:#fff3c4}.hatch{stroke:#9a6700}.busy{fill:#ddf4ff;stroke:#0969da}
@media (prefers-color-scheme:dark){
.back{fill:#0d1117}.ink{fill:#f0f6fc}.soft{fill:#a5adb8}.state{fill:#79c0ff}
.queue{fill:#f2cc60}
.halo{stroke:#0d1117}.line{stroke:#6e7681}.arrow{stroke:#f0f6fc}.head{fill:#f0f6fc}
.reset{stroke:#ff7b72}.resethead{fill:#ff7b72}
.asleep{stroke:#e3b341}.paper{fill:#33270a}.hatch{stroke:#e3b341}.busy{fill:#10305a;stroke:#58a6ff}
}`

func (d *picture) draw(t Trace, seen []string, s Style) {
	level, most := d.levels()
	var footer []string
	title := text.Wrap(t.title(), d.headline()*3/4) // in a larger font
	if t.Lesson != "" {
		footer = append(footer, "scene "+t.played())
	}
	top := 2.0*padding + float64(len(title)*(lineHeight+6)) + 6
	first := top + float64(most*lineHeight) + rowHeight
	d.y = first
	for i, r := range d.rows {
		switch {
		case i == 0:
		case r.arrow == nil:
			d.y += labelHeight
		default:
			d.y += rowHeight
		}
		d.rowY = append(d.rowY, d.y)
		more := 0
		for _, l := range r.labels {
			_, lines := d.put(r, l)
			more = max(more, len(lines)-1)
		}
		d.y += float64(more * lineHeight)
	}
	bottom := d.y + rowHeight
	for _, line := range seen {
		footer = append(footer, text.Wrap(line, d.headline())...)
	}
	height := bottom + padding + float64((len(footer)+1)*lineHeight) + padding/2
	width := float64(max(d.used, d.headline()))*cell + 2*padding

	openSVG(d.out, d.id, width, height, width, height, t.title(), d.story(t))
	for i, line := range title {
		d.text(padding, padding+20+float64(i*(lineHeight+6)), "ink life", line, ` font-size="20"`)
	}
	for i, c := range d.columns {
		if level[i] >= 0 {
			y := first - rowHeight - float64(level[i]*lineHeight)
			d.stroke("line", d.x(c.x), y+6, d.x(c.x), first, ` stroke-width="2"`)
			d.text(d.x(c.x)-5, y, "ink life", c.name, "")
		}
	}
	d.lanes(bottom)
	for i, r := range d.rows {
		d.row(i, r, s)
	}
	d.y = bottom + padding
	d.signs()
	d.y += 10
	for i, line := range footer {
		d.text(padding, d.y+float64((i+1)*lineHeight), "soft", line, ` font-size="14"`)
	}
	fmt.Fprintln(d.out, "</svg>")
}

// openSVG begins a picture, so large in its own units and in pixels.
func openSVG(out io.Writer, id string, width, height, right, bottom float64, title, story string) {
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="%s-t %s-d" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" font-family="ui-monospace,Menlo,'DejaVu Sans Mono',Consolas,monospace" font-size="%d">`+"\n",
		id, id, width, height, right, bottom, fontSize)
	fmt.Fprintf(out, "<title id=\"%s-t\">%s</title>\n<desc id=\"%s-d\">%s</desc>\n", id, text.XML(title), id, text.XML(story))
	fmt.Fprintf(out, "<style>text{white-space:pre}%s</style>\n", sheet)
	fmt.Fprintf(out, `<defs><pattern id="%s-h" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="paper" width="7" height="7" fill="#fff3c4"/><path class="hatch" d="M0 0V7" stroke="#9a6700" stroke-width="3.5"/></pattern></defs>`+"\n", id)
	fmt.Fprintf(out, `<rect class="back" width="%.0f" height="%.0f" fill="#fff"/>`+"\n", width, height)
}

// headline is how many characters a line of the title or the footer has.
func (d *picture) headline() int { return max(d.used, 80) }

// x is the middle of a character.
func (d *picture) x(column int) float64 { return d.left + (float64(column)+0.5)*cell }

func (d *picture) text(x, y float64, class, words, more string) {
	ink := "#1f2328"
	if strings.HasPrefix(class, "soft") {
		ink = "#59636e"
	}
	fmt.Fprintf(d.out, `<text class="%s" x="%.1f" y="%.1f" fill="%s"%s>%s</text>`+"\n", class, x, y, ink, more, text.XML(words))
}

// label is a text that keeps its distance from the lines behind it.
func (d *picture) label(x, y float64, class, words string) {
	fmt.Fprintf(d.out, `<text class="halo" x="%.1f" y="%.1f" fill="none" stroke="#fff" stroke-width="9" stroke-linejoin="round" aria-hidden="true">%s</text>`+"\n", x, y, text.XML(words))
	d.text(x, y, class, words, "")
}

func (d *picture) stroke(class string, x1, y1, x2, y2 float64, more string) {
	color := map[string]string{"line": "#818b98", "reset": "#c1121f"}[class]
	if color == "" {
		color = "#1f2328"
	}
	fmt.Fprintf(d.out, `<path class="%s" d="M%.1f %.1fL%.1f %.1f" stroke="%s"%s/>`+"\n", class, x1, y1, x2, y2, color, more)
}

// lanes draws the columns from row to row; what does not change is one piece.
func (d *picture) lanes(bottom float64) {
	for c := range d.columns {
		for i := 0; i < len(d.rows); {
			from, what := i, d.rows[i].lanes[c]
			for i++; i < len(d.rows) && d.rows[i].lanes[c] == what && what != brief; {
				i++
			}
			end := bottom
			if i < len(d.rows) {
				end = d.rowY[i]
			}
			d.lane(what, d.x(d.columns[c].x), d.rowY[from], end)
		}
	}
}

func (d *picture) lane(what lane, x, from, to float64) {
	bar := func(class, fill, stroke string, from, to float64) {
		fmt.Fprintf(d.out, `<rect class="%s" x="%.1f" y="%.1f" width="14" height="%.1f" rx="3" fill="%s" stroke="%s" stroke-width="2"/>`+"\n",
			class, x-7, from, to-from, fill, stroke)
	}
	switch what {
	case idle:
		d.stroke("line", x, from, x, to, ` stroke-width="2"`)
	case zombie:
		d.stroke("line", x, from, x, to, ` stroke-width="3" stroke-dasharray="2 6"`)
	case brief:
		d.stroke("line", x, from, x, to, ` stroke-width="2"`)
		bar("busy", "#ddf4ff", "#0969da", from-9, from+9)
	case busy:
		bar("busy", "#ddf4ff", "#0969da", from-9, to)
	case asleep:
		bar("asleep", "url(#"+d.id+"-h)", "#9a6700", from-9, to)
	}
}

func (d *picture) row(i int, r row, s Style) {
	y := d.rowY[i]
	if s.Times {
		d.text(padding, y+5, "soft", fmt.Sprintf("%8s", elapsed(r.at)), ` font-size="14"`)
	}
	if r.arrow != nil {
		d.arrow(r.arrow, y)
	}
	for _, l := range r.labels {
		x, lines := d.put(r, l)
		if l.column < 0 && d.width == 0 { // it parts what is above from what is below
			fmt.Fprintf(d.out, `<rect class="back" x="%.1f" y="%.1f" width="%.1f" height="%d" fill="#fff"/>`+"\n",
				d.left-8, y-12, float64(d.used)*cell+16, 4+lineHeight*len(lines))
		}
		for i, line := range lines {
			d.label(d.left+float64(x)*cell, y+5.5+float64(i*lineHeight), "ink "+l.kind, line)
		}
	}
}

func (d *picture) arrow(a *arrow, y float64) {
	from, to := d.x(d.columns[a.from].x), d.x(d.columns[a.to].x)
	way := 1.0 // to the right
	if to < from {
		way = -1
	}
	class, head, color, dashes := "arrow", "head", "#1f2328", ""
	if strings.Contains(a.Flags, "RST") {
		class, head, color = "reset", "resethead", "#c1121f"
	}
	if a.Inferred {
		dashes = ` stroke-dasharray="9 7"`
	}
	if a.Dropped { // it ends before it gets there
		to -= way * 5 * cell
		class, head, color = "reset", "resethead", "#c1121f"
	}
	frame := 4
	if d.width > 0 {
		frame = 2
	}
	words := d.fit(a, frame)
	if d.width == 0 {
		d.label(d.middle(a, words), y-8, "ink", words)
	}
	d.stroke(class, from+8*way, y, to-16*way, y, ` stroke-width="2.5"`+dashes)
	if d.width > 0 { // on a slide, where rows are low, it stands on the line
		x := d.middle(a, words)
		if room := (to - from) * way / cell; room < float64(text.Width(words)+4) {
			x -= way * cell * 0.8 // away from the head
		}
		fmt.Fprintf(d.out, `<rect class="back" x="%.1f" y="%.1f" width="%.1f" height="%d" fill="#fff"/>`+"\n", x-1, y-9, float64(text.Width(words))*cell+2, fontSize+2)
		d.text(x, y+5.5, "ink", words, "")
	}
	if a.Dropped {
		fmt.Fprintf(d.out, `<path class="reset" d="M%.1f %.1fl16 16m0 -16l-16 16" stroke="%s" stroke-width="3"/>`+"\n", to-16*way-8, y-8, color)
		return
	}
	fmt.Fprintf(d.out, `<path class="%s" d="M%.1f %.1fl%.1f -7v14z" fill="%s"/>`+"\n", head, to-8*way, y, -14*way, color)
}

// middle is where an arrow's text begins: in the widest gap between lines that
// it fits in, or else in the middle of the arrow.
func (d *picture) middle(a *arrow, words string) float64 {
	left, right := min(a.from, a.to), max(a.from, a.to)
	at, widest := d.columns[left].x+d.columns[right].x, text.Width(words)+3
	for i := left; i < right; i++ {
		if gap := d.columns[i+1].x - d.columns[i].x; gap > widest {
			at, widest = d.columns[i].x+d.columns[i+1].x, gap
		}
	}
	return d.x(0) + (float64(at)-float64(text.Width(words)))*cell/2
}

// signs draws the legend, with the bars themselves instead of their signs.
func (d *picture) signs() { d.signsOf(d.legend(), padding) }

func (d *picture) signsOf(legend []string, x float64) {
	for _, item := range legend {
		sign, words, _ := strings.Cut(item, " ")
		switch sign {
		case "╌>":
			d.stroke("arrow", x, d.y, x+30, d.y, ` stroke-width="2.5" stroke-dasharray="9 7"`)
			x += 24
		case signs[asleep]:
			d.lane(asleep, x+7, d.y, d.y+9)
		case signs[zombie]:
			d.lane(zombie, x+7, d.y-9, d.y+9)
		default:
			d.lane(busy, x+7, d.y, d.y+9)
		}
		d.text(x+24, d.y+5, "ink", words, "")
		x += 24 + float64(text.Width(words)+3)*cell
	}
}

// story tells the picture to those who do not see it.
func (d *picture) story(t Trace) string {
	return d.rowsStory() + strings.Join(t.footer(), ". ") + "."
}

func (d *picture) rowsStory() string {
	var b strings.Builder
	for _, r := range d.rows {
		if a := r.arrow; a != nil {
			fmt.Fprintf(&b, "%s to %s: %s. ", d.columns[a.from].name, d.columns[a.to].name, a.texts()[0])
		}
		for _, l := range r.labels {
			if l.column >= 0 {
				b.WriteString(d.columns[l.column].name + ": ")
			}
			b.WriteString(l.text + ". ")
		}
	}
	return b.String()
}
