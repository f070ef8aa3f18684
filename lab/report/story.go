package report

import (
	"fmt"
	"io"
	"strings"

	"socketlab/lab/text"
)

// Text writes all that there is for people: the matrix, the stories, and how it
// went.
func (v Verify) Text(w io.Writer, style Style) {
	v.Likely(w, style)
	v.Matrix(w, style)
	v.Stories(w, style)
	fmt.Fprintln(w)
	for line := range strings.SplitSeq(v.Summary(), "\n") {
		fmt.Fprintln(w, text.Prose(line, "", style.Width))
	}
}

// Stories writes what happened in each check that did not pass: the sentence
// that it enforces, the events in order, the bytes, and what to do.
func (v Verify) Stories(w io.Writer, style Style) {
	const indent = "    "
	for _, s := range v.shown().Subjects {
		for _, c := range s.Checks {
			if c.Status != Fail && c.Status != Error {
				continue
			}
			head := fmt.Sprintf("%s %s   %s %s", c.Symbol(), c.ID, s.Name, c.Says)
			head = strings.TrimPrefix(text.Prose(head, indent, style.Width), c.Symbol())
			fmt.Fprintf(w, "\n%s%s\n", paint(style, c.Symbol()), head)
			if c.Follows != "" { // there is no story
				fmt.Fprintln(w, indent+"follows from "+c.Follows+", and was not played; --all plays it")
				continue
			}
			for line := range strings.Lines(c.tell(style.Width - len(indent))) {
				fmt.Fprint(w, indent, line)
			}
		}
	}
}

// tell is the story of a check as text, in lines of at most width columns,
// which is only prose's: bytes and commands are not broken.
func (c Check) tell(width int) string {
	var b strings.Builder
	say := func(label, says string) {
		if says == "" {
			return
		}
		lines := strings.Split(strings.TrimRight(says, "\n"), "\n")
		fmt.Fprintln(&b, text.Prose(label+lines[0], "  ", width))
		quote(&b, "  | ", lines[1:])
	}
	for _, line := range abridged(c.Story) {
		say("", line)
	}
	say("expected: ", c.Expected)
	say("actual:   ", c.Actual)
	quote(&b, "", c.Diff)
	if c.Schedule != "" {
		fmt.Fprintln(&b, "the schedule, for --replay=FILE:")
		quote(&b, "  ", strings.Split(strings.TrimSpace(c.Schedule), "\n"))
	}
	say("cause: ", c.Hint)
	if c.Try != "" {
		fmt.Fprintf(&b, "see it yourself: %s\n", c.Try)
	}
	if drawn := c.Drawn(width); drawn != "" {
		fmt.Fprintln(&b, "played again, and drawn:")
		quote(&b, "| ", strings.Split(strings.TrimRight(drawn, "\n"), "\n"))
	}
	if c.Picture != "" {
		picture := "picture: " + c.Picture
		if width > 0 && text.Width(picture) > width { // a shell goes on reading there
			picture = strings.Replace(picture, " -- ", " \\\n  -- ", 1)
		}
		fmt.Fprintln(&b, picture)
	}
	if output := strings.TrimSpace(c.Output); output != "" {
		fmt.Fprintln(&b, "the server printed:")
		quote(&b, "  | ", abridged(strings.Split(output, "\n")))
	}
	return b.String()
}

// quote writes lines as they are. What a server prints never stands at the
// beginning of a line, where CI systems take it for a command of theirs.
func quote(w io.Writer, mark string, lines []string) {
	for _, line := range lines {
		fmt.Fprintln(w, strings.TrimRight(mark+line, " \t"))
	}
}

// abridged is the beginning and the end of a long story.
func abridged(story []string) []string {
	const head, tail = 6, 14
	if len(story) <= head+tail+1 {
		return story
	}
	left := fmt.Sprintf("… %d lines left out; --json has them …", len(story)-head-tail)
	short := append([]string{}, story[:head]...)
	return append(append(short, left), story[len(story)-tail:]...)
}
