//go:build linux

package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"

	"golang.org/x/term"

	"socketlab/lab/diagram"
	"socketlab/lab/trace"
)

// watch is lab trace --watch: no scene is played, but a person plays. What is
// drawn as it grows goes to standard output, unless that is for the file of
// another format.
func (cmd *traceCmd) watch(color colorFlag) error {
	servers, err := cmd.servers(trace.Scene{Name: "watch", Service: cmd.Service})
	if err != nil {
		return err
	}
	spec := servers[0]
	saves := cmd.Output != "" || cmd.Format != "text"
	style := color.style()
	w := trace.Watching{
		Server: spec,
		Screen: os.Stdout,
		Keep:   saves,
		Style:  diagram.Style{Color: style.Color, Width: style.Width},
		Begins: func(at netip.AddrPort, missing []string) {
			fmt.Fprintf(os.Stderr, "%s listens on %s. Ctrl-C ends it.\n", spec.Name, at)
			for _, what := range missing {
				fmt.Fprintf(os.Stderr, "missing: %s\n", what)
			}
			fmt.Fprintf(os.Stderr, "try:  nc %s %d\n", at.Addr(), at.Port())
		},
	}
	if saves && cmd.Output == "" {
		w.Screen, w.Style.Color = os.Stderr, false
	}
	if cmd.Service == "talk" && term.IsTerminal(0) {
		w.Keyboard = io.Reader(os.Stdin)
	}
	ctx, stop := untilInterrupt()
	defer stop()
	recording, err := trace.Watch(ctx, w)
	if err != nil && ctx.Err() != nil { // before it had begun
		return interrupted
	}
	if err != nil || !saves {
		return err
	}
	return cmd.save([]trace.Recording{recording}, color)
}
