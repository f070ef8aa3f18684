//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/term"

	"socketlab/lab/bench/twin"
	"socketlab/lab/report"
	"socketlab/lab/text"
	"socketlab/models"
	"socketlab/models/all"
)

type diffCmd struct {
	From    modelFlag `arg:"" predictor:"model" help:"A model; alone, it is compared with the one before it in reading order."`
	To      modelFlag `arg:"" optional:"" predictor:"model" help:"The model to compare it with."`
	C       bool      `help:"Compare the page with its twin, the same model in C."`
	Unified bool      `short:"u" help:"One column, as diff -u prints it."`
	Whole   bool      `help:"Show also what is the same on both pages, all of it."`
}

func (diffCmd) Help() string {
	return `Two pages, side by side as in a book. Between them stands what diff -y writes there:
| the line is another one, < it is only on the left, > only on the right. Long lines
go on in the next row; in a wide terminal there are none.

Examples:
  lab diff select poll
  lab diff epoll                  with the one before, poll
  lab diff --whole thread goroutine | less
  lab diff -u select poll
  lab diff --c select             the page beside its twin in C`
}

func (cmd diffCmd) Run(color colorFlag) error {
	left, right, err := cmd.pages()
	if err != nil {
		return err
	}
	unified := diff.Diff(left.name, left.text, right.name, right.text)
	if cmd.Unified {
		_, err := os.Stdout.Write(unified)
		return err
	}
	style := color.style()
	if width, _, err := term.GetSize(2); err == nil {
		style.Width = width // of the terminal, also when a pager is in between
	}
	s := sideBySide{Writer: bufio.NewWriter(os.Stdout), style: style, whole: cmd.Whole}
	if cmd.C {
		s.beside(left, right)
	} else {
		s.print(left.name, right.name, left.lines(), right.lines(), unified)
	}
	return s.Flush()
}

// A page is a file of models or of their twins in C.
type page struct {
	name string
	text []byte
}

func (p page) lines() []string { return strings.Split(string(p.text), "\n") }

// pages are the two that are to be compared.
func (cmd diffCmd) pages() (left, right page, err error) {
	from, to := cmd.From.Model, cmd.To.Model
	switch {
	case cmd.C && to.Serve != nil:
		return left, right, wrong("--c takes one model: lab diff --c %s", from.Name)
	case cmd.C:
		twins := twin.Find(from.Name)
		if len(twins) == 0 {
			return left, right, wrong("%s has no twin in C; these have one: %s", from.Name, strings.Join(twin.Names(), ", "))
		}
		right.name, right.text, err = twin.Page(twins[0])
	case to.Serve == nil:
		before, any := all.Before(from)
		if !any {
			return left, right, wrong("%s is the first one, nothing comes before it; say lab diff %s %s", from.Name, from.Name, all.Models[1].Name)
		}
		from, to = before, from
	}
	if err == nil && !cmd.C {
		right.name, right.text, err = source(to)
	}
	if err == nil {
		left.name, left.text, err = source(from)
	}
	return left, right, err
}

// source is a model's page.
func source(m models.Model) (name string, text []byte, err error) {
	text, err = models.Source.ReadFile(strings.TrimPrefix(m.Page(), "models/"))
	return m.Page(), text, err
}

// A sideBySide prints two texts in two columns.
type sideBySide struct {
	*bufio.Writer
	style report.Style
	whole bool // also long stretches that are the same
}

// print takes what is different from a unified diff. That has some lines around
// it, which are the same; the rest of them is in the texts.
func (s *sideBySide) print(leftName, rightName string, left, right []string, unified []byte) {
	s.row(' ', 0, path.Base(leftName), 0, path.Base(rightName))
	l, r := 0, 0 // lines that are printed, or left out
	same := func(until int) {
		if skipped := until - l; skipped > 0 && !s.whole {
			fmt.Fprintf(s, "%*s\n", s.side()+len(" ⋮"), "⋮")
			l, r = l+skipped, r+skipped
		}
		for ; l < until; l, r = l+1, r+1 {
			s.row(' ', l+1, left[l], r+1, right[r])
		}
	}
	var taken, added int // lines in a row
	changed := func() {
		for i := range max(taken, added) {
			switch {
			case i >= added:
				s.row('<', l+i+1, left[l+i], 0, "")
			case i >= taken:
				s.row('>', 0, "", r+i+1, right[r+i])
			default:
				s.row('|', l+i+1, left[l+i], r+i+1, right[r+i])
			}
		}
		l, r, taken, added = l+taken, r+added, 0, 0
	}
	_, hunks, _ := strings.Cut(string(unified), "\n@@")
	for line := range strings.Lines("@@" + hunks) {
		switch line[0] {
		case '@':
			changed()
			start := 0
			fmt.Sscanf(line, "@@ -%d", &start)
			same(start - 1)
		case '-':
			taken++
		case '+':
			added++
		default:
			changed()
			s.row(' ', l+1, left[l], r+1, right[r])
			l, r = l+1, r+1
		}
	}
	changed()
	same(len(left) - 1) // behind the last newline is nothing
}

