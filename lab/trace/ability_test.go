package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

// nobody is a user without any right.
var nobody = &syscall.Credential{Uid: 65534, Gid: 65534}

// printBest prints the best rung, and records a scene on it.
func printBest([]string) error {
	scene, _ := Find("echo")
	r, err := Record(context.Background(), Options{Scene: "echo", Server: serverOf("select", scene)})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(struct {
		Best      Ability
		Recording Recording
	}{Best(context.Background()), r})
}

// forbidNamespaces forbids user namespaces in the one that it runs in, and
// gives up all rights: namespaces(7), /proc/sys/user.
func forbidNamespaces([]string) error {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		return err
	}
	cmd := exec.Command(self, "best")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// best runs this binary as somebody, and returns what it prints.
func best(t *testing.T, role string, attr *syscall.SysProcAttr) (ability Ability, r Recording) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), self, role)
	cmd.SysProcAttr = attr
	cmd.Dir = "/"
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, complaints.Bytes())
	}
	var answer struct {
		Best      Ability
		Recording Recording
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	return answer.Best, answer.Recording
}

func TestUnprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		lacking(t, "only root can become somebody else; run the tests as root")
	}
	ability, r := best(t, "best", &syscall.SysProcAttr{Credential: nobody})
	if ability.Rung == diagram.Inferred {
		lacking(t, ability.Why+"; "+ability.Climb)
	}
	if ability.Rung != diagram.Namespace || r.Trace.Rung != diagram.Namespace {
		t.Fatalf("rung %q, recorded on %q; want %q", ability.Rung, r.Trace.Rung, diagram.Namespace)
	}
	sound(t, r)
	if got := segmentsOf(r.Trace, 1); got != opening+hello {
		t.Errorf("segments: %s", got)
	}
	if !strings.Contains(ability.Climb, "setcap") {
		t.Errorf("how to climb: %q", ability.Climb)
	}
}

func TestAllForbidden(t *testing.T) {
	if os.Getuid() != 0 {
		lacking(t, "only root can forbid namespaces to a process; run the tests as root")
	}
	everybody := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
	ability, r := best(t, "forbid", &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, UidMappings: everybody, GidMappings: everybody, GidMappingsEnableSetgroups: true,
	})
	if ability.Rung != diagram.Inferred || r.Trace.Rung != diagram.Inferred {
		t.Fatalf("rung %q, recorded on %q; want %q", ability.Rung, r.Trace.Rung, diagram.Inferred)
	}
	sound(t, r)
	if got, want := segmentsOf(r.Trace, 1), opening+", > PSH+ACK 6, < PSH+ACK 6, > ACK"; got != want {
		t.Errorf("segments %s, want %s", got, want)
	}
	for _, word := range []string{"operation not permitted", "no space left"} {
		if !strings.Contains(ability.Why, word) {
			t.Errorf("why: %q; want that it says %q", ability.Why, word)
		}
	}
	if !strings.Contains(ability.Climb, "sysctl user.max_user_namespaces") {
		t.Errorf("how to climb: %q", ability.Climb)
	}
	if missing := strings.Join(r.Trace.Missing, "\n"); !strings.Contains(missing, ability.Climb) {
		t.Errorf("missing: %q; want how to climb", missing)
	}
}

// recordForever records a scene that does not end on the rung that it is given.
func recordForever(args []string) error {
	scene, _ := Find("echo")
	ctx, cancel := signal.NotifyContext(context.Background(), unix.SIGINT)
	defer cancel()
	_, err := Record(ctx, Options{
		Scene: "echo", Server: serverOf("deaf", scene), Rung: diagram.Rung(args[0]), Calls: args[1], Timeout: patience,
	})
	return err
}

// Whenever it ends, and however, nothing is left behind.
func TestNothingIsLeft(t *testing.T) {
	phases := map[string]func(descendants []string) bool{
		"at once":        func([]string) bool { return true },
		"a child":        func(d []string) bool { return len(d) > 0 },
		"the server":     func(d []string) bool { return has(d, "serve") },
		"a client waits": func(d []string) bool { return has(d, "serve") && connected(d) },
	}
	stranger := BestCalls(subject.Spec{Kind: "command"})
	for rung, calls := range map[diagram.Rung]string{seeing(t): stranger, diagram.Namespace: "probes", diagram.Inferred: "proc"} {
		for phase, reached := range phases {
			for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGKILL} {
				t.Run(fmt.Sprint(rung, "/", phase, "/", unix.SignalName(sig)), func(t *testing.T) {
					t.Parallel()
					folder := t.TempDir()
					cmd := exec.CommandContext(t.Context(), self, "record", string(rung), calls)
					cmd.Env = append(os.Environ(), "TMPDIR="+folder)
					if err := cmd.Start(); err != nil {
						t.Fatal(err)
					}
					var seen []string
					within(t, phase, func() bool {
						seen = descendants(cmd.Process.Pid)
						return reached(seen)
					})
					all := append(descendants(cmd.Process.Pid), seen...)
					cmd.Process.Signal(sig)
					cmd.Wait()
					for _, p := range all {
						within(t, "the end of "+p, func() bool { return gone(p) })
					}
					if left, err := os.ReadDir(folder); sig == unix.SIGINT && (err != nil || len(left) > 0) {
						t.Errorf("left behind: %v %v", left, err)
					}
				})
			}
		}
	}
}

func has(processes []string, word string) bool {
	for _, p := range processes {
		if strings.Contains(p, " "+word+" ") {
			return true
		}
	}
	return false
}

// connected reports whether a server has a connection, in its own namespace.
func connected(processes []string) bool {
	for _, p := range processes {
		folder, _, _ := strings.Cut(p, " ")
		if !strings.Contains(p, " serve ") {
			continue
		}
		port := p[strings.LastIndex(strings.TrimSpace(p), ":")+1:]
		n, _ := strconv.Atoi(strings.TrimSpace(port))
		table, _ := os.ReadFile(folder + "/net/tcp")
		if strings.Contains(string(table), fmt.Sprintf(" 0100007F:%04X 0100007F:", n)) {
			return true
		}
	}
	return false
}

// descendants are the processes below one: folder in /proc and command line.
func descendants(pid int) (all []string) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(text)) {
			command, _ := os.ReadFile("/proc/" + child + "/cmdline")
			all = append(all, "/proc/"+child+" "+strings.ReplaceAll(string(command), "\x00", " "))
			n, _ := strconv.Atoi(child)
			all = append(all, descendants(n)...)
		}
	}
	return all
}

// gone reports whether a process has ended: it may wait for init to reap it.
func gone(process string) bool {
	var pid int
	fmt.Sscanf(process, "/proc/%d", &pid)
	p, err := proc.Read(pid)
	return err != nil || p.Ended()
}
