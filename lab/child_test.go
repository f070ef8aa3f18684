//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/session"
	"socketlab/models/sys"
)

// BenchmarkChild tells what the process model pays for each client: the time
// from fork to the end of a child whose client has nothing to say. Beside it,
// in turn, the same for a Go program that does nothing at all, started as any
// program is; the ratio of the medians is what the lab adds.
//
// Most of that is its size and its imports. The runtime walks through the table of
// all functions, pages of a larger file are mapped, and packages are initialised
// that a child has no use for, kong's and regexp's first of all: perf record -e
// cpu-clock -g shows it.
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
	asChild := func(path string) (pid int, err error) {
		return sys.Spawn(path, args, -1, -1, 2, int(null.Fd()))
	}
	asProgram := func(path string) (pid int, err error) {
		none := ^uintptr(0)
		files := []uintptr{none, none, 2, null.Fd()}
		return syscall.ForkExec(path, args, &syscall.ProcAttr{Env: os.Environ(), Files: files})
	}
	start := func(path string, spawn func(string) (int, error)) time.Duration {
		begin := time.Now()
		pid, err := spawn(path)
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
		labs = append(labs, start(child, asChild))
		bares = append(bares, start(bare, asProgram))
	}
	slices.Sort(labs)
	slices.Sort(bares)
	median, least := labs[len(labs)/2], bares[len(bares)/2]
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
