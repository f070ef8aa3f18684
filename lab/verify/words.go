package verify

import (
	"fmt"
	"strconv"
	"strings"
)

// quantity says how much p is, and what, if that is short.
func quantity(p []byte) string {
	if len(p) > 0 && len(p) <= 24 {
		return fmt.Sprintf("%s %q", count(len(p)), p)
	}
	return count(len(p))
}

func count(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return thousands(n) + " bytes"
}

// thousands writes 1048576 as 1,048,576.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
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
