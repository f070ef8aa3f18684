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
	Model   modelsFlag    `predictor:"models" placeholder:"NAME,…" help:"Which model; several, and a command, are drawn side by side. lab models lists them."`
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
  lab trace --model=blocking,process --scene=two-clients  the same, side by side
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
	servers, err := cmd.servers(scene)
	if err != nil {
		return err
	}
	ctx, stop := untilInterrupt()
	defer stop()
	var recordings []trace.Recording
	for _, spec := range servers {
		recording, err := trace.Record(ctx, trace.Options{Scene: scene.Name, Server: spec, Timeout: cmd.Timeout, TLS: cmd.secrets()})
		if ctx.Err() != nil {
			return interrupted
		}
		if err != nil {
			return err
		}
		recordings = append(recordings, recording)
	}
	return cmd.save(recordings, color)
}

// save puts the recordings where they go.
func (cmd *traceCmd) save(recordings []trace.Recording, color colorFlag) error {
	var drawn bytes.Buffer
	if err := cmd.draw(&drawn, recordings, color); err != nil {
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

// servers are how to start those that the scene is played with.
func (cmd *traceCmd) servers(scene trace.Scene) (servers []subject.Spec, err error) {
	if len(cmd.Command) > 0 && scene.Service != cmd.Service {
		return nil, wrong("the scene %s needs a server of the service %s; if the command is one, say --service=%s", scene.Name, scene.Service, scene.Service)
	}
	if len(cmd.Command) > 0 && scene.TLS && cmd.TLS == "" {
		return nil, wrong("the scene %s is over TLS: say with --tls=CA who has signed the command's certificate; lab certs makes both", scene.Name)
	}
	flags := []string{"--service=" + scene.Service}
	if scene.Backlog > 0 {
		flags = append(flags, "--backlog="+strconv.Itoa(scene.Backlog))
	}
	for _, model := range cmd.Model.models {
		if model.TLS != scene.TLS {
			return nil, wrong("the scene %s is not for the model %s: the scenes tls-… are played over TLS, by --model=tls, and the others over TCP", scene.Name, model.Name)
		}
		spec, err := subject.Model(model, flags...)
		if err != nil {
			return nil, err
		}
		servers = append(servers, spec)
	}
	if len(cmd.Command) > 0 {
		servers = append(servers, subject.Spec{Name: filepath.Base(cmd.Command[0]), Kind: "command", Limit: cmd.Limit, Command: cmd.Command})
	}
	single := ""
	switch {
	case cmd.Watch:
		single = "--watch"
	case cmd.Port != 0:
		single = "--port"
	case cmd.Format == "perfetto" || cmd.Format == "pcapng":
		single = "--format=" + cmd.Format
	}
	switch {
	case len(servers) == 0:
		return nil, wrong("which server? say --model=NAME, or give a command after --; there are %s", strings.Join(all.Names(), ", "))
	case len(servers) > 1 && single != "":
		return nil, wrong("%s is for one server, and %d are given", single, len(servers))
	}
	servers[0].Port = cmd.Port
	return servers, nil
}

// secrets are what the clients of a command know of TLS. For a model they are
// made.
func (cmd *traceCmd) secrets() *certs.Client {
	if cmd.TLS == "" {
		return nil
	}
	return &certs.Client{CA: cmd.TLS, Cert: cmd.Cert, Key: cmd.Key}
}

// draw writes the recordings in the format that was asked for: several side by
// side.
func (cmd *traceCmd) draw(w io.Writer, recordings []trace.Recording, color colorFlag) error {
	style := color.style()
	drawn := diagram.Style{Color: style.Color && cmd.Output == "", Width: style.Width}
	var sides diagram.Sides
	for _, r := range recordings {
		sides = append(sides, r.Trace)
	}
	one, several := recordings[0].Trace, len(sides) > 1
	switch {
	case cmd.Format == "mermaid" && several:
		return sides.Mermaid(w)
	case cmd.Format == "mermaid":
		return one.Mermaid(w)
	case cmd.Format == "svg" && several:
		return sides.SVG(w)
	case cmd.Format == "svg":
		return one.SVG(w, drawn)
	case cmd.Format == "json" && several:
		return sides.JSON(w)
	case cmd.Format == "json":
		return one.JSON(w)
	case cmd.Format == "perfetto":
		return one.Perfetto(w)
	case cmd.Format == "pcapng":
		return recordings[0].PCAPNG(w)
	case several:
		return sides.Text(w, drawn)
	}
	return one.Text(w, drawn)
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
