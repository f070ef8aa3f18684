package experiment

import (
	"fmt"
	"io"
	"strings"

	"socketlab/lab/text"
)

// Seed is that of the variant which docs/experiments.md shows.
const Seed = 1

// Markdown writes docs/experiments.md, from one run of each experiment.
func Markdown(w io.Writer, runs map[string]Result) {
	fmt.Fprint(w, `# Experiments

Each one is a command. It asks, you predict, and then it happens: with real programs and the real
kernel, in a network of its own, in a few seconds. What is right is decided by what was measured.

`+"```sh"+`
lab exp                            # the list, with the time that each takes
lab exp waiting-room               # asks, runs, tells
lab exp waiting-room --seed=7      # another variant: other numbers, answers in another order
lab exp waiting-room --seed=7 --key    # for teachers: its answer
lab exp zombies --show-bug         # the lines that are wrong; --repaired runs it without them
lab exp all --report=html=exp.html --slide
`+"```"+`

Predict before you unfold an answer. The answers here are those of seed 1; the tables are from one run on
one machine, and yours will have other numbers. To write this file anew: `+"`make experiments`"+`.

`)
	for lesson := 1; lesson < len(Lessons); lesson++ {
		fmt.Fprintf(w, "- [Lesson %d](lessons/%d.md), %s:", lesson, lesson, Lessons[lesson])
		between := " "
		for _, e := range All {
			if e.Lesson == lesson {
				fmt.Fprintf(w, "%s[%s](#%s)", between, e.Name, e.Name)
				between = " · "
			}
		}
		fmt.Fprintln(w)
	}
	for _, e := range All {
		fmt.Fprintln(w)
		e.section(w, runs[e.Name])
	}
}

// section is the text of one experiment. The answer is folded away.
func (e Experiment) section(w io.Writer, run Result) {
	q := e.Variant(Seed)
	paragraph := func(s string) { fmt.Fprintf(w, "\n%s\n", text.Prose(s, "", 100)) }
	fmt.Fprintf(w, "## %s\n", e.Name)
	paragraph(text.Markdown(q.Asks))
	fmt.Fprintln(w)
	for i, c := range q.Says {
		fmt.Fprintf(w, "- %s\n", text.Prose(fmt.Sprintf("**%s** %s", Letter(i), text.Markdown(c.Text)), "  ", 98))
	}
	paragraph(fmt.Sprintf("`lab exp %s`, about %.0f s. Look at: %s.", e.Name, e.Takes.Seconds(), text.Markdown(e.Look)))
	fmt.Fprint(w, "\n<details>\n<summary>What happens</summary>\n\n")
	var seen strings.Builder
	run.table(&seen)
	fmt.Fprintf(w, "```text\n%s```\n", strings.TrimPrefix(strings.TrimSuffix(seen.String(), "\n"), "\n"))
	paragraph(text.Markdown(run.verdict(q)))
	paragraph(text.Markdown(e.Why))
	for i, c := range q.Says {
		if i != q.Right && c.But != "" {
			paragraph(fmt.Sprintf("Not **%s**: %s", Letter(i), text.Markdown(c.But)))
		}
	}
	if e.Bug.C != "" {
		fmt.Fprintf(w, "\nThe bug, and the cure (`lab exp %s --repaired`):\n\n```diff\n", e.Name)
		diff, _ := e.Bug.diff()
		fmt.Fprintf(w, "%s```\n", diff)
	} else if e.Bug.Broken != "" {
		paragraph(fmt.Sprintf("The bug is that of `%s`, one of `lab verify --broken`: it %s.", e.Bug.Broken, text.Markdown(e.Bug.says())))
	}
	if e.Picture != "" {
		paragraph("Picture: `" + e.Picture + "`.")
	}
	paragraph("Read: " + text.Markdown(e.Read) + ".")
	fmt.Fprint(w, "\n</details>\n")
}
