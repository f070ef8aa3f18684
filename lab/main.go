//go:build linux

// Lab is a teaching lab for TCP servers. Classic ways to serve many clients are
// readable pages. All of them hold the same conversation, and one harness proves
// that they do.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/willabides/kongplete"
	"golang.org/x/sys/unix"

	"socketlab/lab/subject"
	"socketlab/lab/trace"
	"socketlab/models/all"
)

func main() {
	subject.Child() // does not return in the supervisor of a server
	all.Child()     // nor in a child process of a model
	trace.Child()   // nor in a namespace made for a recording
	os.Exit(lab(os.Args[1:]))
}

// The grammar: a field is a command, and its file has the same name.
type grammar struct {
	Models     modelsCmd     `cmd:"" help:"Show the models: what each one waits in and what a client costs."`
	Diff       diffCmd       `cmd:"" help:"Show two pages side by side: what one model does and the other does not."`
	Run        runCmd        `cmd:"" help:"Run one model as a server."`
	Verify     verifyCmd     `cmd:"" help:"Hold models, or any server, to the same behaviour."`
	Trace      traceCmd      `cmd:"" help:"Record what happens in one conversation, and draw it."`
	Bench      benchCmd      `cmd:"" help:"Measure what serving costs, side by side."`
	Compare    compareCmd    `cmd:"" help:"Check and measure models or servers, in one table."`
	Live       liveCmd       `cmd:"" help:"Show servers side by side in a browser, while the same clients talk to all."`
	Exp        expCmd        `cmd:"" help:"Predict, see, explain: experiments with servers, clients and the kernel."`
	Lesson     lessonCmd     `cmd:"" help:"Step through a lesson of 50 minutes: what to project, ask and expect."`
	Doctor     doctorCmd     `cmd:"" help:"Tell what this machine allows, and how to get more."`
	Certs      certsCmd      `cmd:"" help:"Make certificates for TLS: a small authority, good ones and wrong ones."`
	Chat       chatCmd       `cmd:"" help:"Talk to a line server from the terminal."`
	Version    versionCmd    `cmd:"" help:"Show what was built, from what, for what."`
	Completion completionCmd `cmd:"" help:"Print the shell code that turns on tab completion."`
	Broken     brokenCmd     `cmd:"" hidden:"" help:"Run a broken server of the collection that the checks are tried on."`

	Color colorFlag `enum:"auto,always,never" default:"auto" help:"Use colour: ${enum}. NO_COLOR and TERM=dumb are honoured."`
}

const description = `Lab is a teaching lab for TCP servers.

The classic ways to serve many clients are one readable page each, under models/. They
all hold the same conversation, and one harness proves that they do.

  lab models                          the pages, in reading order
  lab run --model=select              one of them, as a server
  lab chat                            a client for it, in another terminal
  lab exp                             what readers stumble over: predict, see

Exit codes: 0 all is well; 1 a check failed; 2 it could not run; 3 an
experiment is undecided; 80 the command line is wrong; 130 interrupted.`

// lab runs one command line, and returns the exit code.
func lab(args []string) int {
	var commands grammar
	parser := kong.Must(&commands,
		kong.Name("lab"),
		kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 80, NoExpandSubcommands: true}),
	)
	kongplete.Complete(parser, predictors)
	if len(args) == 0 {
		args = []string{"--help"}
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		complain(err)
		hint(args, err)
		fmt.Fprintf(os.Stderr, "lab: try: lab %s--help\n", commandOf(err))
		return exitCode(err)
	}
	err = roomToWatch(ctx.Selected().Name)
	if err == nil {
		err = ctx.Run(commands.Color)
	}
	if err != nil {
		complain(err)
		if errors.Is(err, exec.ErrNotFound) {
			hint(args, err)
		}
		return exitCode(err)
	}
	return 0
}

// roomToWatch refuses to watch servers with so few descriptors that the Go
// runtime itself could give up: its epoll(7) needs two.
func roomToWatch(command string) error {
	const least = 32
	var files unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files)
	if err != nil || files.Cur >= least || !slices.Contains([]string{"verify", "trace", "bench", "compare", "exp", "live"}, command) {
		return nil
	}
	return fmt.Errorf("this shell allows %d open files, and lab %s needs at least %d; raise the limit: ulimit -n 1024", files.Cur, command, least)
}

// commandOf is the command that a wrong command line meant, with a space.
func commandOf(err error) string {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Selected() != nil {
		return wrong.Context.Selected().Name + " "
	}
	return ""
}

// hint says what a wrong command line may mean.
func hint(args []string, err error) {
	switch {
	case strings.HasPrefix(err.Error(), "--port: "):
		fmt.Fprintln(os.Stderr, "lab: --port is a number up to 65535, such as --port=7000")
		return
	case strings.HasPrefix(err.Error(), "unknown flag --port") && commandOf(err) == "run ":
		fmt.Fprintln(os.Stderr, "lab: did you mean --listen=PORT?")
		return
	}
	for _, arg := range args {
		if slices.Contains(all.Names(), arg) {
			fmt.Fprintf(os.Stderr, "lab: did you mean --model=%s?\n", arg)
			return
		}
	}
}

func complain(err error) {
	if text := err.Error(); text != "" {
		fmt.Fprintf(os.Stderr, "lab: %s\n", text)
	}
}

// exitCode is the code that an error asks for, and 2, could not run, if it does
// not ask.
func exitCode(err error) int {
	var coder kong.ExitCoder
	if errors.As(err, &coder) {
		return coder.ExitCode()
	}
	return 2
}

// An exit ends the lab with a code, and without a message: the command has
// printed its result, or the server has said why it ended.
type exit int

const (
	failed      exit = 1
	couldNotRun exit = 2
	undecided   exit = 3 // the machine was too busy, or did not let us look
	interrupted exit = 130
)

func (exit) Error() string   { return "" }
func (e exit) ExitCode() int { return int(e) }
