package subject

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/session"
)

// A CommandError is a command that could not be executed.
type CommandError struct {
	Command string
	Err     error
}

func (e *CommandError) Unwrap() error { return e.Err }

func (e *CommandError) Error() string {
	cure := "give the command that starts the server"
	switch {
	case errors.Is(e.Err, exec.ErrDot):
		cure = "say ./" + e.Command
	case errors.Is(e.Err, exec.ErrNotFound):
		cure = "check the spelling, or give a path such as ./" + e.Command
	case errors.Is(e.Err, fs.ErrNotExist) && exists(e.Command):
		cure = "its interpreter is missing: see the first line of the file"
	case errors.Is(e.Err, fs.ErrNotExist):
		cure = "check the path"
	case isFolder(e.Command):
		cure = "it is a folder: which program in it?"
	case errors.Is(e.Err, fs.ErrPermission):
		cure = "make it executable: chmod +x " + e.Command
	case errors.Is(e.Err, unix.EAGAIN):
		cure = "no more processes fit: end some, or see ulimit -u"
	case errors.Is(e.Err, unix.ENOEXEC):
		cure = "it is no program; name its interpreter, or begin it with a line such as #!/bin/sh"
	}
	return fmt.Sprintf("cannot run %q: %v; %s", e.Command, reason(e.Err), cure)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// reason is the cause alone: the message has named the command already.
func reason(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// A PortError is a port that somebody has already.
type PortError struct {
	Port uint16
	Pid  int    // who listens on it; 0: the kernel does not say
	Name string // that process's name
}

func (e *PortError) Error() string {
	who := ""
	if e.Pid > 0 {
		who = fmt.Sprintf(" (pid %d, %q)", e.Pid, e.Name)
	}
	return fmt.Sprintf("port %d is in use%s; stop that, or choose another port", e.Port, who)
}

// An EndedError is a server that ended before it listened.
type EndedError struct {
	Spec   Spec
	Ending Ending
	Left   bool   // it left processes behind, as a daemon does
	Output []byte // what it printed, beginning and end
}

func (e *EndedError) Error() string {
	cure := fmt.Sprintf("a server listens on 127.0.0.1:%d and stays", e.Spec.Port)
	if e.Left {
		cure = "it went into the background: start it so that it stays in the foreground"
	}
	return fmt.Sprintf("%s ended with %v before it listened on port %d; %s; %s",
		e.Spec.Name, e.Ending, e.Spec.Port, cure, printed(e.Output))
}

// A DeafError is a server that runs, and does not listen where it should.
type DeafError struct {
	Spec    Spec
	Waited  time.Duration
	Instead Instead        // what it does instead; "": it listens nowhere
	Where   netip.AddrPort // on which address and port it does that
	Output  []byte         // what it printed, beginning and end
}

// Instead is what a server does that does not listen where it should.
type Instead string

const (
	UDP          Instead = "it has a UDP socket"              // no TCP socket listens
	OtherPort    Instead = "it listens on another port"       // than the one it was given
	OtherAddress Instead = "it listens where nobody comes to" // on the right port, but not on loopback
)

func (e *DeafError) Error() string {
	const given = "use {port} or the PORT environment variable"
	cure := "it listens nowhere: call listen(2) on 127.0.0.1, on the port from {port} or the PORT environment variable"
	switch e.Instead {
	case UDP:
		cure = fmt.Sprintf("it has a UDP socket on %v and listens nowhere with TCP: make the socket with SOCK_STREAM, and call listen(2)", e.Where)
	case OtherPort:
		cure = fmt.Sprintf("it listens on %v, not on the port it was given: %s", e.Where, given)
	case OtherAddress:
		cure = fmt.Sprintf("it listens on %v, which is not reached through 127.0.0.1: bind to 127.0.0.1", e.Where)
	}
	return fmt.Sprintf("%s did not listen on 127.0.0.1:%d within %v; %s; %s",
		e.Spec.Name, e.Spec.Port, e.Waited.Round(10*time.Millisecond), cure, printed(e.Output))
}

// printed quotes the last lines of a server's output, each behind a mark and
// with its control bytes harmless: it goes to a terminal, or to a CI system
// that takes some lines for commands.
func printed(text []byte) string {
	text = bytes.TrimSpace(text[max(0, len(text)-2000):])
	if len(text) == 0 {
		return "it printed nothing"
	}
	lines := bytes.Split(text, []byte("\n"))
	quoted := []byte("it printed:")
	for _, line := range lines[max(0, len(lines)-12):] {
		quoted = append(quoted, "\n    | "...)
		quoted = session.AppendHarmless(quoted, line)
	}
	return string(quoted)
}

// cure is what to do about an error that is this machine's and not the
// server's, behind a semicolon.
func cure(err error) string {
	switch {
	case errors.Is(err, unix.EMFILE):
		return "; this process may open too few files: raise the limit with ulimit -n 1024"
	case errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EAGAIN):
		return "; this machine has no room for more: end some programs, or see ulimit -u"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSPC):
		return "; if it is about a namespace, lab doctor says how to allow it"
	}
	return ""
}
