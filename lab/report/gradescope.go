package report

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"socketlab/lab/text"
)

// What Gradescope reads from results.json: "Autograder Specifications" at
// gradescope-autograders.readthedocs.io. Text is shown as it is, in a <pre>.
type gradescope struct {
	Score         float64          `json:"score"`
	ExecutionTime int64            `json:"execution_time"` // seconds
	Output        string           `json:"output"`
	OutputFormat  string           `json:"output_format"`
	Visibility    string           `json:"visibility"`
	Tests         []gradescopeTest `json:"tests"`
}

type gradescopeTest struct {
	Number       string   `json:"number"`
	Name         string   `json:"name"`
	NameFormat   string   `json:"name_format"`
	Score        float64  `json:"score"`
	MaxScore     float64  `json:"max_score"`
	Status       string   `json:"status"`
	Output       string   `json:"output"`
	OutputFormat string   `json:"output_format"`
	Tags         []string `json:"tags"`
	Visibility   string   `json:"visibility"`
}

// Gradescope writes results.json. Each check that passes counts its points. So
// does one that does not apply: every submission is graded out of the same sum.
// What could not be decided counts nothing; it is for the instructor to run it
// again. A model that stands beside a command is not graded.
func (v Verify) Gradescope(w io.Writer) error {
	v = v.shown()
	graded := v.Subjects
	if slices.ContainsFunc(graded, isCommand) {
		graded = slices.DeleteFunc(graded, func(s Subject) bool { return !isCommand(s) })
	}
	doc := gradescope{
		ExecutionTime: (v.MS + 999) / 1000,
		OutputFormat:  "text",
		Visibility:    "visible",
		Tests:         []gradescopeTest{},
	}
	var outOf float64
	for i, s := range graded {
		numbers, prefix := "", ""
		if len(graded) > 1 {
			numbers, prefix = fmt.Sprintf("%d.", i+1), s.Name+" "
		}
		for _, test := range s.tests(numbers, prefix) {
			doc.Score += test.Score
			outOf += test.MaxScore
			doc.Tests = append(doc.Tests, test)
		}
	}
	v.Subjects = graded
	doc.Output = v.Summary() + "\n"
	for _, p := range v.likely() {
		doc.Output += p + "\n"
	}
	if outOf > 0 {
		doc.Output += fmt.Sprintf("%g of %g points.\n", doc.Score, outOf)
	}
	return text.JSON(w, doc)
}

func isCommand(s Subject) bool { return s.Kind == "command" }

// tests are numbered by group: 2.1 is the first check of the second one.
func (s Subject) tests(numbers, prefix string) (tests []gradescopeTest) {
	group, inGroup := 0, 0
	for i, c := range s.Checks {
		if i == 0 || path.Dir(c.ID) != path.Dir(s.Checks[i-1].ID) {
			group++
			inGroup = 0
		}
		inGroup++
		test := gradescopeTest{
			Number:       fmt.Sprintf("%s%d.%d", numbers, group, inGroup),
			Name:         fmt.Sprintf("%s%s: %s", prefix, c.ID, c.Says),
			NameFormat:   "text",
			MaxScore:     c.Points(),
			Status:       "passed",
			Output:       c.Verdict() + "\n" + c.tell(0),
			OutputFormat: "text",
			Tags:         []string{path.Dir(c.ID), string(c.Level)},
			Visibility:   "visible",
		}
		if c.Status == Pass || c.Status == Skip {
			test.Score = test.MaxScore
		} else {
			test.Status = "failed"
		}
		test.Output = strings.TrimRight(test.Output, "\n")
		tests = append(tests, test)
	}
	return tests
}

// Verdict is the outcome in words.
func (c Check) Verdict() string {
	says := map[Status]string{Pass: "passed", Fail: "failed", Skip: "does not apply", Error: "could not be decided"}[c.Status]
	if c.Status == Fail && c.Level == Should {
		says = "failed; it should pass, but need not"
	}
	if c.Note != "" {
		says += ": " + c.Note
	}
	return says
}
