// Package report turns results into something to read: tables for people, and
// the formats that CI systems and graders take. It knows only data.
package report

import (
	"slices"
	"time"

	"socketlab/lab/diagram"
)

// Verify is what lab verify found out.
type Verify struct {
	Schema   string    `json:"schema"`                         // "lab.verify/1"
	Started  time.Time `json:"started"`                        // when it began
	MS       int64     `json:"ms"`                             // how long it took, in milliseconds
	Strict   bool      `json:"strict"`                         // what only should be counts as well
	Failure  string    `json:"failure,omitempty" text:"block"` // why nothing could be checked: the server never listened
	Subjects []Subject `json:"subjects"`
}

// A Subject is one server, and how it did.
type Subject struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"` // "model" or "command"
	Command []string `json:"command"`
	Limit   int      `json:"limit"` // clients it serves at once; 0: no limit
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Skipped int      `json:"skipped"`
	Errors  int      `json:"errors"`

	// Diagnosis is what is wrong with it, the best explanation first.
	Diagnosis []Diagnosis `json:"diagnosis"`
	Checks    []Check     `json:"checks"`
}

// A Diagnosis is one cause of failures.
type Diagnosis struct {
	Cause    string   `json:"cause"`    // its id: "nul"
	Says     string   `json:"says"`     // what the server does wrong
	Cure     string   `json:"cure"`     // what to do
	Explains []string `json:"explains"` // ids of the checks that failed because of it
	See      string   `json:"see"`      // where the docs explain it
}

// A Check is the verdict of one check on one subject.
type Check struct {
	ID       string   `json:"id"`
	Level    Level    `json:"level"`
	Status   Status   `json:"status"`
	MS       int64    `json:"ms"`                              // how long it took, in milliseconds
	Weight   float64  `json:"weight,omitempty"`                // points in a grade; 0: 1 if it must pass, 0.5 if it should
	Says     string   `json:"says"`                            // what the server should do
	Note     string   `json:"note,omitempty"`                  // a word about a pass or a skip: "waits"
	Expected string   `json:"expected,omitempty" text:"block"` // these two only if it failed
	Actual   string   `json:"actual,omitempty" text:"block"`
	Hint     string   `json:"hint,omitempty"`                  // its cause
	Follows  string   `json:"follows,omitempty"`               // it was not played: it can only repeat what this check has shown
	Try      string   `json:"try,omitempty"`                   // how to see it by hand
	Story    []string `json:"story,omitempty"`                 // what happened, in order
	Diff     []string `json:"diff,omitempty"`                  // the bytes around the first difference
	Schedule string   `json:"schedule,omitempty" text:"block"` // of random/schedules, for --replay
	Output   string   `json:"output,omitempty" text:"block"`   // what the server itself printed, the end of it
	Picture  string   `json:"picture,omitempty"`               // the command that draws what happened, if there is no diagram

	// Diagram is what happened when the check was played again, abridged: nil
	// if nobody asked for it, or it did not fail again.
	Diagram *diagram.Trace `json:"diagram,omitempty" text:"raw"`
}

// Points are what the check counts in a grade.
func (c Check) Points() float64 {
	switch {
	case c.Weight > 0:
		return c.Weight
	case c.Level == Should:
		return 0.5
	}
	return 1
}

// A Level says what a failure means.
type Level string

const (
	Must   Level = "must"   // fails the subject
	Should Level = "should" // is reported, and fails only with --strict
)

// A Status is the outcome of a check.
type Status string

const (
	Pass  Status = "pass"
	Fail  Status = "fail"
	Skip  Status = "skip"  // does not apply to this subject
	Error Status = "error" // the harness could not decide; never a pass
)

// Count sums up the checks of a subject.
func (s *Subject) Count() {
	s.Passed, s.Failed, s.Skipped, s.Errors = 0, 0, 0, 0
	for _, c := range s.Checks {
		switch c.Status {
		case Pass:
			s.Passed++
		case Fail:
			s.Failed++
		case Skip:
			s.Skipped++
		case Error:
			s.Errors++
		}
	}
}

// Failing reports whether a check failed that must not.
func (s *Subject) Failing(strict bool) bool {
	return slices.ContainsFunc(s.Checks, func(c Check) bool { return c.Status == Fail && !c.forgiven(strict) })
}

// OK reports whether nothing failed that must not. If strict, it is not ok to
// fail what only should be either.
func (s *Subject) OK(strict bool) bool {
	for _, c := range s.Checks {
		if c.Status == Error || c.Status == Fail && !c.forgiven(strict) {
			return false
		}
	}
	return true
}

// forgiven reports whether the check failed, and need not have passed.
func (c Check) forgiven(strict bool) bool {
	return c.Status == Fail && c.Level == Should && !strict
}
