//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/term"

	"socketlab/docs"
	"socketlab/lab/experiment"
	"socketlab/lab/text"
)

type lessonCmd struct {
	Number int  `arg:"" optional:"" help:"Which lesson, 1 to 5; without it, the list."`
	Yes    bool `help:"Run every command, and do not wait for Enter."`
}

func (lessonCmd) Help() string {
	return `A lesson is 50 minutes: what to project and when, what to ask, the usual wrong
answers and why, homework with the command that grades it. The text is
docs/lessons. Enter runs the command that is shown; s skips it, q ends.

Examples:
  lab lesson                  the list
  lab lesson 1                step by step
  lab lesson 1 --yes          all of it, to try it beforehand`
}

func (cmd *lessonCmd) Validate() error {
	if cmd.Number < 0 || cmd.Number >= len(experiment.Lessons) {
		return fmt.Errorf("there are lessons 1 to %d", len(experiment.Lessons)-1)
	}
	return nil
}

func (cmd *lessonCmd) Run() error {
	if cmd.Number == 0 {
		return written(os.Stdout, func(page io.Writer) {
			for n := 1; n < len(experiment.Lessons); n++ {
				fmt.Fprintf(page, "%d  %-22s docs/lessons/%d.md\n", n, experiment.Lessons[n], n)
			}
		})
	}
	page, err := docs.Lessons.ReadFile(fmt.Sprintf("lessons/%d.md", cmd.Number))
	if err != nil {
		return err
	}
	if !cmd.Yes && (!term.IsTerminal(0) || !term.IsTerminal(1)) {
		return wrong("a lesson waits for Enter at a terminal; say --yes to run all of it")
	}
	ctx, stop := untilInterrupt()
	defer stop()
	err = cmd.step(ctx, string(page))
	if errors.Is(err, errLeft) {
		return nil
	}
	return err
}

// errLeft is a teacher who says q.
var errLeft = errors.New("the lesson was left")

// step shows a page paragraph by paragraph, and runs the commands that stand in
// its blocks of sh.
func (cmd *lessonCmd) step(ctx context.Context, page string) error {
	keyboard := bufio.NewReader(os.Stdin)
	fence := ""
	for paragraph := range strings.SplitSeq(page, "\n\n") {
		lines := strings.Split(strings.TrimSpace(paragraph), "\n")
		if first, isFence := strings.CutPrefix(lines[0], "```"); isFence {
			fence = first
			for _, line := range lines[1 : len(lines)-1] {
				if fence != "sh" {
					fmt.Println("    " + line)
				} else if err := cmd.offer(ctx, keyboard, line); err != nil {
					return err
				}
			}
		} else {
			fmt.Println(spoken(lines))
		}
		fmt.Println()
	}
	return nil
}

// spoken is a paragraph for a terminal.
func spoken(lines []string) string {
	quoted := strings.HasPrefix(lines[0], "> ")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "> ")
	}
	said := strings.Join(lines, " ")
	switch {
	case quoted:
		return "  | " + text.Prose(said, "  | ", 76)
	case strings.HasPrefix(said, "#"):
		return strings.TrimLeft(said, "# ")
	}
	return text.Prose(said, "", 80)
}

// offer shows a command, and runs it if the teacher wants.
func (cmd *lessonCmd) offer(ctx context.Context, keyboard *bufio.Reader, line string) error {
	fmt.Printf("$ %s", line)
	if cmd.Yes {
		fmt.Println()
	} else {
		fmt.Print("   [Enter, s, q] ")
		answered := make(chan string, 1)
		go func() {
			answer, err := keyboard.ReadString('\n')
			if err != nil {
				answer = "q"
			}
			answered <- strings.TrimSpace(answer)
		}()
		select {
		case <-ctx.Done():
			return interrupted
		case answer := <-answered:
			switch answer {
			case "s":
				return nil
			case "q":
				return errLeft
			}
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	shell := exec.CommandContext(ctx, "/bin/sh", "-c", strings.Replace(line, "lab ", `"$LAB" `, 1))
	shell.Env = append(os.Environ(), "LAB="+exe)
	shell.Stdin, shell.Stdout, shell.Stderr = os.Stdin, os.Stdout, os.Stderr
	var ended *exec.ExitError
	err = shell.Run()
	if ctx.Err() != nil {
		return interrupted
	}
	if err != nil && !errors.As(err, &ended) {
		return err // a verdict is no reason to stop
	}
	return nil
}
