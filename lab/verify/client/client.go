// Package client holds clients to one behaviour: it plays the server, types what
// a user would type, and looks at what is shown. A client is a program with a
// port, whoever wrote it: what it reads from its standard input goes to the
// server, what the server says goes to its standard output.
//
// It stands beside lab/verify and has the same reports.
package client

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"socketlab/lab/report"
)

// A Check is one behaviour of a right client.
type Check struct {
	ID    string // "client/fin"
	Level report.Level
	Says  string // the client …: the sentence that it enforces
	Cause string // the usual cause of a failure
	Try   string // how to see it by hand
	Pipe  bool   // its output goes into a pipe; else to a terminal, where C prints each line at once
	Run   func(t *T)
}

// Options say how to verify.
type Options struct {
	Wait     time.Duration // for any one event
	Together int           // checks at the same time
	Progress func(done int)
}

// Select returns the checks whose id matches one of the patterns, with the group
// or without: client/fin, fin, or client. No pattern selects all.
func Select(patterns []string) (selected []Check) {
	for _, c := range Checks {
		if len(patterns) == 0 || slices.ContainsFunc(patterns, func(pattern string) bool {
			whole, _ := path.Match(pattern, c.ID)
			name, _ := path.Match(pattern, path.Base(c.ID))
			return whole || name || pattern == path.Dir(c.ID)
		}) {
			selected = append(selected, c)
		}
	}
	return selected
}

// Verify holds a client to checks, each time a fresh one. The error says that it
// could not be started.
func Verify(ctx context.Context, command []string, checks []Check, o Options) (report.Verify, error) {
	held := report.Subject{
		Name: filepath.Base(command[0]), Kind: "client", Command: command,
		Checks: make([]report.Check, len(checks)),
	}
	result := report.Verify{Schema: "lab.verify/1"}
	jobs, ctx := errgroup.WithContext(ctx)
	jobs.SetLimit(max(1, o.Together))
	done := make(chan struct{}, len(checks))
	for i, c := range checks {
		jobs.Go(func() (err error) {
			held.Checks[i], err = c.hold(ctx, command, o)
			done <- struct{}{}
			if o.Progress != nil {
				o.Progress(len(done))
			}
			return err
		})
	}
	err := jobs.Wait()
	held.Count()
	result.Subjects = []report.Subject{held}
	return result, err
}

// hold makes one check.
func (c Check) hold(ctx context.Context, command []string, o Options) (verdict report.Check, err error) {
	verdict = report.Check{ID: c.ID, Level: c.Level, Says: c.Says, Status: report.Pass}
	start := time.Now()
	t, err := newT(ctx, command, c.Pipe, o.Wait)
	if err != nil {
		return verdict, err
	}
	func() {
		defer t.end()
		defer func() {
			switch failure := recover().(type) {
			case nil:
			case failed:
				verdict.Status, verdict.Expected, verdict.Actual = report.Fail, failure.expected, failure.actual
				verdict.Hint, verdict.Try, verdict.Output = c.Cause, c.Try, tail(t.screen.String(), 600)
			case error:
				verdict.Status, verdict.Expected, verdict.Actual = report.Error, "to be able to play the server", failure.Error()
			default:
				panic(failure)
			}
		}()
		c.Run(t)
	}()
	verdict.Story = t.story
	verdict.MS = time.Since(start).Milliseconds()
	if ctx.Err() != nil {
		return verdict, ctx.Err()
	}
	return verdict, nil
}

func tail(s string, most int) string {
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// quoted is text for a story, if it is not long.
func quoted(s string) string {
	if len(s) > 60 {
		return fmt.Sprintf("%q… (%d bytes)", s[:40], len(s))
	}
	return fmt.Sprintf("%q", s)
}
