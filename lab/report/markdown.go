package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"socketlab/lab/text"
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
				c.Symbol(), text.XML(c.ID), text.XML(s.Name+" "+c.Says), text.Fenced(c.tell(0)))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// overview is all but the stories.
func (v Verify) overview(b *bytes.Buffer) {
	b.WriteString("## lab verify\n\n")
	if v.Failure != "" {
		b.WriteString(text.Fenced(v.Failure + "\n"))
		return
	}
	for line := range strings.SplitSeq(v.Summary(), "\n") {
		fmt.Fprintf(b, "%s  \n", text.Markdown(line))
	}
	for _, p := range v.likely() {
		fmt.Fprintf(b, "\n%s\n", text.Markdown(p))
	}
	shown := ids(v.Subjects)
	if len(shown) == 0 {
		return
	}
	b.WriteString("\n| check |")
	for _, s := range v.Subjects {
		fmt.Fprintf(b, " %s |", text.Markdown(s.Name))
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat(":-:|", len(v.Subjects)))
	for _, id := range shown {
		fmt.Fprintf(b, "| %s |", text.Markdown(id))
		for _, s := range v.Subjects {
			symbol := ""
			if c, held := s.check(id); held {
				symbol = text.Markdown(c.Symbol())
				if c.Status == Fail || c.Status == Error {
					symbol = "**" + symbol + "**"
				}
			}
			fmt.Fprintf(b, " %s |", symbol)
		}
		b.WriteString("\n")
	}
	for _, m := range v.meanings() {
		fmt.Fprintf(b, "\n%s: %s  ", text.Markdown(m.Symbol), text.Markdown(m.Says))
	}
	if len(v.meanings()) > 0 {
		b.WriteString("\n")
	}
}
