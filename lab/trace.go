//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"socketlab/lab/certs"
	"socketlab/lab/diagram"
	"socketlab/lab/report"
	"socketlab/lab/subject"
	"socketlab/lab/trace"
	"socketlab/models/all"
)

type traceCmd struct {
	Model   modelFlag     `predictor:"model" placeholder:"NAME" help:"Which model; lab models lists them."`
	Scene   string        `default:"open" predictor:"scene" placeholder:"NAME" help:"What to play (${default}); list shows what there is."`
	Watch   bool          `help:"Play no scene: draw what happens while you play with the server, until Ctrl-C."`
	Port    uint16        `placeholder:"PORT" help:"Which port the server gets; without it, a free one."`
	Format  string        `enum:"text,mermaid,svg,json,pcapng,perfetto" default:"text" help:"How to draw it: ${enum} (${default})."`
	Output  string        `short:"o" placeholder:"FILE" help:"Where to write it, instead of standard output."`
	Service string        `enum:"echo,talk" default:"echo" help:"What the command serves: echo or talk (${default})."`
	TLS     string        `name:"tls" placeholder:"CA" help:"For the scenes over TLS, if a command serves: who has signed its certificate, a file in PEM."`
	Cert    string        `placeholder:"FILE" help:"TLS: the certificate of the scene's client, if the command asks for one, with --key."`
	Key     string        `placeholder:"FILE" help:"TLS: the key of --cert."`
	Limit   int           `placeholder:"N" help:"How many clients the command serves at once by design; 0, the default: no limit."`
	Timeout time.Duration `default:"10s" placeholder:"TIME" help:"How long the scene may take (${default}); what was seen until then is drawn."`
	Command []string      `arg:"" optional:"" help:"Any server: {port} in it is replaced. Without it, the port is appended; PORT is set too."`
}

func (traceCmd) Help() string {
	return `A scene is a short conversation, played by real clients over loopback. Nothing is
drawn that was not seen; what had to be inferred is dashed, and says so. How much can
be seen on this machine, lab doctor tells.

Examples:
  lab trace --scene=list
  lab trace --model=select                                the three-way handshake
  lab trace --model=blocking --scene=two-clients          who waits where
  lab trace --scene=close-late --format=svg -o late.svg -- ./server {port}
  lab trace --model=poll --scene=echo --format=pcapng -o echo.pcapng   for Wireshark
  lab trace --model=tls --scene=tls-open                  who sees what of TLS
  lab trace --watch -- ./server {port}                    and nc in another terminal
  lab trace --watch --model=select --service=talk         you are the operator

With --watch, Ctrl-C ends the server and the diagram; with -o, what was seen is
saved then.

Exit codes: 0 drawn; 2 it could not run; 80 wrong command line; 130 interrupted.`
}

// Validate refuses what the grammar lets pass.
func (cmd *traceCmd) Validate() error {
	switch {
	case cmd.Timeout <= 0:
		return errors.New("--timeout is a time to wait, such as 10s; it must be positive")
	case cmd.Limit < 0:
		return errors.New("--limit is a number of clients; it cannot be negative")
	}
	return together(cmd.Cert, cmd.Key)
}

func (cmd *traceCmd) Run(color colorFlag) error {
	if cmd.Scene == "list" {
		return listScenes()
	}
	if err := cmd.hasRoom(); err != nil {
		return err
	}
	if cmd.Watch {
		return cmd.watch(color)
	}
	scene, found := trace.Find(cmd.Scene)
	if !found {
		return wrong("no scene %q; there are %s", cmd.Scene, strings.Join(sceneNames(), ", "))
	}
	spec, err := cmd.server(scene)
	if err != nil {
		return err
	}
	spec.Port = cmd.Port
	ctx, stop := untilInterrupt()
	defer stop()
	recording, err := trace.Record(ctx, trace.Options{
		Scene: scene.Name, Server: spec, Calls: trace.BestCalls(spec), Timeout: cmd.Timeout, TLS: cmd.secrets(),
	})
	if ctx.Err() != nil {
		return interrupted{}
	}
	if err != nil {
		return err
	}
	return cmd.save(recording, color)
}

