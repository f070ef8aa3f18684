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
	"syscall"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/subject"
)

// guestName is the argv[0] by which a process knows that it is to carry out an
// ordinary command line in a namespace.
const guestName = "lab: a command in a namespace"

// Inside is true in such a process.
var inside bool

// Inside has this program carry out a command line in a user and a network
// namespace of its own, where it may capture, and returns what that prints. It
// is no failure if the exit code is not 0, but it prints something.
func Inside(ctx context.Context, args ...string) ([]byte, error) {
	cmd, err := namespaced(ctx, append([]string{guestName}, args...)...)
	if err != nil {
		return nil, err
	}
	var answer, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &answer, &complaints
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && answer.Len() == 0 {
		return nil, errors.Join(fmt.Errorf("in a namespace: %w", err), complaint(complaints.Bytes()))
	}
	return answer.Bytes(), nil
}

// enter makes itself at home in a process that Inside started, and returns: the
// command line is an ordinary one from here on. It ends with whoever started
// it, as by Ctrl-C.
func enter() {
	if os.Args[0] != guestName {
		return
	}
	inside = true
	os.Args[0] = "lab"
	if err := subject.EnterNamespaces(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		syscall.Kill(os.Getpid(), syscall.SIGTERM)
	}()
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
