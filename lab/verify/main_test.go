package verify_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"socketlab/lab/subject"
)

// lab is the program, built for these tests: some servers are in it.
var lab string

func TestMain(m *testing.M) {
	subject.Child()
	os.Exit(withLab(m.Run))
}

func withLab(run func() int) int {
	folder, err := os.MkdirTemp("", "lab")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	lab = filepath.Join(folder, "lab")
	build := exec.Command("go", "build", "-o", lab, "socketlab/lab")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return run()
}
