//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"socketlab/lab/experiment"
	"socketlab/lab/report"
	"socketlab/lab/trace"
)

type expCmd struct {
	Name     string          `arg:"" optional:"" predictor:"experiment" help:"Which experiment, or all; without it, the list."`
	Predict  string          `placeholder:"LETTER" help:"Your prediction. Without it you are asked, at a terminal."`
	Seed     uint64          `default:"1" placeholder:"N" help:"Which variant (${default}): other numbers, and the answers in another order."`
	Key      bool            `help:"Show the answer that belongs to the seed, and run nothing: for teachers."`
	Model    modelsFlag      `predictor:"models" placeholder:"NAME,…" help:"Which models are the columns, where the experiment is about models."`
	Repaired bool            `help:"Run it with the bug mended."`
	ShowBug  bool            `help:"Show what is wrong in the program, and what is right, and run nothing."`
	JSON     bool            `name:"json" help:"Print one JSON document, schema lab.exp/1."`
	Report   []report.Target `sep:"none" placeholder:"html=FILE" help:"Write a page for the browser, too. FILE - is standard output."`
	Slide    bool            `help:"Make the page for a projector: large type, one screen for each experiment."`
	Here     string          `hidden:"" enum:",private,shared" default:"" help:"Run it in this process, in a network that is private or shared."`
	Because  string          `hidden:"" help:"Why the network is shared."`
	Command  []string        `arg:"" optional:"" help:"A server of your own as one more column: {port} in it is replaced."`
}

func (expCmd) Help() string {
	return `An experiment asks a question. You predict; then it happens, with real programs and
the real kernel, and the answer comes with what was measured. It runs in a network
namespace of its own where the machine allows one, and takes 15 s at most.

Examples:
  lab exp                                 the list, by lesson, with times
  lab exp waiting-room                    asks, runs, tells
  lab exp waiting-room --predict=b --model=blocking,select
  lab exp waiting-room -- ./myserver {port}    your server beside them
  lab exp zombies --seed=7                another variant of the question
  lab exp zombies --seed=7 --key          its answer
  lab exp zombies --show-bug              the lines that are wrong
  lab exp zombies --repaired              the same without them
  lab exp all --report=html=exp.html --slide

Exit codes: 0 what was seen is what the text says; 1 it is not; 2 it could not run,
or not on this machine; 3 undecided: the machine was too busy; 80 wrong command
line; 130 interrupted.`
}

// Validate refuses what the grammar lets pass.
func (cmd *expCmd) Validate() error {
	switch {
	case noCommand(cmd.Command) != nil:
		return noCommand(cmd.Command)
	case cmd.Slide && len(cmd.Report) == 0:
		return errors.New("--slide is for a page: add --report=html=FILE")
	}
	return experiment.Formats(cmd.Slide).Check(cmd.Report, cmd.JSON)
}

func (cmd *expCmd) Run(color colorFlag) error {
	chosen, err := cmd.chosen()
	switch {
	case err != nil:
		return err
	case cmd.Name == "":
		return written(os.Stdout, experiment.List)
	case cmd.ShowBug:
		return written(os.Stdout, chosen[0].ShowBug)
	case cmd.Key:
		return written(os.Stdout, func(page io.Writer) {
			for _, e := range chosen {
				fmt.Fprint(page, e.Key(cmd.Seed))
			}
		})
	}
	if err := experiment.Formats(cmd.Slide).Try(cmd.Report); err != nil {
		return err
	}
	ctx, stop := untilInterrupt()
	defer stop()
	document, err := cmd.runAll(ctx, chosen)
	if ctx.Err() != nil {
		return interrupted
	}
	if err != nil {
		return err
	}
	err = experiment.Formats(cmd.Slide).Save(document, cmd.Report)
	if cmd.JSON {
		err = errors.Join(err, document.JSON(os.Stdout))
	}
	return cmp.Or(err, expVerdict(document))
}

// chosen are the experiments that are meant, if what is asked can be asked of
// them.
func (cmd *expCmd) chosen() (chosen []experiment.Experiment, err error) {
	if cmd.Name == "" || cmd.Name == "all" {
		chosen = experiment.All
	} else if e, found := experiment.Find(cmd.Name); found {
		chosen = append(chosen, e)
	} else {
		return nil, wrong("no experiment %q; there are %s", cmd.Name, strings.Join(experiment.Names(), ", "))
	}
	one := len(chosen) == 1
	switch e := chosen[0]; {
	case !one && (cmd.ShowBug || cmd.Repaired || cmd.Predict != "" || len(cmd.Model.models) > 0 || len(cmd.Command) > 0):
		return nil, wrong("--predict, --model, --repaired, --show-bug and a command are for one experiment: name it")
	case one && (cmd.ShowBug || cmd.Repaired) && e.Bug == experiment.Bug{}:
		return nil, wrong("%s has no bug in it: leave out --repaired and --show-bug", e.Name)
	case one && len(cmd.Model.models) > 0 && e.Models == nil:
		return nil, wrong("%s is not about models: leave out --model", e.Name)
	case one && len(cmd.Command) > 0 && !e.Own:
		return nil, wrong("%s has no place for a server of your own", e.Name)
	case one && cmd.Predict != "":
		if _, err := e.Variant(cmd.Seed).Choose(cmd.Predict); err != nil {
			return nil, wrong("--predict=%v", err)
		}
	}
	for _, m := range cmd.Model.models {
		if err := m.Runs(); err != nil {
			return nil, err
		}
	}
	return chosen, nil
}

