package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/subject"
)

// An Ability is how well segments can be seen on this machine.
type Ability struct {
	Rung  diagram.Rung
	Why   string
	Climb string // how to see them better; "": there is no better way
}

// Best finds the best rung by trying.
func Best(ctx context.Context) Ability {
	direct := tryCapture()
	if direct == nil {
		return Ability{Rung: diagram.Captured, Why: "packets may be captured here (CAP_NET_RAW)"}
	}
	const climb = "to capture on the machine's own loopback, run lab as root or give it the right: sudo setcap cap_net_raw+ep LAB"
	inside := TryNamespace(ctx)
	if inside == nil {
		return Ability{diagram.Namespace, fmt.Sprintf("no right to capture (%v), but a network namespace of its own is allowed", direct), climb}
	}
	return Ability{
		diagram.Inferred,
		fmt.Sprintf("no right to capture (%v), and no network namespace of its own (%v)", direct, inside),
		climb + "; or allow user namespaces" + allowNamespaces(),
	}
}

// tryCapture opens a packet socket and closes it.
func tryCapture() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	return unix.Close(fd)
}

// TryNamespace makes a namespace, to find out whether that is allowed.
func TryNamespace(ctx context.Context) error {
	_, err := inNamespace(ctx, request{})
	return err
}

// allowNamespaces names the switch that stands in the way, where one is known.
func allowNamespaces() string {
	for _, knob := range []struct{ name, open, closed string }{
		{"kernel.unprivileged_userns_clone", "1", "0"},             // Debian
		{"kernel.apparmor_restrict_unprivileged_userns", "0", "1"}, // Ubuntu
		{"user.max_user_namespaces", "1000", "0"},                  // all: namespaces(7)
	} {
		path := "/proc/sys/" + strings.ReplaceAll(knob.name, ".", "/")
		if value, err := os.ReadFile(path); err == nil && string(bytes.TrimSpace(value)) == knob.closed {
			return fmt.Sprintf(": sudo sysctl %s=%s", knob.name, knob.open)
		}
	}
	return " (in a container: its seccomp profile)"
}

// childName is the argv[0] by which a process knows that it is to record in a
// namespace.
const childName = "lab: a scene in a namespace"

// A request is what the process in the namespace is told, and a reply what it
// answers. A request without a scene only tries whether it could.
type request struct{ Options Options }

type reply struct {
	Recording Recording
	Error     string
}

// inNamespace has this program, started once more in a user and a network
// namespace of its own, answer a request: there it has the right to capture
// what goes over a loopback that nobody else uses. It keeps its user id:
// user_namespaces(7). With the process, everything in it vanishes; it ends with
// this process, or gracefully when the context ends and the pipe to it closes.
func inNamespace(ctx context.Context, r request) (Recording, error) {
	question, err := json.Marshal(r)
	if err != nil {
		return Recording{}, err
	}
	cmd, err := namespaced(ctx, childName, string(question))
	if err != nil {
		return Recording{}, err
	}
	var answer, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &answer, &complaints
	err = cmd.Run()
	if ctx.Err() != nil {
		return Recording{}, ctx.Err()
	}
	if err != nil {
		return Recording{}, errors.Join(fmt.Errorf("in a namespace: %w", err), complaint(complaints.Bytes()))
	}
	var a reply
	if err := json.Unmarshal(answer.Bytes(), &a); err != nil {
		return Recording{}, fmt.Errorf("in a namespace: %w", err)
	}
	if a.Error != "" {
		return a.Recording, errors.New(a.Error)
	}
	return a.Recording, nil
}

// namespaced is this program, to be started once more in namespaces of its own.
// When the context ends, so does its standard input.
func namespaced(ctx context.Context, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = args
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	cmd.Cancel = lifeline.Close
	cmd.WaitDelay = 2 * subject.Grace
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // out of Ctrl-C's reach: we pass it on
		Pdeathsig: unix.SIGKILL,
	}
	subject.InNamespaces(cmd.SysProcAttr)
	return cmd, nil
}

func complaint(text []byte) error {
	if text = bytes.TrimSpace(text); len(text) > 0 {
		return errors.New(string(text))
	}
	return nil
}

// Child answers in a process that inNamespace started, and exits. In any other
// it returns at once. It is called first thing in main.
func Child() {
	enter()
	if os.Args[0] != childName || len(os.Args) != 2 {
		return
	}
	var a reply
	var err error
	if a.Recording, err = insideNamespace([]byte(os.Args[1])); err != nil {
		a.Error = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func insideNamespace(question []byte) (Recording, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin) // its end is all that is ever said
		cancel()
	}()
	var r request
	if err := json.Unmarshal(question, &r); err != nil {
		return Recording{}, err
	}
	if err := subject.EnterNamespaces(); err != nil {
		return Recording{}, err
	}
	if err := tryCapture(); err != nil || r.Options.Scene == "" {
		return Recording{}, err
	}
	return record(ctx, r.Options, diagram.Namespace)
}

// clockOffset is how far the wall clock is ahead of the one that nobody sets:
// clock_gettime(2). It is the best of a few tries, in which the one was read
// between two readings of the other.
func clockOffset() time.Duration {
	now := func(clock int32) int64 {
		var t unix.Timespec
		unix.ClockGettime(clock, &t)
		return t.Nano()
	}
	var offset int64
	best := int64(1 << 62)
	for range 10 {
		before, wall, after := now(unix.CLOCK_MONOTONIC), now(unix.CLOCK_REALTIME), now(unix.CLOCK_MONOTONIC)
		if after-before < best {
			best, offset = after-before, wall-(before+after)/2
		}
	}
	return time.Duration(offset)
}
