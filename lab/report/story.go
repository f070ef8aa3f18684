package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Stories writes what happened in each check that did not pass: the sentence
// that it enforces, the events in order, the bytes, and what to do.
func (v Verify) Stories(w io.Writer, style Style) {
	for _, s := range v.Subjects {
		for _, c := range s.Checks {
			if c.Status == Fail || c.Status == Error {
				c.tell(w, style, s)
			}
		}
	}
}

func (c Check) tell(w io.Writer, style Style, s Subject) {
	fmt.Fprintf(w, "\n%s %s   %s %s\n", paint(style, c.symbol(), c.symbol()), c.ID, s.Name, c.Says)
	for _, line := range abridged(c.Story) {
		fmt.Fprintf(w, "    %s\n", line)
	}
	fmt.Fprintf(w, "    expected: %s\n", c.Expected)
	fmt.Fprintf(w, "    actual:   %s\n", c.Actual)
	for _, line := range c.Diff {
		fmt.Fprintf(w, "      %s\n", line)
	}
	if c.Schedule != "" {
		fmt.Fprintf(w, "    the schedule, for --replay=FILE:\n")
		indent(w, "      ", c.Schedule)
	}
	if c.Hint != "" {
		fmt.Fprintf(w, "    usual cause: %s\n", c.Hint)
	}
	if c.Try != "" {
		fmt.Fprintf(w, "    see it yourself: %s\n", c.Try)
	}
	if output := strings.TrimSpace(c.Output); output != "" {
		fmt.Fprintf(w, "    the server printed:\n")
		indent(w, "      | ", output)
	}
}

func indent(w io.Writer, by, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(w, "%s%s\n", by, strings.TrimRight(line, "\n"))
	}
}

// abridged is the beginning and the end of a long story.
func abridged(story []string) []string {
	const head, tail = 6, 14
	if len(story) <= head+tail {
		return story
	}
	left := fmt.Sprintf("… %d lines left out; --json has them …", len(story)-head-tail)
	short := append([]string{}, story[:head]...)
	return append(append(short, left), story[len(story)-tail:]...)
}

// Summary says in a line or two how it went.
func (v Verify) Summary(took time.Duration) string {
	var bad []string
	for _, s := range v.Subjects {
		if s.Failed+s.Errors > 0 {
			bad = append(bad, fmt.Sprintf("%s: %d passed, %d failed, %d not decided, %d not applicable.",
				s.Name, s.Passed, s.Failed, s.Errors, s.Skipped))
		}
	}
	seconds := fmt.Sprintf("%.1f s", took.Seconds())
	switch {
	case len(bad) > 0:
		return strings.Join(bad, "\n")
	case len(v.Subjects) == 1:
		s := v.Subjects[0]
		return fmt.Sprintf("%s does all that it should: %d checks, %s.", s.Name, s.Passed, seconds)
	}
	return fmt.Sprintf("%d servers behave the same: %d checks each, %s.", len(v.Subjects), len(v.Subjects[0].Checks), seconds)
}
