package experiment

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/sys/unix"

	"socketlab/lab/broken"
	"socketlab/lab/subject"
)

// A Program is a process that is no server: a client, mostly.
type Program struct {
	r        *Run
	cmd      *exec.Cmd
	keyboard io.WriteCloser
	screen   subject.Screen
	ended    chan struct{}
}

// Program starts one, which ends with the run at the latest.
func (r *Run) Program(name string, args ...string) *Program {
	p := &Program{r: r, cmd: exec.CommandContext(r.ctx, name, args...), screen: subject.Screen{Most: 1 << 20}}
	p.cmd.Stdout, p.cmd.Stderr = &p.screen, &p.screen
	var err error
	p.keyboard, p.ended, err = subject.Launch(p.cmd)
	r.Check(err)
	r.finally(p.Kill)
	return p
}

// Type writes to the program's standard input.
func (p *Program) Type(text string) {
	_, err := io.WriteString(p.keyboard, text)
	p.r.Check(err)
}

// EOF ends its standard input.
func (p *Program) EOF() { p.keyboard.Close() }

// Kill ends it by SIGKILL, and waits until it has ended.
func (p *Program) Kill() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// Ended waits for its end, and says how it came: "exit code 0", "SIGPIPE".
func (p *Program) Ended(within time.Duration) (how string, ok bool) {
	timeout := time.After(within)
	select {
	case <-p.ended:
	default:
		select {
		case <-p.ended:
		case <-timeout:
			return "it runs", false
		}
	}
	return ending(p.cmd.ProcessState), true
}

// Pid is its process.
func (p *Program) Pid() int { return p.cmd.Process.Pid }

// Shown is what it printed so far.
func (p *Program) Shown() string { return p.screen.String() }

// Shows waits until it has printed a text.
func (p *Program) Shows(text string, within time.Duration) bool {
	return p.r.Until(within, func() bool { return strings.Contains(p.Shown(), text) })
}

func ending(state *os.ProcessState) string {
	if status := state.Sys().(syscall.WaitStatus); status.Signaled() {
		return unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("exit code %d", state.ExitCode())
}

// A Bug is a program with one mistake in it. In C it is a file of the folder c,
// and what stands there under REPAIRED is the cure; else it is a server of
// lab/broken.
type Bug struct {
	C      string // its name, without .c
	Broken string
	Right  string // the model that does the same and is right, for a Broken one
}

//go:embed c
var specimens embed.FS

// Specimen builds a C program of the folder c, with its bug or, if the run is
// to be without it, repaired, and returns where it is.
func (r *Run) Specimen(name string, flags ...string) (path string) {
	if r.Repaired {
		flags = append(flags, "-DREPAIRED")
	}
	return r.build(name, flags...)
}

func (r *Run) build(name string, flags ...string) (path string) {
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "cc"
	}
	if _, err := exec.LookPath(compiler); err != nil {
		r.Lacks("the program is in C, and there is no compiler %s; install gcc and libc6-dev, or set CC", compiler)
	}
	if r.folder == "" {
		var err error
		r.folder, err = os.MkdirTemp("", "lab-exp-")
		r.Check(err)
		r.Check(os.CopyFS(r.folder, specimens))
	}
	path = filepath.Join(r.folder, name+strings.Join(flags, ""))
	args := append([]string{"-O1", "-g", "-Wall", "-pthread", "-o", path, filepath.Join("c", name+".c")}, flags...)
	cmd := exec.CommandContext(r.ctx, compiler, args...)
	cmd.Dir = r.folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Check(errors.Join(fmt.Errorf("%s does not build %s.c: %v\n%s", compiler, name, err, bytes.TrimSpace(out)), context.Cause(r.ctx)))
	}
	return path
}

// Wrong starts the server with the bug, or, if the run is to be without it, the
// one that is right.
func (r *Run) Wrong(bug Bug, args ...string) *Server {
	switch {
	case bug.C != "":
		return r.Start(specimen(r.Specimen(bug.C), args...))
	case r.Repaired:
		return r.Serve(bug.Right)
	}
	return r.Broken(bug.Broken)
}

// Talk is Wrong for a server with an operator.
func (r *Run) Talk(bug Bug) *Server {
	if r.Repaired {
		return r.Serve(bug.Right, "--service=talk")
	}
	return r.Broken(bug.Broken)
}

// specimen is how a C server is started.
func specimen(path string, args ...string) subject.Spec {
	return subject.Spec{Name: filepath.Base(path), Command: append([]string{path, "{port}"}, args...)}
}

// diff shows what the cure changes in the C program.
func (b Bug) diff() (string, error) {
	text, err := specimens.ReadFile("c/" + b.C + ".c")
	unified := diff.Diff(b.C, source(text, false), b.C, source(text, true))
	_, hunks, _ := strings.Cut(string(unified), "\n@@")
	return heads.ReplaceAllString("@@"+hunks, " …"), err
}

// heads are the lines above the hunks. Their numbers are not those of the file,
// which holds both the bug and the cure.
var heads = regexp.MustCompile(`(?m)^@@.*@@$`)

// says is what is wrong in a server of lab/broken.
func (b Bug) says() string {
	s, err := broken.Named(b.Broken)
	if err != nil {
		return err.Error()
	}
	return s.Bug
}

// source is a C program with its bug, or repaired, without the lines that choose.
func source(text []byte, repaired bool) (chosen []byte) {
	inside, keep := false, true
	for line := range bytes.Lines(text) {
		switch directive := string(bytes.TrimSpace(line)); {
		case directive == "#ifdef REPAIRED":
			inside, keep = true, repaired
		case directive == "#ifndef REPAIRED":
			inside, keep = true, !repaired
		case directive == "#else" && inside:
			keep = !keep
		case directive == "#endif" && inside:
			inside, keep = false, true
		case keep:
			chosen = append(chosen, line...)
		}
	}
	return chosen
}
