//go:build linux

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"socketlab/models/process"
)

// TestMain makes this test binary the lab itself, for whoever says "lab": it
// stands under that name at the head of PATH. Its clients, too, in the process
// model.
func TestMain(m *testing.M) {
	process.Child()
	testscript.Main(m, map[string]func(){"lab": main})
}
