package report

import (
	"bytes"
	"html/template"

	"socketlab/lab/diagram"
)

// Drawn is the diagram as text, in lines of at most width columns, 0 meaning 80;
// empty if there is none.
func (c Check) Drawn(width int) string {
	const indent = 2 // of what is quoted
	if c.Diagram == nil {
		return ""
	}
	if width == 0 {
		width = 80
	}
	var b bytes.Buffer
	if err := c.Diagram.Text(&b, diagram.Style{Width: width - indent}); err != nil {
		return "it cannot be drawn: " + err.Error()
	}
	return b.String()
}

// SVG is the diagram as a picture, "" if there is none.
func (c Check) SVG() template.URL {
	if c.Diagram == nil {
		return ""
	}
	var b bytes.Buffer
	if c.Diagram.SVG(&b, diagram.Style{}) != nil {
		return "" // Drawn says why
	}
	return Picture(b.Bytes())
}
