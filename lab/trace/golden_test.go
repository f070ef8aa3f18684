package trace

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"socketlab/models/all"
)

var (
	update = flag.Bool("update", false, "rewrite the golden diagrams, all of them, from real recordings")
	every  = flag.Bool("every", false, "play every scene on every model; else some are left out, to save time")
)

// telling are the scenes in which models differ. In the others they should not,
// so these are played on some models, in turn.
var telling = []string{"open", "echo", "two-clients", "talk", "process-life", "wake"}

// Scenes are what they say they are, and are drawn as they were drawn before.
// What is left to chance Normalise decides; nothing is tried twice. Read the
// difference before you keep it: go test ./lab/trace -run TestScenes -update
func TestScenes(t *testing.T) {
	rung := seeing(t)
	for i, scene := range Scenes {
		for j, model := range all.Models {
			if some := (i+j)%3 == 0; !some && !slices.Contains(telling, scene.Name) && !*every && !*update {
				continue
			}
			t.Run(scene.Name+"/"+model.Name, func(t *testing.T) {
				t.Parallel()
				server := serverOf(model.Name, scene)
				server.Command[1] = "watched"
				if model.Name == "reactors" { // it has a loop for each processor
					program, err := os.Executable()
					if err != nil {
						t.Fatal(err)
					}
					server.Command = append([]string{"env", "GOMAXPROCS=1", program}, server.Command[1:]...)
				}
				r, err := Record(t.Context(), Options{
					Scene: scene.Name, Server: server, Rung: rung, Calls: BestCalls(server), Timeout: 3 * patience,
				})
				if err != nil {
					t.Fatal(err)
				}
				sound(t, r)
				asShown(t, scene.Name, r)
				got, err := r.Normal("text")
				if err != nil {
					t.Fatal(err)
				}
				switch scene.Name + "/" + model.Name { // which of its children is first is a matter of luck
				case "restart/prefork":
					return
				case "queue/prefork":
					got, _, _ = strings.Cut(got, "(the server goes on")
				}
				golden(t, filepath.Join("testdata", "golden", scene.Name+"."+model.Name+".txt"), got)
			})
		}
	}
}

// asShown compares connection 1 with what the scene promises.
func asShown(t *testing.T, scene string, r Recording) {
	t.Helper()
	want, promised := shown[scene]
	if !promised {
		t.Errorf("nobody has said what the scene %s looks like", scene)
	}
	if got := inTime(segmentsOf(r.Trace, 1), want.segments); want.segments != "" && got != want.segments {
		t.Errorf("segments\n%s, want\n%s", got, want.segments)
	}
	for end, want := range []string{want.client, want.server} {
		if got := inTime(statesOf(r.Trace, 1, end == theClient), want); want != "" && got != want {
			t.Errorf("end %d goes through %s, want %s", end, got, want)
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; go test ./lab/trace -run TestScenes -update makes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("it went in another way than before (-want +got):\n%s", diff)
	}
}
