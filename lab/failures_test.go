//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"socketlab/lab/diagram"
	"socketlab/lab/report"
	"socketlab/lab/trace"
)

// Who may not capture has the check played again in a namespace, where that is
// allowed; the verdict is of outside.
func TestTraceFailuresInNamespace(t *testing.T) {
	needs(t, "socat")
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"lab", "verify", "--json", "--trace-failures", "--timeout=1s", "--check=bytes/echo",
		"--", "socat", "TCP-LISTEN:{port},fork,reuseaddr", "SYSTEM:sed -u s/hello/HELLO/"}
	if os.Getuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "TMPDIR=/tmp")
	verify := enters(t, cmd)
	verify.leaves(1)
	var result report.Verify
	if err := json.Unmarshal([]byte(verify.screen.all()), &result); err != nil {
		t.Fatal(err, verify.notes.all())
	}
	check := result.Subjects[0].Checks[0]
	if check.Diagram == nil {
		t.Fatalf("there is no diagram; its story is %q", check.Story)
	}
	switch check.Diagram.Rung {
	case diagram.Captured: // not root, and with the right
	case diagram.Namespace:
		if trace.TryNamespace(t.Context()) != nil {
			t.Error("it was played in a namespace, and none can be made")
		}
	case diagram.Inferred:
		if missing := strings.Join(check.Diagram.Missing, "\n"); !strings.Contains(missing, "cannot be seen; to capture") {
			t.Errorf("missing: %q, want what to do", missing)
		}
	}
	var said, answered bool
	for _, e := range check.Diagram.Events {
		if s := e.Segment; s != nil && s.Len > 0 {
			said = said || s.FromClient && string(s.Data) == "hello\n"
			answered = answered || said && !s.FromClient && string(s.Data) == "HELLO\n"
		}
	}
	if !answered {
		t.Errorf("the diagram does not show what was said and answered; its story is %q", check.Story)
	}
}

// What is offered to be typed is understood by a shell as it was meant.
func TestTyped(t *testing.T) {
	words := []string{"./my server", "{port}", "--reuse=1,2", "it's", "$HOME", "", "a,{b}", "*"}
	out, err := exec.Command("bash", "-c", "printf '%s\\n' "+typed(words)).Output()
	if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != strings.Join(words, "\n") {
		t.Errorf("bash takes %s for %q (%v)", typed(words), got, err)
	}
}
