//go:build linux

package main

import (
	"errors"
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

// noCommand refuses a command line that ends with --: who meant a server is not
// to get all models instead.
func noCommand(command []string) error {
	if len(command) == 0 && os.Args[len(os.Args)-1] == "--" {
		return errors.New("no command follows --")
	}
	return nil
}
