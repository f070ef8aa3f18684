package report

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"socketlab/lab/text"
)

// Summary says in a line or two how it went.
func (v Verify) Summary() string {
	v = v.shown()
	if v.Failure != "" {
		return v.Failure
	}
	if len(v.Subjects) == 1 {
		return v.summaryOf(v.Subjects[0])
	}
	var bad []string
	for _, s := range v.Subjects {
		if s.Failed+s.Errors > 0 {
			bad = append(bad, fmt.Sprintf("%s: %s.", s.Name, s.counts(v.Strict)))
		}
	}
	if len(bad) > 0 {
		return strings.Join(bad, "\n")
	}
	servers := "models"
	if slices.ContainsFunc(v.Subjects, func(s Subject) bool { return s.Kind != "model" }) {
		servers = "servers"
	}
	shared := ids(v.Subjects)
	for _, s := range v.Subjects { // a command speaks one service, a model all
		shared = slices.DeleteFunc(shared, func(id string) bool { _, held := s.check(id); return !held })
	}
	if len(shared) == 0 {
		return fmt.Sprintf("No check applies to these %d %s.", len(v.Subjects), servers)
	}
	return fmt.Sprintf("%d %s behave the same: %s each, %s.", len(v.Subjects), servers, text.Count(len(shared), "check"), v.seconds())
}

func (v Verify) summaryOf(s Subject) string {
	name, service := s.typed(), s.serves()
	counts := s.counts(v.Strict)
	switch {
	case !s.OK(v.Strict) && s.Failed == s.forgiven(v.Strict):
		return fmt.Sprintf("%s.  Whether %s is a correct %s, this run does not tell.", counts, name, service)
	case !s.OK(v.Strict):
		return fmt.Sprintf("%s.  %s is not yet a correct %s.", counts, name, service)
	case s.Failed > 0:
		return fmt.Sprintf("%s.  %s is a correct %s.", counts, name, service)
	case s.Passed == 0:
		return fmt.Sprintf("No check applies to %s.", name)
	}
	return fmt.Sprintf("%s does all that it should: %s, %s.", name, text.Count(s.Passed, "check"), v.seconds())
}

func (v Verify) seconds() string { return fmt.Sprintf("%.1f s", float64(v.MS)/1000) }

// counts says how many checks ended how, as far as there are any.
func (s Subject) counts(strict bool) string {
	forgiven := s.forgiven(strict)
	var counts []string
	for _, count := range []struct {
		n    int
		says string
	}{
		{s.Passed, "passed"},
		{s.Failed - forgiven, "failed"},
		{forgiven, "should pass but need not"},
		{s.Errors, "not decided"},
		{s.Skipped, "not applicable"},
	} {
		if count.n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", count.n, count.says))
		}
	}
	return strings.Join(counts, ", ")
}

func (s Subject) forgiven(strict bool) (n int) {
	for _, c := range s.Checks {
		if c.forgiven(strict) {
			n++
		}
	}
	return n
}

// typed is what the user calls the subject: the beginning of the command, up to
// the port.
func (s Subject) typed() string {
	if s.Kind != "command" {
		return s.Name
	}
	words := s.Command
	if i := slices.IndexFunc(words, func(word string) bool { return strings.Contains(word, "{port}") }); i >= 0 {
		words = words[:i]
	}
	for len(words) > 0 && strings.HasPrefix(words[len(words)-1], "-") {
		words = words[:len(words)-1] // -p, before the port
	}
	if len(words) == 0 {
		return s.Name
	}
	return text.Shorten(strings.Join(words, " "), 40)
}

// serves is what the subject was asked for. A model is asked for everything.
func (s Subject) serves() string {
	if s.Kind == "client" {
		return "client"
	}
	for _, c := range s.Checks {
		if path.Dir(c.ID) != "talk" {
			return "echo server"
		}
	}
	return "talk server"
}
