// Package verify holds servers to one behaviour. It watches from outside: a
// server is a process with a port, whoever wrote it and in whatever language.
//
// A check is data, and a story: it connects, sends, expects. It waits for
// events, each with a deadline, never for a fixed time; a deadline that passes
// is a failure with a reason.
package verify

import (
	"path"
	"slices"
	"strings"

	"socketlab/lab/report"
)

// A Check is one behaviour that every correct server shows.
type Check struct {
	ID      string       // a stable name: "close/half"
	Level   report.Level // what a failure means
	Service string       // which service it is about: "echo", "talk" or "tls"
	Says    string       // the server … : the sentence that it enforces
	Cause   string       // the usual cause of a failure
	Fits    []symptom    // what Cause explains better than the general cause does
	Try     string       // how to see it by hand, with PORT for the port
	Files   uint64       // descriptors that the server may have open; 0: as it is
	Ends    bool         // the server is to end; otherwise it must be there when all is over
	Long    bool         // it may take long
	Mutual  bool         // it is about a server that asks clients for a certificate
	Run     func(*T)
}

// A symptom is something that can happen in any check, whatever the check is
// about.
type symptom int

const (
	unaccepted symptom = 1 + iota // the server has not accepted the client
	hungUp                        // it has closed the connection before the client did
	lingers                       // it has not closed it after the client did
	died                          // it has ended
)

const neverCloses = "a read of 0 bytes is not taken for the end, or the descriptor of a client that left is never closed; " +
	"after fork the parent has one too"

var causes = map[symptom]string{
	unaccepted: "the server is at another client, and accepts nobody meanwhile; " +
		"if it is meant to serve one at a time, declare it with --limit=1",
	hungUp:  "the connection is closed after one answer, or at an error: serve a client until read returns 0",
	lingers: neverCloses,
	died:    "what one client does ends the whole server: what it printed, or strace, tells where",
}

// cause is the usual cause of a failure with this symptom; 0: none.
func (c Check) cause(s symptom) string {
	if s == 0 || slices.Contains(c.Fits, s) {
		return c.Cause
	}
	return causes[s]
}

// Group is the part of the id before the slash.
func (c Check) Group() string { return path.Dir(c.ID) }

// Checks are all checks, in the order in which they are run and shown.
var Checks = slices.Concat(bytesChecks, closeChecks, manyChecks, lifeChecks, randomChecks, talkChecks, tlsChecks)

// Select returns the checks whose id matches one of the patterns, such as
// "close/*" or "bytes". No pattern selects all.
func Select(patterns []string) []Check {
	if len(patterns) == 0 {
		return Checks
	}
	var selected []Check
	for _, c := range Checks {
		if slices.ContainsFunc(patterns, func(pattern string) bool { return c.matches(pattern) }) {
			selected = append(selected, c)
		}
	}
	return selected
}

func (c Check) matches(pattern string) bool {
	if !strings.Contains(pattern, "/") {
		pattern += "/*" // a whole group
	}
	ok, _ := path.Match(pattern, c.ID)
	return ok
}
