//go:build linux

package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"socketlab/lab/subject"
	"socketlab/lab/trace"
	"socketlab/models/all"
)

// TestMain makes this test binary the lab itself, for whoever says "lab": it
// stands under that name at the head of PATH. Its clients, too, in the process
// model.
func TestMain(m *testing.M) {
	subject.Child()
	all.Child()
	trace.Child()
	// Under the race detector a process sleeps for a second before it ends, in
	// case a race is still to be reported; here that is every command.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(m, map[string]func(){"lab": main, "forbidden": forbidden, "deaf": deaf, "detaches": detaches})
}
