package report

import "socketlab/lab/text"

// shown is v as it may be shown to anybody: a server under observation prints
// what it likes, and some of that would be obeyed by a terminal, illegal in XML
// or misleading on a page. Subjects with the same name are told apart. JSON
// gets v itself.
func (v Verify) shown() Verify {
	v = text.Harmless(v)
	var names []string
	for _, s := range v.Subjects {
		names = append(names, s.Name)
	}
	for i, name := range text.Apart(names) {
		v.Subjects[i].Name = name
	}
	return v
}
