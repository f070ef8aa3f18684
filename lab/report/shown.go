package report

import (
	"slices"

	"socketlab/lab/text"
)

// shown is v as it may be shown to anybody: a server under observation prints
// what it likes, and some of that would be obeyed by a terminal, illegal in XML
// or misleading on a page. Subjects with the same name are told apart. JSON
// gets v itself.
func (v Verify) shown() Verify {
	v.Failure = text.Block(v.Failure)
	v.Subjects = slices.Clone(v.Subjects)
	var names []string
	for _, s := range v.Subjects {
		names = append(names, text.Line(s.Name))
	}
	for i, name := range text.Apart(names) {
		s := &v.Subjects[i]
		s.Name, s.Command, s.Checks = name, text.Lines(s.Command), slices.Clone(s.Checks)
		for i := range s.Checks {
			s.Checks[i] = s.Checks[i].shown()
		}
	}
	return v
}

func (c Check) shown() Check {
	c.ID, c.Says, c.Note, c.Hint, c.Try = text.Line(c.ID), text.Line(c.Says), text.Line(c.Note), text.Line(c.Hint), text.Line(c.Try)
	c.Story, c.Diff = text.Lines(c.Story), text.Lines(c.Diff)
	c.Expected, c.Actual = text.Block(c.Expected), text.Block(c.Actual)
	c.Schedule, c.Output, c.Picture = text.Block(c.Schedule), text.Block(c.Output), text.Line(c.Picture)
	return c
}
