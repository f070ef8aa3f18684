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
	Causes  []string     // ids of what is usually wrong when it fails, the most usual first
	Try     string       // how to see it by hand, with PORT for the port
	Files   uint64       // descriptors that the server may have open; 0: as it is
	Ends    bool         // the server is to end, or its check sees whether it is there when all is over
	First   bool         // it is played before others, which may only repeat what it shows
	Mute    bool         // it needs no echo
	Crowd   bool         // many clients come and go
	Long    bool         // it may take long
	Mutual  bool         // it is about a server that asks clients for a certificate
	Run     func(*T)
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
