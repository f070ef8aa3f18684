package report

import (
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"
)

// JUnit writes the XML that CI systems show: a suite for each subject, a case
// for each check. What should have passed but need not is skipped there, since
// a failure would fail the build.
func (v Verify) JUnit(w io.Writer) error {
	v = v.shown()
	all := junit.Testsuites{Name: "lab verify", Time: inSeconds(v.MS)}
	if v.Failure != "" {
		suite := junit.Testsuite{Name: "lab verify", Time: inSeconds(v.MS)}
		suite.SetTimestamp(v.Started)
		suite.AddTestcase(junit.Testcase{
			Name:      "start",
			Classname: "lab",
			Error:     &junit.Result{Message: "the server could not be looked at", Type: "error", Data: v.Failure},
		})
		all.AddSuite(suite)
	}
	for i, s := range v.Subjects {
		suite := junit.Testsuite{Name: s.Name, ID: i}
		suite.SetTimestamp(v.Started)
		var ms int64
		for _, c := range s.Checks {
			ms += c.MS
			suite.AddTestcase(c.testcase(s.Name, v.Strict))
		}
		if likely := (Verify{Subjects: []Subject{s}}).likely(); len(likely) > 0 {
			suite.SystemOut = &junit.Output{Data: strings.Join(likely, "\n")}
		}
		suite.Time = inSeconds(ms) // of the checks, some of which ran side by side
		all.AddSuite(suite)
	}
	if _, err := io.WriteString(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"); err != nil {
		return err
	}
	return all.WriteXML(w)
}

// testcase has the subject in its class name, because that is all that some
// systems show.
func (c Check) testcase(subject string, strict bool) junit.Testcase {
	result := junit.Testcase{
		Name:      path.Base(c.ID),
		Classname: subject + "." + path.Dir(c.ID),
		Time:      c.Seconds(),
	}
	switch {
	case c.Status == Skip:
		result.Skipped = &junit.Result{Message: "does not apply: " + c.Note}
	case c.forgiven(strict):
		result.Skipped = &junit.Result{Message: "failed, but need not pass: " + c.Says}
		result.SystemOut = &junit.Output{Data: c.tell(0)}
	case c.Status == Fail:
		result.Failure = &junit.Result{Message: c.Says, Type: string(c.Level), Data: c.tell(0)}
	case c.Status == Error:
		result.Error = &junit.Result{Message: "not decided: " + c.Actual, Type: "error", Data: c.tell(0)}
	}
	return result
}

// Seconds is how long the check took.
func (c Check) Seconds() string { return inSeconds(c.MS) }

func inSeconds(ms int64) string { return fmt.Sprintf("%.3f", float64(ms)/1000) }
