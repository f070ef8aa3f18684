//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"socketlab/lab/diagram"
	"socketlab/lab/trace"
	"socketlab/models"
	"socketlab/models/all"
)

// TestPictures records each scene that a document shows once more, and compares
// what is drawn with the picture that is there: docs/diagrams/SCENE-MODEL.svg, or
// SCENE-MODEL+MODEL.svg of several side by side.
func TestPictures(t *testing.T) {
	lab, err := exec.LookPath("lab")
	if err != nil {
		t.Fatal(err)
	}
	if best := trace.Best(t.Context()); best.Rung == diagram.Inferred {
		lacks(t, best.Why+"; "+best.Climb)
	}
	shown := pictures(t)
	for name := range shown {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cut := strings.LastIndexByte(name, '-')
			scene, found := trace.Find(name[:cut])
			if !found {
				t.Fatalf("%s shows diagrams/%s.svg, which is no SCENE-MODEL.svg", shown[name], name)
			}
			draw := func() (recording trace.Recording, fresh string) {
				var sides diagram.Sides
				for _, named := range strings.Split(name[cut+1:], "+") {
					model, err := all.Named(named)
					if err != nil {
						t.Fatalf("%s shows diagrams/%s.svg: %v", shown[name], name, err)
					}
					needsModel(t, model.Name)
					cmd := traceCmd{Model: modelsFlag{[]models.Model{model}}}
					servers, err := cmd.servers(scene)
					if err != nil {
						t.Fatal(err)
					}
					servers[0].Command[0] = lab
					recording, err = trace.Record(t.Context(), trace.Options{Scene: scene.Name, Server: servers[0], Timeout: time.Minute})
					if err != nil {
						t.Fatal(err)
					}
					sides = append(sides, recording.Trace)
				}
				fresh, err := recording.Normal("svg")
				if len(sides) > 1 && err == nil {
					var b strings.Builder
					err = sides.Normalise().SVG(&b)
					fresh = b.String()
				}
				if err != nil {
					t.Fatal(err)
				}
				return recording, fresh
			}
			recording, fresh := draw()
			file := filepath.Join("..", "docs", "diagrams", name+".svg")
			if *update {
				if err := os.WriteFile(file, []byte(fresh), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			old, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; make docs draws it", err)
			}
			for tries := 0; string(old) != fresh && strings.HasSuffix(name, "reactors") && tries < 5; tries++ {
				recording, fresh = draw() // its loops are threads, and start in any order
			}
			if string(old) != fresh {
				text, _ := recording.Normal("text")
				t.Errorf("%s shows what is not so (make docs); now it is\n%s", shown[name], text)
			}
		})
	}
	files, err := filepath.Glob("../docs/diagrams/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".svg"); shown[name] == "" {
			t.Errorf("docs/diagrams/%s is shown by no document", filepath.Base(file))
		}
	}
}

// pictures are the diagrams that documents show, each with one that does.
func pictures(t *testing.T) map[string]string {
	t.Helper()
	picture := regexp.MustCompile(`!\[.+\]\((?:\.\./|docs/)?diagrams/(.+)\.svg\)`)
	shown := map[string]string{}
	for _, file := range documents(t) {
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range picture.FindAllSubmatch(text, -1) {
			shown[string(found[1])] = file
		}
	}
	if len(shown) == 0 {
		t.Fatal("no document shows a diagram")
	}
	return shown
}
