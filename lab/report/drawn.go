package report

import (
	"bytes"

	"socketlab/lab/diagram"
)

// drawn is the diagram as text, in lines of at most width columns, 0 meaning 80;
// empty if there is none.
func (c Check) drawn(width int) string {
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

// svg is the diagram as a picture, nil if there is none.
func (c Check) svg() []byte {
	if c.Diagram == nil {
		return nil
	}
	var b bytes.Buffer
	if c.Diagram.SVG(&b, diagram.Style{}) != nil {
		return nil // drawn says why
	}
	return b.Bytes()
}
