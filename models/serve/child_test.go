//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"socketlab/models/session"
)

// heavy are packages that cost a child too much when it starts: they are large,
// or have much to initialise.
var heavy = []string{
	"encoding/json", "html/template", "net/http", "regexp", "runtime/debug", "testing", "text/template",
	"github.com/alecthomas/kong", "github.com/posener/complete", "github.com/willabides/kongplete",
}

func TestServeIsLight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for imported := range strings.FieldsSeq(string(out)) {
		if slices.Contains(heavy, imported) || strings.HasPrefix(imported, "socketlab/lab") {
			t.Errorf("serve imports %s, and each client of the process model pays for it", imported)
		}
	}
}

// BenchmarkChild tells what the process model pays for each client: the time
// from fork to the end of a child whose client has nothing to say. Beside it,
// in turn, the same for a Go program that does nothing at all; the ratio of the
// medians is what the pages and their imports add.
func BenchmarkChild(b *testing.B) {
	folder := b.TempDir()
	child := build(b, filepath.Join(folder, "serve"), ".")
	source := filepath.Join(folder, "bare.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	bare := build(b, filepath.Join(folder, "bare"), source)
	null, err := os.Open(os.DevNull) // a client that leaves at once
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	start := func(path string) time.Duration {
		args := []string{"lab: one client", session.Service{Name: "echo"}.String(), "1"}
		cmd := &exec.Cmd{Path: path, Args: args, Stderr: os.Stderr, ExtraFiles: []*os.File{null}}
		begin := time.Now()
		if err := cmd.Run(); err != nil {
			b.Fatalf("%s: %v", path, err)
		}
		return time.Since(begin)
	}
	var children, bares []time.Duration
	for b.Loop() {
		children = append(children, start(child))
		bares = append(bares, start(bare))
	}
	slices.Sort(children)
	slices.Sort(bares)
	median, least := children[len(children)/2], bares[len(bares)/2]
	b.ReportMetric(float64(median.Microseconds()), "µs/child")
	b.ReportMetric(float64(least.Microseconds()), "µs/bare")
	b.ReportMetric(float64(median)/float64(least), "ratio")
	b.ReportMetric(0, "ns/op") // two programs a turn: no figure of interest
}

// build builds a program, and copies it: the linker writes to a mapping, page by
// page, and until the page cache forgets the file it is mapped as slowly.
func build(tb testing.TB, binary, source string) string {
	tb.Helper()
	linked := binary + ".linked"
	cmd := exec.Command("go", "build", "-o", linked, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	program, err := os.ReadFile(linked)
	if err != nil {
		tb.Fatal(err)
	}
	os.Remove(linked)
	if err := os.WriteFile(binary, program, 0o700); err != nil {
		tb.Fatal(err)
	}
	return binary
}
