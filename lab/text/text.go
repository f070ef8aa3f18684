// Package text prepares text for its readers: it measures, wraps, shortens and
// aligns, and it makes harmless what a server under observation has said. All
// of it stands here once, for reports, diagrams and messages alike.
package text

import (
	"slices"
	"strconv"
	"strings"

	pretty "github.com/jedib0t/go-pretty/v6/text"
)

// An ambiguous character such as … takes one column. The locale does not change
// that: the same result gives the same report.
func init() { pretty.OverrideRuneWidthEastAsianWidth(false) }

// Width is how many columns s takes in a terminal.
func Width(s string) int { return pretty.StringWidthWithoutEscSequences(s) }

// Left and Centre fill s up to width columns. A longer s stays as it is.
func Left(s string, width int) string { return pretty.Pad(s, width, ' ') }

func Centre(s string, width int) string {
	free := max(0, width-Width(s))
	return strings.Repeat(" ", free-free/2) + s + strings.Repeat(" ", free/2)
}

// Cut leaves out the end of s if it takes more than width columns.
func Cut(s string, width int) string { return pretty.Snip(s, width, "…") }

// Shorten leaves out the middle: names of servers often differ at the end.
func Shorten(s string, width int) string {
	if Width(s) <= width {
		return s
	}
	runes := []rune(s)
	head, tail := (width-1)/2, len(runes)-width/2
	for tail < len(runes) && Width(string(runes[tail:])) > width/2 {
		tail++
	}
	return pretty.Trim(s, head) + "…" + string(runes[tail:])
}

// Wrap breaks s at spaces into lines of at most width columns. A longer word is
// cut. A break inside brackets moves before them if that is not far.
func Wrap(s string, width int) (lines []string) {
	width = max(width, 1)
	for Width(s) > width {
		line := pretty.Trim(s, width)
		if line == "" { // one character is wider than that
			line = string([]rune(s)[:1])
		}
		if line == s {
			break
		}
		if at := lastBreak(s, len(line), width); at > 0 {
			line = s[:at]
		} else if len(line) > 1 && strings.HasPrefix(s[len(line):], "::") {
			line = line[:len(line)-1] // see Line
		}
		lines = append(lines, line)
		s = strings.TrimLeft(s[len(line):], " ")
	}
	return append(lines, s)
}

// lastBreak is the last space in s, up to byte end, that leaves a line of more
// than half the width; 0 if there is none.
func lastBreak(s string, end, width int) int {
	if s[end] != ' ' {
		end = strings.LastIndexByte(s[:end], ' ')
	}
	if end <= 0 || Width(s[:end]) <= width/2 {
		return 0
	}
	before := strings.LastIndex(s[:end], " (")
	if before > 0 && Width(s[:before]) > width/3 && !strings.Contains(s[before:end], ")") {
		return before
	}
	return end
}

// Prose breaks a sentence at spaces into lines of at most width columns and
// indents all but the first. A longer word stays whole: it may be a command or
// an address, to be copied. Width 0 breaks nothing.
func Prose(s, indent string, width int) string {
	if width <= 0 {
		return s
	}
	line, lines := "", []string{}
	for _, word := range strings.SplitAfter(s, " ") {
		if strings.TrimSpace(line) != "" && Width(line+strings.TrimRight(word, " ")) > width {
			lines = append(lines, strings.TrimRight(line, " "))
			line = indent
		}
		if line != indent || len(lines) == 0 || word != " " {
			line += word
		}
	}
	return strings.Join(append(lines, line), "\n")
}

// Number is a number with commas: 1,048,576.
func Number(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Count is a number of things: "1 client", "1,000 clients"; or with many, if
// that is not one with an s: "2 bytes wait".
func Count(n int, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return Number(n) + " " + many[0]
	}
	return Number(n) + " " + one + "s"
}

// Apart numbers those names that are not the first of their kind.
func Apart(names []string) []string {
	seen := map[string]int{}
	unique := slices.Clone(names)
	for i, name := range names {
		seen[name]++
		if n := seen[name]; n > 1 {
			unique[i] = name + " (" + strconv.Itoa(n) + ")"
		}
	}
	return unique
}
