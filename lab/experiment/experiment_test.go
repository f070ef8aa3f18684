package experiment

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"socketlab/lab/trace"
)

// asked is an experiment that sees what it is told to, without an experiment's
// work: the judging is under test here.
func asked(run func(r *Run) (int, string)) Experiment {
	return Experiment{Name: "judged", Lesson: 1, Ask: func(*rand.Rand) Question {
		return Question{
			Asks: "Which?", Says: []Choice{{"this", ""}, {"that", "It is this."}, {"another", ""}},
			Right: 0, Mended: 2, Run: run,
		}
	}}
}

// The verdict is what was seen, and the text is only compared with it.
func TestVerdict(t *testing.T) {
	for _, test := range []struct {
		saw    int
		mended bool
		want   Status
	}{
		{0, false, AsTold}, {1, false, Contradicts}, {None, false, Contradicts}, {2, true, AsTold}, {0, true, Contradicts},
	} {
		e := asked(func(*Run) (int, string) { return test.saw, "It was seen." })
		for seed := range uint64(5) { // the letters change, the verdict does not
			r := e.Do(t.Context(), Options{Seed: seed, Repaired: test.mended})
			if r.Status != test.want {
				t.Errorf("saw %d, repaired %v, seed %d: %s, want %s", test.saw, test.mended, seed, r.Status, test.want)
			}
			if test.saw != None && r.Choices[r.Saw[0]-'a'] != []string{"this", "that", "another"}[test.saw] {
				t.Errorf("seed %d: the letter %q is that of %q", seed, r.Saw, r.Choices)
			}
		}
	}
}

// A run that a busy machine has spoilt does not contradict the text.
func TestUndecided(t *testing.T) {
	r := Result{Status: Contradicts, Busy: 2 * tooBusy}
	if r.weigh(); r.Status != Undecided {
		t.Errorf("a run beside others who used %.0f %% of the machine: %s, want %s", 100*r.Busy, r.Status, Undecided)
	}
	r = Result{Status: AsTold, Busy: 2 * tooBusy}
	if r.weigh(); r.Status != AsTold {
		t.Errorf("a run that saw what the text says is %s", r.Status)
	}
}

// What is missing is said, and is no verdict.
func TestMissing(t *testing.T) {
	e := asked(func(r *Run) (int, string) { r.Lacks("there is no %s", "compiler"); return 0, "" })
	var page bytes.Buffer
	r := e.Do(t.Context(), Options{})
	r.Told(&page, e)
	if r.Status != Missing || !strings.Contains(page.String(), "It cannot be produced here: there is no compiler.") {
		t.Errorf("%s: %s", r.Status, page.String())
	}
}

// Each experiment has what the list, the documents and the teacher need, in each
// of its variants, and no two seeds in a row ask quite the same.
func TestVariants(t *testing.T) {
	names := map[string]bool{}
	for _, e := range All {
		if names[e.Name] || e.Title == "" || e.Lesson < 1 || e.Lesson >= len(Lessons) || e.Takes == 0 || e.Takes.Seconds() > 15 || e.Look == "" || e.Why == "" || e.Read == "" {
			t.Errorf("%s: something is missing, or there twice", e.Name)
		}
		names[e.Name] = true
		different := map[string]bool{}
		for seed := range uint64(20) {
			q := e.Variant(seed)
			different[q.Asks+q.Says[0].Text] = true
			if q.Right < 0 || e.Bug != (Bug{}) && (q.Mended < 0 || q.Mended == q.Right) {
				t.Errorf("%s, seed %d: right %d, mended %d", e.Name, seed, q.Right, q.Mended)
			}
			for i, c := range q.Says {
				if i != q.Right && c.But == "" {
					t.Errorf("%s, seed %d: %q is wrong, and nothing says why", e.Name, seed, c.Text)
				}
			}
		}
		if len(different) < 3 {
			t.Errorf("%s: %d variants of 20 seeds", e.Name, len(different))
		}
		if _, scene, named := strings.Cut(e.Picture, "--scene="); named {
			if _, found := trace.Find(scene); !found {
				t.Errorf("%s: there is no scene %s", e.Name, scene)
			}
		}
		if file, _, _ := strings.Cut(e.Page, ":"); file != "" {
			if _, err := os.Stat("../../" + file); err != nil {
				t.Errorf("%s: %v", e.Name, err)
			}
			if strings.HasPrefix(file, "models/") && !strings.Contains(e.where(), ":") {
				t.Errorf("%s: %s has no %s", e.Name, file, e.Page)
			}
		}
	}
}

// The bug is shown as a diff, with both sides of it.
func TestShowBug(t *testing.T) {
	for _, e := range All {
		if e.Bug == (Bug{}) {
			continue
		}
		var shown bytes.Buffer
		e.ShowBug(&shown)
		if e.Bug.C != "" && !strings.Contains(shown.String(), "\n+") {
			t.Errorf("%s: no line of\n%s is the cure", e.Name, shown.String())
		}
		if strings.Contains(shown.String(), "REPAIRED") || shown.Len() < 40 {
			t.Errorf("%s: %s", e.Name, shown.String())
		}
	}
}

func TestSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/schema/exp-1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []func(*Run) (int, string){
		func(r *Run) (int, string) { r.Column("one", "measured", 7); return 0, "7 were measured." },
		func(r *Run) (int, string) { r.Lacks("it"); return 0, "" },
	} {
		var out bytes.Buffer
		if err := (Document{Experiments: []Result{asked(run).Do(t.Context(), Options{})}}).JSON(&out); err != nil {
			t.Fatal(err)
		}
		var document any
		if err := json.Unmarshal(out.Bytes(), &document); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%v\n%s", err, out.String())
		}
	}
}
