package main

import (
	"os"

	"socketlab/lab/report"
)

// besides is where people read: standard output, unless a report goes there.
func besides(all []report.Target) *os.File {
	if report.ToStdout(all) {
		return os.Stderr
	}
	return os.Stdout
}
