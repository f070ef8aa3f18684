//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEdgeTriggered puts the edge-triggered page in the place of the epoll page,
// and holds it to all checks.
func TestEdgeTriggered(t *testing.T) {
	folder := t.TempDir()
	models, err := filepath.Abs("../models")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{ // go help build
		models + "/epollloop/epoll.go": models + "/epollloop/testdata/edge.go",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(folder, "lab")
	for _, args := range [][]string{
		{"go", "build", "-overlay", filepath.Join(folder, "overlay.json"), "-o", binary, "."},
		{binary, "verify", "--model=epoll", "--strict"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
	}
}

// TestEdgeIsQuoted finds the code that docs/models/epoll-edge.md shows in the
// page that TestEdgeTriggered builds.
func TestEdgeIsQuoted(t *testing.T) {
	text, err := os.ReadFile("../docs/models/epoll-edge.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../models/epollloop/testdata/edge.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Error("no code is shown")
	}
	for _, b := range blocks {
		if !strings.Contains(string(page), b[1]) {
			t.Errorf("this is not on the page:\n%s", b[1])
		}
	}
}
