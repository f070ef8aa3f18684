package report

import (
	"fmt"
	"io"
	"strings"

	"socketlab/lab/text"
)

// likely is what is most likely wrong with the subjects, the best explanation
// first, as paragraphs.
func (v Verify) likely() (paragraphs []string) {
	for _, s := range v.Subjects {
		for i, d := range s.Diagnosis {
			head := "Most likely: "
			if i > 0 {
				head = "Then: "
			}
			if len(v.Subjects) > 1 {
				head = s.Name + ": " + strings.ToLower(head[:1]) + head[1:]
			}
			paragraphs = append(paragraphs, head+d.sentence(s.Failed, i == 0), d.Cure+" See "+d.See+".")
		}
	}
	return paragraphs
}

// sentence says what is wrong, and how much of the failures that explains.
func (d Diagnosis) sentence(failed int, first bool) string {
	says := d.Says
	if len(d.Explains) > 0 {
		const most = 6
		explains := strings.Join(d.Explains[:min(most, len(d.Explains))], ", ")
		if more := len(d.Explains) - most; more > 0 {
			explains += fmt.Sprintf(" and %d more", more)
		}
		says += fmt.Sprintf(" (it explains %d of %s: %s)", len(d.Explains), text.Count(failed, "failure"), explains)
	}
	if first && failed > 1 {
		return says + ". Mend that first."
	}
	return says + "."
}

// Likely writes what is most likely wrong, for people.
func (v Verify) Likely(w io.Writer, style Style) {
	paragraphs := v.shown().likely()
	for i, p := range paragraphs {
		indent := ""
		if i%2 == 1 { // the cure
			indent = "  "
		}
		fmt.Fprintln(w, text.Prose(indent+p, indent, style.Width))
	}
	if len(paragraphs) > 0 {
		fmt.Fprintln(w)
	}
}
