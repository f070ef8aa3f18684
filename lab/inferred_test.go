//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/report"
	"socketlab/lab/trace"
)

// confined is a command that can see no packets: in a user namespace of its own
// it has no rights over the machine's network, and no more namespaces may be
// made there: namespaces(7), The /proc/sys/user directory.
func confined(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if err := trace.TryNamespace(t.Context()); err != nil {
		lacks(t, "to forbid namespaces one has to be made: "+err.Error())
	}
	script := []string{"-c", `echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"`, "sh"}
	cmd := exec.Command("sh", append(script, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	return cmd
}

// dashed holds a drawing to what one of inferred segments owes.
func dashed(t *testing.T, drawn string) {
	t.Helper()
	for _, sign := range []string{"╌inferred SYN", "╌>", "<╌", "╌> inferred, not seen", "inferred from the kernel's tables", "missing: the segments "} {
		if !strings.Contains(drawn, sign) {
			t.Errorf("there is no %q in\n%s", sign, drawn)
		}
	}
	for _, sign := range []string{"─>", "<─", "captured"} {
		if strings.Contains(drawn, sign) {
			t.Errorf("there is %q in\n%s", sign, drawn)
		}
	}
}

func TestSceneInferred(t *testing.T) {
	scene := enters(t, confined(t, "lab", "trace", "--model=select", "--scene=echo"))
	scene.leaves(0)
	dashed(t, scene.screen.all())
}

// A check that failed is drawn even so: from what its clients did.
func TestTraceFailuresInferred(t *testing.T) {
	needs(t, "socat")
	file := filepath.Join(t.TempDir(), "verify.json")
	verify := enters(t, confined(t, "lab", "verify", "--trace-failures", "--timeout=1s", "--check=bytes/echo", "--report=json="+file,
		"--", "socat", "TCP-LISTEN:{port},fork,reuseaddr", "SYSTEM:sed -u s/hello/HELLO/"))
	verify.leaves(1)
	dashed(t, verify.screen.all())
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var result report.Verify
	if err := json.Unmarshal(text, &result); err != nil {
		t.Fatal(err)
	}
	drawn := result.Subjects[0].Checks[0].Diagram
	if drawn == nil || drawn.Rung != diagram.Inferred {
		t.Fatalf("the report's diagram is %+v, want one that is inferred", drawn)
	}
	segments := 0
	for _, e := range drawn.Events {
		if e.Segment != nil {
			segments++
		}
		if e.Segment != nil && !e.Segment.Inferred {
			t.Errorf("at %v a segment is not marked as inferred", e.At)
		}
	}
	if segments == 0 {
		t.Error("there are no segments")
	}
}
