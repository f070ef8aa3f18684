package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// shown is v as it may be shown to anybody: a server under observation prints
// what it likes, and some of that would be obeyed by a terminal, illegal in XML
// or misleading on a page. Subjects with the same name are told apart. JSON
// gets v itself.
func (v Verify) shown() Verify {
	v.Failure = text(v.Failure)
	v.Subjects = slices.Clone(v.Subjects)
	var names []string
	for _, s := range v.Subjects {
		names = append(names, line(s.Name))
	}
	for i, name := range apart(names) {
		s := &v.Subjects[i]
		s.Name, s.Command, s.Checks = name, lines(s.Command), slices.Clone(s.Checks)
		for i := range s.Checks {
			s.Checks[i] = s.Checks[i].shown()
		}
	}
	return v
}

func (c Check) shown() Check {
	c.ID, c.Says, c.Note, c.Hint, c.Try = line(c.ID), line(c.Says), line(c.Note), line(c.Hint), line(c.Try)
	c.Story, c.Diff = lines(c.Story), lines(c.Diff)
	c.Expected, c.Actual = text(c.Expected), text(c.Actual)
	c.Schedule, c.Output, c.Picture = text(c.Schedule), text(c.Output), line(c.Picture)
	return c
}

// text makes all characters visible that are neither printable nor the end of
// a line or a tab: ESC becomes \x1b, a mark that turns the writing direction
// \u202e.
func text(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return escape(s, func(r rune) bool { return r == '\n' || r == '\t' || unicode.IsPrint(r) })
}

// line does the same for what has to stay on one line.
func line(s string) string { return escape(s, unicode.IsPrint) }

func lines(all []string) []string {
	var safe []string
	for _, s := range all {
		safe = append(safe, line(s))
	}
	return safe
}

func escape(s string, keep func(rune) bool) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == unicode.ReplacementChar && !strings.HasPrefix(s[i:], string(r)):
			fmt.Fprintf(&b, `\x%02x`, s[i]) // a byte that is no UTF-8
		case keep(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// apart numbers the names that are not the first of their kind.
func apart(names []string) []string {
	seen := map[string]int{}
	unique := slices.Clone(names)
	for i, name := range names {
		seen[name]++
		if n := seen[name]; n > 1 {
			unique[i] = fmt.Sprintf("%s (%d)", name, n)
		}
	}
	return unique
}
