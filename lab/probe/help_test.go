package probe_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"socketlab/models/sys"
)

const patience = 10 * time.Second

// must fails the test on the error of a step that is not under test.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// receive takes what must come, and names it if it does not.
func receive[T any](t *testing.T, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("after %v still not: %s", patience, what)
	}
	return v
}

func descriptors(t *testing.T) map[string]string {
	t.Helper()
	fds := map[string]string{}
	for _, link := range must[[]string](t)(filepath.Glob("/proc/self/fd/*")) {
		if what, err := os.Readlink(link); err == nil { // else it was Glob's own
			fds[filepath.Base(link)] = what
		}
	}
	return fds
}

// alone runs the test that calls it once more in a process of its own, and is
// true there: what the test does to its process, it does to no other test.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv("TEST_ALONE") == t.Name() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "TEST_ALONE="+t.Name())
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "--- SKIP: "+t.Name()) {
		t.Skipf("in a process of its own:\n%s", out)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a process of its own: %v\n%s", err, out)
	}
	return false
}

// pipe is both ends of a pipe, closed at the end of the test.
func pipe(t *testing.T) (reader, writer int) {
	t.Helper()
	reader, writer, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sys.Close(reader)
		sys.Close(writer)
	})
	return reader, writer
}
