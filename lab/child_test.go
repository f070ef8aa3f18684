//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/session"
	"socketlab/models/sys"
)

// BenchmarkChild tells what the process model pays for each client: the time
// from fork to the end of a child whose client has nothing to say. Beside it,
// in turn, the same for a Go program that does nothing at all; the ratio of the
// medians is what the lab adds.
func BenchmarkChild(b *testing.B) {
	folder := b.TempDir()
	child := build(b, filepath.Join(folder, "lab"), ".")
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
	args := []string{"lab: one client", session.Service{Name: "echo"}.String(), "1"}
	start := func(path string) time.Duration {
		begin := time.Now()
		pid, err := sys.Spawn(path, args, -1, -1, 2, int(null.Fd()))
		if err != nil {
			b.Fatal(err)
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, 0, nil); err != nil || status.ExitStatus() != 0 {
			b.Fatalf("%s: %v, exit status %d", path, err, status.ExitStatus())
		}
		return time.Since(begin)
	}
	var labs, bares []time.Duration
	for b.Loop() {
		labs = append(labs, start(child))
		bares = append(bares, start(bare))
	}
	slices.Sort(labs)
	slices.Sort(bares)
	median, least := labs[len(labs)/2], bares[len(bares)/2]
	b.ReportMetric(float64(median.Microseconds()), "µs/child")
	b.ReportMetric(float64(least.Microseconds()), "µs/bare")
	b.ReportMetric(float64(median)/float64(least), "ratio")
	b.ReportMetric(0, "ns/op") // two programs a turn: no figure of interest
}

func build(tb testing.TB, binary, source string) string {
	tb.Helper()
	cmd := exec.Command("go", "build", "-o", binary, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	return binary
}
