//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"socketlab/lab/experiment"
)

// TestExperiments runs every experiment: the phenomenon must appear, and be what
// the text says. Those that measure time or load run alone, after the others. A
// busy machine gets three chances; that it could not decide is no pass.
//
// They run in a lab of their own, which is not built for the race detector: it
// would be measured, too.
func TestExperiments(t *testing.T) {
	t.Setenv("PATH", build(t)+":"+os.Getenv("PATH"))
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
	if *update && !t.Failed() && len(runs) == len(experiment.All) {
		writeExperiments(t)
	}
}

// runs are those that went as the text says, by name.
var (
	mu   sync.Mutex
	runs = map[string]experiment.Result{}
)

const experimentsFile = "../docs/experiments.md"

func writeExperiments(t *testing.T) {
	var b bytes.Buffer
	experiment.Markdown(&b, runs)
	if err := os.WriteFile(experimentsFile, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestExperimentsDocument holds docs/experiments.md to the experiments: question,
// answers, explanation and bug are theirs, word for word, and so are the rows
// and columns of the tables. The numbers are those of one run.
func TestExperimentsDocument(t *testing.T) {
	text, err := os.ReadFile(experimentsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range experiment.All {
		_, section, _ := strings.Cut(string(text), "\n## "+e.Name+"\n")
		q := e.Variant(experiment.Seed)
		if right := experiment.Letter(q.Right) + " is right."; strings.Index(section, right) != strings.Index(section, " is right.")-1 {
			t.Errorf("%s: the run in the document did not see %q", e.Name, right)
		}
	}
	var fresh bytes.Buffer
	experiment.Markdown(&fresh, nil)
	have, want := withoutRuns(string(text)), withoutRuns(fresh.String())
	if have != want && *update {
		kept := ofRuns.FindAllString(string(text), -1)
		if len(kept) != len(experiment.All) {
			t.Fatal("the document has other runs than there are experiments: make experiments")
		}
		written := ofRuns.ReplaceAllStringFunc(fresh.String(), func(string) (run string) {
			run, kept = kept[0], kept[1:]
			return run
		})
		if err := os.WriteFile(experimentsFile, []byte(written), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if have != want {
		t.Errorf("docs/experiments.md is not what the experiments say (make update):\n%s", cmp.Diff(strings.Split(have, "\n"), strings.Split(want, "\n")))
	}
}

// withoutRuns leaves out of the document what a run has said: the table, and
// the paragraph after it.
func withoutRuns(text string) string { return ofRuns.ReplaceAllString(text, "") }

var ofRuns = regexp.MustCompile("(?s)```text\n.*?```\n\n.*?\n\n")

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
	chances := 3
	if *update {
		chances = 30 // for the document it waits until the machine is quiet
	}
	for range chances {
		if r = experimented(t, args...); r.Status != experiment.Undecided {
			break
		}
	}
	if r.Status == experiment.Missing && os.Getenv("CI") == "" {
		t.Skip(r.Says)
	}
	if r.Status != experiment.AsTold {
		table := ""
		for _, row := range r.Rows {
			table += fmt.Sprintln(row.Name, row.Cells)
		}
		t.Errorf("%v: %s: saw %q, the text says %q: %s\n%s", args, r.Status, r.Saw, r.Expected, r.Says, table)
	}
	t.Logf("%v: %d ms", args, r.MS)
	if r.Status == experiment.AsTold && !r.Repaired {
		mu.Lock()
		runs[r.Name] = r
		mu.Unlock()
	}
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

// At a terminal lab exp asks for a prediction, again if it is none of the
// answers, and the verdict speaks of it.
func TestExpAsks(t *testing.T) {
	class := atTerminal(t, exec.Command("lab", "exp", "fin-or-rst"))
	class.shows("your prediction [a–d, Enter to skip]: ")
	class.types("maybe\n")
	class.shows("your prediction [a–d, Enter to skip]: ")
	class.types("A\n")
	class.shows("d is right, and not a. ")
	class.shows("a: recv returned them")
	class.leaves(0)
}

// A lesson shows its text, and runs a command at Enter, none at s, and ends at q.
func TestLessonSteps(t *testing.T) {
	teacher := atTerminal(t, exec.Command("lab", "lesson", "2"))
	teacher.shows("Lesson 2: opening and closing")
	teacher.shows("$ lab exp backlog   [Enter, s, q] ")
	teacher.types("s\n")
	teacher.shows("$ lab exp count-the-close   [Enter, s, q] ")
	teacher.types("\n")
	teacher.shows("your prediction") // the experiment has the terminal
	teacher.types("\n")
	teacher.shows(" is right. ")
	teacher.shows("$ lab exp fin-or-rst   [Enter, s, q] ")
	teacher.types("q\n")
	teacher.leaves(0)
}