// save puts the recording where it goes.
func (cmd *traceCmd) save(recording trace.Recording, color colorFlag) error {
	var drawn bytes.Buffer
	if err := cmd.draw(&drawn, recording, color); err != nil {
		return err
	}
	if cmd.Output == "" {
		_, err := os.Stdout.Write(drawn.Bytes())
		return err
	}
	return report.Target{File: cmd.Output}.Write(drawn.Bytes())
}

// hasRoom finds out before anything is recorded that the output has no place.
func (cmd *traceCmd) hasRoom() error {
	if cmd.Output == "" {
		return nil
	}
	return report.Target{File: cmd.Output}.Try()
}

// server is how to start what the scene is played with.
func (cmd *traceCmd) server(scene trace.Scene) (subject.Spec, error) {
	model := cmd.Model.Model
	switch {
	case len(cmd.Command) > 0 && model.Serve != nil:
		return subject.Spec{}, wrong("one diagram shows one server: --model=%s or the command, not both", model.Name)
	case len(cmd.Command) > 0 && scene.Service != cmd.Service:
		return subject.Spec{}, wrong("the scene %s needs a server of the service %s; if the command is one, say --service=%s", scene.Name, scene.Service, scene.Service)
	case len(cmd.Command) > 0 && scene.TLS && cmd.TLS == "":
		return subject.Spec{}, wrong("the scene %s is over TLS: say with --tls=CA who has signed the command's certificate; lab certs makes both", scene.Name)
	case len(cmd.Command) > 0:
		return subject.Spec{Name: filepath.Base(cmd.Command[0]), Kind: "command", Limit: cmd.Limit, Command: cmd.Command}, nil
	case model.Serve == nil:
		return subject.Spec{}, wrong("which server? say --model=NAME, or give a command after --; there are %s", strings.Join(all.Names(), ", "))
	}
	if model.TLS != scene.TLS {
		return subject.Spec{}, wrong("the scene %s is not for the model %s: the scenes tls-… are played over TLS, by --model=tls, and the others over TCP", scene.Name, model.Name)
	}
	flags := []string{"--service=" + scene.Service}
	if scene.Backlog > 0 {
		flags = append(flags, "--backlog="+strconv.Itoa(scene.Backlog))
	}
	return subject.Model(model, flags...)
}

// secrets are what the clients of a command know of TLS. For a model they are
// made.
func (cmd *traceCmd) secrets() *certs.Client {
	if cmd.TLS == "" {
		return nil
	}
	return &certs.Client{CA: cmd.TLS, Cert: cmd.Cert, Key: cmd.Key}
}

// draw writes the recording in the format that was asked for.
func (cmd *traceCmd) draw(w io.Writer, r trace.Recording, color colorFlag) error {
	style := color.style()
	drawn := diagram.Style{Color: style.Color && cmd.Output == "", Width: style.Width}
	switch cmd.Format {
	case "mermaid":
		return r.Trace.Mermaid(w)
	case "svg":
		return r.Trace.SVG(w, drawn)
	case "json":
		return r.Trace.JSON(w)
	case "perfetto":
		return r.Trace.Perfetto(w)
	case "pcapng":
		return r.PCAPNG(w)
	}
	return r.Trace.Text(w, drawn)
}

func listScenes() error {
	var list strings.Builder
	for _, s := range trace.AllScenes() {
		service := ""
		if s.Service != "echo" {
			service = " (service " + s.Service + ")"
		}
		fmt.Fprintf(&list, "%-13s %s%s\n", s.Name, s.Shows, service)
	}
	_, err := os.Stdout.WriteString(list.String())
	return err
}

func sceneNames() (names []string) {
	for _, s := range trace.AllScenes() {
		names = append(names, s.Name)
	}
	return names
}
