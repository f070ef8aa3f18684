package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

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
