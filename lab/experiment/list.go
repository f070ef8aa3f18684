package experiment

import (
	"fmt"
	"io"
)

// Lessons are their titles, from 1.
var Lessons = []string{
	1: "waiting and serving",
	2: "opening and closing",
	3: "what goes wrong",
	4: "what it costs",
	5: "TLS",
}

// List writes all experiments, by lesson, with the time that each takes.
func List(w io.Writer) {
	for lesson := 1; lesson < len(Lessons); lesson++ {
		fmt.Fprintf(w, "%d  %s\n", lesson, Lessons[lesson])
		for _, e := range All {
			if e.Lesson == lesson {
				fmt.Fprintf(w, "   %-20s %3.0f s   %s\n", e.Name, e.Takes.Seconds(), folded(e.Title, 48, 32))
			}
		}
	}
	fmt.Fprintln(w, "\nlab exp NAME asks, runs and tells; lab lesson 1 steps through a lesson.")
}

// Key is the answer that belongs to a seed, for teachers.
func (e Experiment) Key(seed uint64) string {
	q := e.Variant(seed)
	text := fmt.Sprintf("%s, seed %d: %s  %s\n", e.Name, seed, Letter(q.Right), q.Says[q.Right].Text)
	for i, c := range q.Says {
		if c.But != "" {
			text += fmt.Sprintf("  not %s: %s\n", Letter(i), folded(c.But, 70, 9))
		}
	}
	return text
}

// ShowBug writes what is wrong in the program of the experiment.
func (e Experiment) ShowBug(w io.Writer) {
	if e.Bug.C != "" {
		text, err := e.Bug.diff()
		if err != nil {
			text = err.Error() + "\n"
		}
		fmt.Fprintf(w, "--- %s.c as it is\n+++ %s.c repaired\n%s", e.Bug.C, e.Bug.C, text)
		return
	}
	fmt.Fprintf(w, "%s, of lab verify --broken: it %s.\nRepaired it does what the model %s does.\n", e.Bug.Broken, e.Bug.says(), e.Bug.Right)
}
