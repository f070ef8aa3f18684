package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/template"
)

// Markdown writes the matrix as a table in GitHub's dialect, and below it the
// story of each check that did not pass, folded.
func (v Verify) Markdown(w io.Writer) error {
	v = v.shown()
	var b bytes.Buffer
	v.overview(&b)
	for _, s := range v.Subjects {
		for _, c := range s.Checks {
			if c.Status != Fail && c.Status != Error {
				continue
			}
			fmt.Fprintf(&b, "\n<details><summary>%s <b>%s</b> %s</summary>\n\n%s\n</details>\n",
				c.symbol(), html(c.ID), html(s.Name+" "+c.Says), fenced(c.tell(0)))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// overview is all but the stories.
func (v Verify) overview(b *bytes.Buffer) {
	b.WriteString("## lab verify\n\n")
	if v.Failure != "" {
		b.WriteString(fenced(v.Failure + "\n"))
		return
	}
	for line := range strings.SplitSeq(v.Summary(), "\n") {
		fmt.Fprintf(b, "%s  \n", literal(line))
	}
	shown := ids(v.Subjects)
	if len(shown) == 0 {
		return
	}
	b.WriteString("\n| check |")
	for _, s := range v.Subjects {
		fmt.Fprintf(b, " %s |", literal(s.Name))
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat(":-:|", len(v.Subjects)))
	for _, id := range shown {
		fmt.Fprintf(b, "| %s |", literal(id))
		for _, s := range v.Subjects {
			symbol := ""
			if c, held := s.check(id); held {
				symbol = literal(c.symbol())
				if c.Status == Fail || c.Status == Error {
					symbol = "**" + symbol + "**"
				}
			}
			fmt.Fprintf(b, " %s |", symbol)
		}
		b.WriteString("\n")
	}
	for _, m := range v.meanings() {
		fmt.Fprintf(b, "\n%s: %s  ", literal(m.Symbol), literal(m.Says))
	}
	if len(v.meanings()) > 0 {
		b.WriteString("\n")
	}
}

// fenced is a block of text as it is, between fences longer than any in it.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "text\n" + text + fence + "\n"
}

// literal is text that Markdown shows as it is.
func literal(s string) string {
	var b strings.Builder
	for i, r := range s {
		if strings.ContainsRune("\\`*_[]<>#|~&@$", r) || i == 0 && strings.ContainsRune("+-", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func html(s string) string { return template.HTMLEscapeString(s) }