// runAll runs them one after the other, and tells of each at once.
func (cmd *expCmd) runAll(ctx context.Context, chosen []experiment.Experiment) (document experiment.Document, err error) {
	out := besides(cmd.Report)
	if cmd.JSON {
		out = nil
	}
	for i, e := range chosen {
		predicted := strings.ToLower(cmd.Predict)
		if out != nil {
			if err := written(out, func(page io.Writer) { e.Variant(cmd.Seed).Asked(page, e.Name) }); err != nil {
				return document, err
			}
			if predicted == "" && len(chosen) == 1 {
				if predicted, err = ask(ctx, e.Variant(cmd.Seed)); err != nil {
					return document, err
				}
			}
		}
		var line progress
		if len(chosen) == 1 {
			line.show("%s: about %s", e.Name, experiment.Took(e.Takes))
		} else {
			line.show("%s, %d of %d: about %s", e.Name, i+1, len(chosen), experiment.Took(e.Takes))
		}
		result, err := cmd.run(ctx, e)
		line.clear()
		if err != nil {
			return document, err
		}
		result.Prediction = predicted
		document.Experiments = append(document.Experiments, result)
		if out == nil {
			continue
		}
		if err := written(out, func(page io.Writer) {
			result.Told(page, e)
			if i+1 < len(chosen) {
				fmt.Fprintln(page)
			}
		}); err != nil {
			return document, err
		}
	}
	return document, nil
}

// ask asks for a prediction, if somebody is there to be asked.
func ask(ctx context.Context, q experiment.Question) (letter string, err error) {
	if !term.IsTerminal(0) || !term.IsTerminal(1) {
		return "", nil
	}
	keyboard := bufio.NewReader(os.Stdin)
	for {
		fmt.Printf("your prediction [a–%s, Enter to skip]: ", experiment.Letter(len(q.Says)-1))
		line := make(chan string, 1)
		go func() {
			text, _ := keyboard.ReadString('\n')
			line <- strings.ToLower(strings.TrimSpace(text))
		}()
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case letter = <-line:
		}
		if _, err := q.Choose(letter); err == nil || letter == "" {
			return letter, nil
		}
	}
}

// run runs one experiment, in a network namespace of its own if there may be
// one. It is another lab that runs it there.
func (cmd *expCmd) run(ctx context.Context, e experiment.Experiment) (result experiment.Result, err error) {
	if cmd.Here != "" {
		return cmd.runHere(ctx, e)
	}
	args := []string{"exp", e.Name, "--json", "--here=private", "--seed=" + strconv.FormatUint(cmd.Seed, 10)}
	if cmd.Repaired {
		args = append(args, "--repaired")
	}
	for _, m := range cmd.Model.models {
		args = append(args, "--model="+m.Name)
	}
	if len(cmd.Command) > 0 {
		args = append(append(args, "--"), cmd.Command...)
	}
	answer, err := trace.Inside(ctx, args...)
	if noNamespace(err) {
		shared := *cmd
		shared.Here, shared.Because = "shared", err.Error()
		return shared.runHere(ctx, e)
	}
	if err != nil {
		return result, err
	}
	var document experiment.Document
	if err := json.Unmarshal(answer, &document); err != nil {
		return result, fmt.Errorf("in a namespace: %w: %s", err, answer)
	}
	if len(document.Experiments) != 1 {
		return result, errors.New("in a namespace: no result")
	}
	return document.Experiments[0], nil
}

// noNamespace reports whether the machine allows no namespace.
func noNamespace(err error) bool {
	return slices.ContainsFunc([]error{unix.EPERM, unix.EACCES, unix.ENOSPC, unix.ENOSYS, unix.EINVAL, unix.EUSERS},
		func(why error) bool { return errors.Is(err, why) })
}

func (cmd *expCmd) runHere(ctx context.Context, e experiment.Experiment) (experiment.Result, error) {
	exe, err := os.Executable()
	if err != nil {
		return experiment.Result{}, err
	}
	o := experiment.Options{Seed: cmd.Seed, Command: cmd.Command, Repaired: cmd.Repaired, Lab: exe}
	for _, m := range cmd.Model.models {
		o.Models = append(o.Models, m.Name)
	}
	if cmd.Here == "shared" {
		o.Private = errors.New(cmd.Because)
	}
	return e.Do(ctx, o), nil
}

// expVerdict is the exit code of a document, as an error.
func expVerdict(document experiment.Document) error {
	status := map[experiment.Status]bool{}
	for _, r := range document.Experiments {
		status[r.Status] = true
	}
	switch {
	case status[experiment.Contradicts]:
		return failed
	case status[experiment.Failed], status[experiment.Missing]:
		return couldNotRun
	case status[experiment.Undecided]:
		return undecided
	}
	return nil
}
