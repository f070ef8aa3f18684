package verify

import (
	"fmt"
	"strings"

	"socketlab/lab/text"
)

// quantity says how much p is, and what, if that is short.
func quantity(p []byte) string {
	if len(p) > 0 && len(p) <= 24 {
		return fmt.Sprintf("%s %q", text.Count(len(p), "byte"), p)
	}
	return text.Count(len(p), "byte")
}

// difference shows the bytes around position i, where got begins to differ
// from want, in hex and as text, with a mark below.
func difference(want []byte, i int, got []byte) []string {
	from := max(0, i-8)
	mark := strings.Repeat(" ", len("expected  ")+3*(i-from)) + "^^"
	return []string{
		"expected  " + dump(want, from),
		"received  " + dump(got, from),
		mark,
	}
}

// dump is one line of 16 bytes from a position on.
func dump(p []byte, from int) string {
	p = p[min(from, len(p)):]
	p = p[:min(16, len(p))]
	var hex, text strings.Builder
	for _, b := range p {
		fmt.Fprintf(&hex, "%02x ", b)
		if b < ' ' || b > '~' {
			b = '.'
		}
		text.WriteByte(b)
	}
	return fmt.Sprintf("%-48s %s", hex.String(), text.String())
}
