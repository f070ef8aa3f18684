//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"socketlab/lab/live"
	"socketlab/lab/report"
	"socketlab/lab/subject"
	"socketlab/models"
	"socketlab/models/serve/server"
)

type liveCmd struct {
	Model   modelsFlag `predictor:"models" placeholder:"NAME,…" help:"Which models; without it and without a command: blocking, process, goroutine and select."`
	Scene   string     `predictor:"live-scene" placeholder:"NAME" help:"A prepared scene: Space plays its next action. list shows what there is."`
	Step    bool       `help:"Begin with all models held: each waits before its next system call."`
	Replay  string     `placeholder:"FILE" help:"Play a recording: no servers, and no Linux is needed."`
	Record  string     `placeholder:"FILE" help:"Record what happens to a file."`
	Export  string     `placeholder:"FILE.html" help:"Write one page that needs no lab and no network: of --replay, or of --scene, or at the end of the lesson."`
	Listen  string     `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where the page is (${default}); port 0 is any free one."`
	Open    bool       `help:"Let other machines look at the page, and vote. They cannot act."`
	NoOpen  bool       `help:"Open no browser."`
	Lang    string     `enum:"en,zh" default:"en" help:"The language of the page: ${enum}."`
	Command []string   `arg:"" optional:"" help:"A server of your own as one more column: {port} in it is replaced."`
}

func (liveCmd) Help() string {
	return `One page shows up to four servers side by side. What you have a client do, it does
to all of them; the columns show who sleeps in which call, what waits in which queue,
and who got an answer. Everything that is shown was seen; what is inferred is dashed.

Our models can be held before each system call, and stepped. The keys of the page are
behind "?" there; n is a new client, s sends, Space plays the next action of a scene.

Examples:
  lab live                                          four models
  lab live --scene=two-clients                      Space plays the next action
  lab live --model=blocking,epoll -- ./myserver {port}
  lab live --record=lesson.live                     and later:
  lab live --replay=lesson.live --export=lesson.html
  lab live --scene=two-clients --export=page.html   plays by itself, and ends
  lab live --open --listen=:7100                    pupils watch and vote

Exit codes: 0 ended, or exported; 2 it could not run; 80 wrong command line;
130 interrupted before it had begun.`
}

// Validate refuses what the grammar lets pass.
func (cmd *liveCmd) Validate() error {
	switch {
	case cmd.Replay != "" && (len(cmd.Model.models) > 0 || len(cmd.Command) > 0 || cmd.Scene != "" || cmd.Record != ""):
		return errors.New("--replay plays a recording: no --model, command, --scene or --record goes with it")
	case len(cmd.Model.models)+min(1, len(cmd.Command)) > mostColumns:
		return fmt.Errorf("a page has room for %d servers", mostColumns)
	}
	return nil
}

const mostColumns = 6

// pause is what an action has for what it causes, when nobody looks on.
const pause = time.Second

func (cmd *liveCmd) Run() error {
	if cmd.Scene == "list" {
		for _, s := range live.Scenes {
			if _, err := fmt.Printf("%-12s %s\n", s.Name, s.Says.En); err != nil {
				return err
			}
		}
		return nil
	}
	if cmd.Export != "" {
		if err := (report.Target{File: cmd.Export}).Try(); err != nil {
			return err
		}
	}
	if cmd.Replay != "" {
		return cmd.replay()
	}
	o, err := cmd.options()
	if err != nil {
		return err
	}
	ctx, stop := untilInterrupt()
	defer stop()
	if cmd.Export != "" && cmd.Scene != "" {
		fmt.Fprintf(os.Stderr, "plays %s, without a browser\n", cmd.Scene)
		r, err := live.Play(ctx, o, pause)
		if ctx.Err() != nil {
			return interrupted
		}
		if err != nil {
			return err
		}
		return cmd.export(r)
	}
	r, err := live.Watch(ctx, o, cmd.place(), cmd.announce)
	if err != nil || cmd.Export == "" {
		return err
	}
	return cmd.export(r)
}

func (cmd *liveCmd) options() (live.Options, error) {
	o := live.Options{Scene: cmd.Scene, Step: cmd.Step, Record: cmd.Record, Sources: map[string]string{}}
	chosen := cmd.Model
	if len(chosen.models) == 0 && len(cmd.Command) == 0 {
		if err := chosen.UnmarshalText([]byte("blocking,process,goroutine,select")); err != nil {
			return o, err
		}
	}
	all, err := chosen.chosen(cmd.Command)
	if err != nil {
		return o, err
	}
	for _, m := range all {
		spec, err := subject.Model(m)
		if err != nil {
			return o, err
		}
		o.Servers = append(o.Servers, spec)
		text, err := models.Source.ReadFile(strings.TrimPrefix(m.Page(), "models/"))
		if err != nil {
			return o, err
		}
		o.Sources[m.Page()] = string(text)
	}
	if len(cmd.Command) > 0 {
		o.Servers = append(o.Servers, subject.Spec{Name: filepath.Base(cmd.Command[0]), Kind: "command", Command: cmd.Command})
	}
	var names []string
	for _, s := range o.Servers {
		names = append(names, s.Name)
	}
	o.Title = strings.Join(names, ", ")
	return o, nil
}

func (cmd *liveCmd) replay() error {
	file, err := os.Open(cmd.Replay)
	if err != nil {
		return err
	}
	defer file.Close()
	r, cut, err := live.Read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.Replay, err)
	}
	if cut {
		fmt.Fprintf(os.Stderr, "lab: %s ends in the middle of a line; what is whole is played\n", cmd.Replay)
	}
	if cmd.Export != "" {
		return cmd.export(r)
	}
	ctx, stop := untilInterrupt()
	defer stop()
	return live.Replay(ctx, r, cmd.place(), cmd.announce)
}

func (cmd *liveCmd) export(r live.Recording) error {
	var page bytes.Buffer
	if err := r.Export(&page); err != nil {
		return err
	}
	if err := (report.Target{File: cmd.Export}).Write(page.Bytes()); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s: %d events, opens in any browser\n", cmd.Export, len(r.Events))
	return nil
}

// place is where the page is to be.
func (cmd *liveCmd) place() live.Place {
	return live.Place{Listen: cmd.Listen, Open: cmd.Open, Addresses: server.Addresses()}
}

// announce says where the page is, and opens it where somebody can see it.
func (cmd *liveCmd) announce(at live.Addresses) {
	address := at.Teacher
	if cmd.Lang != "en" {
		address += "?lang=" + cmd.Lang
	}
	fmt.Printf("%s\n", address)
	for _, class := range at.Class[1:] {
		fmt.Fprintf(os.Stderr, "for the class, to watch and vote:  %s\n", class)
	}
	fmt.Fprintln(os.Stderr, "Ctrl-C ends it.")
	if cmd.NoOpen || os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return
	}
	if opener, err := exec.LookPath("xdg-open"); err == nil {
		exec.CommandContext(context.Background(), opener, address).Start()
	}
}
