//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"socketlab/lab/experiment"
)

// TestExperiments runs every experiment: the phenomenon must appear, and be what
// the text says. Those that measure time or load run alone, after the others. A
// busy machine gets three chances; that it could not decide is no pass.
func TestExperiments(t *testing.T) {
	t.Run("together", func(t *testing.T) {
		for _, e := range experiment.All {
			if !e.Alone {
				t.Run(e.Name, func(t *testing.T) {
					t.Parallel()
					holds(t, e)
				})
			}
		}
	})
	for _, e := range experiment.All {
		if e.Alone {
			t.Run(e.Name, func(t *testing.T) { holds(t, e) })
		}
	}
}

// holds runs an experiment, and if it has a bug, once more without it.
func holds(t *testing.T, e experiment.Experiment) {
	told(t, e.Name)
	if e.Bug != (experiment.Bug{}) {
		told(t, e.Name, "--repaired")
	}
}

func told(t *testing.T, args ...string) {
	t.Helper()
	var r experiment.Result
	for range 3 {
		if r = experimented(t, args...); r.Status != experiment.Undecided {
			break
		}
	}
	if r.Status != experiment.AsTold {
		table := ""
		for _, row := range r.Rows {
			table += fmt.Sprintln(row.Name, row.Cells)
		}
		t.Errorf("%v: %s: saw %q, the text says %q: %s\n%s", args, r.Status, r.Saw, r.Expected, r.Says, table)
	}
	t.Logf("%v: %d ms", args, r.MS)
}

func experimented(t *testing.T, args ...string) experiment.Result {
	t.Helper()
	out, err := exec.Command("lab", append([]string{"exp", "--json"}, args...)...).Output()
	var document experiment.Document
	if json.Unmarshal(out, &document) != nil || len(document.Experiments) != 1 {
		var ended *exec.ExitError
		errors.As(err, &ended)
		t.Fatalf("lab exp %v: %v\n%s%s", args, err, out, ended.Stderr)
	}
	return document.Experiments[0]
}