// beside prints a page and its twin in another language. No line is the same, so
// functions stand beside each other: they have the same names in one order.
func (s *sideBySide) beside(left, right page) {
	s.row(' ', 0, path.Base(left.name), 0, path.Base(right.name))
	lefts, rights := left.parts(), right.parts()
	next := 0 // on the right
	for i, l := range lefts {
		at := slices.IndexFunc(rights[next:], func(r part) bool { return r.name == l.name })
		if i == 0 {
			at = 0 // both begin with what the page is about
		}
		if at < 0 {
			s.parts(l, part{})
			continue
		}
		for _, r := range rights[next : next+at] {
			s.parts(part{}, r)
		}
		next += at + 1
		s.parts(l, rights[next-1])
	}
	for _, r := range rights[next:] {
		s.parts(part{}, r)
	}
}

// parts prints two parts beside each other, the shorter one with blank lines
// behind it.
func (s *sideBySide) parts(left, right part) {
	for i := range max(len(left.lines), len(right.lines)) {
		var row [2]string
		var number [2]int
		for side, p := range []part{left, right} {
			if i < len(p.lines) {
				row[side], number[side] = p.lines[i], p.first+i
			}
		}
		s.row(' ', number[0], row[0], number[1], row[1])
	}
}

// A part of a page is a declaration with its comment and the blank line behind.
type part struct {
	name  string // of a function, as the others call it: onReadable is onreadable
	first int    // its line
	lines []string
}

// functions finds the name in the first line of one in Go or C.
var functions = regexp.MustCompile(`(?m)^(?:func (?:\([^)]*\) )?|\w[\w ]*[ *])(\w+)\(.*[{)]$`)

func (p page) parts() (parts []part) {
	lines := p.lines()
	for i, line := range lines {
		begins := i == 0 || lines[i-1] == "" && line != "" && !strings.ContainsAny(line[:1], "\t })")
		if begins {
			parts = append(parts, part{first: i + 1})
		}
		last := &parts[len(parts)-1]
		last.lines = append(last.lines, line)
		if found := functions.FindStringSubmatch(line); found != nil && last.name == "" {
			last.name = strings.ToLower(strings.ReplaceAll(found[1], "_", ""))
			if last.name == "serve" {
				last.name = "main"
			}
		}
	}
	return parts
}

// side is how wide one column is. In a terminal that is too narrow for two of
// them it is so wide all the same.
func (s *sideBySide) side() int {
	const narrowest = 20
	return max(narrowest, (s.style.Width-len(" | "))/2)
}

// row prints a line of each text, beside each other, in as many rows as the
// longer one takes. Line 0 is no line.
func (s *sideBySide) row(mark rune, l int, left string, r int, right string) {
	lefts, rights := s.wrap(l, left), s.wrap(r, right)
	for i := range max(len(lefts), len(rights)) {
		a, b := "", ""
		if i < len(lefts) {
			a = lefts[i]
		}
		if i < len(rights) {
			b = rights[i]
		}
		a = text.Left(a, s.side())
		if s.style.Color && mark != ' ' {
			a, b = "\x1b[31m"+a+"\x1b[m", "\x1b[32m"+b+"\x1b[m"
		}
		fmt.Fprintln(s, strings.TrimRight(fmt.Sprintf("%s %c %s", a, mark, b), " "))
	}
}

// wrap cuts a line into pieces that fit into a column, with its number in front
// of the first one, and the others further in.
func (s *sideBySide) wrap(number int, line string) (rows []string) {
	const numbers = len("123 ")
	tab := "    "
	if s.side() < numbers+80 { // with more, two pages of 80 columns fit
		tab = "  "
	}
	line = strings.ReplaceAll(line, "\t", tab)
	indent := len(line) - len(strings.TrimLeft(line, " "))
	front := strings.Repeat(" ", numbers)
	if number > 0 {
		front = fmt.Sprintf("%*d ", numbers-1, number)
	}
	first := text.Wrap(line, s.side()-numbers)[0]
	rows = []string{front + first}
	rest := strings.TrimLeft(line[len(first):], " ")
	if rest == "" {
		return rows
	}
	front = strings.Repeat(" ", numbers+min(indent, max(0, s.side()/3))+len(tab))
	for _, piece := range text.Wrap(rest, s.side()-len(front)) {
		rows = append(rows, front+piece)
	}
	return rows
}
