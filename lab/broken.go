//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"time"

	"socketlab/lab/broken"
	"socketlab/lab/verify"
)

// brokenCmd runs a server of the collection that the checks are tried on, for
// lab verify --broken.
type brokenCmd struct {
	Name string `arg:"" help:"Which server; lab verify --broken shows all."`
	broken.Certificates
	Port uint16 `arg:"" optional:"" help:"Where to listen. Without it, serve the client on descriptor 3, as a child."`
}

func (cmd *brokenCmd) Run() error {
	server, err := broken.Named(cmd.Name)
	if err != nil {
		return err
	}
	if cmd.Port == 0 {
		server.RunClient()
		return nil
	}
	broken.Own = cmd.Certificates
	return server.Run(cmd.Port)
}

// tryChecks is lab verify --broken: not servers are held to the checks, but
// the checks to servers of which is known what is wrong with them.
func (cmd *verifyCmd) tryChecks(checks []verify.Check) error {
	servers := broken.Servers()
	if len(cmd.Command) > 0 {
		servers = nil
	}
	for _, name := range cmd.Command {
		s, err := broken.Named(name)
		if err != nil {
			return wrong("%v", err)
		}
		servers = append(servers, s)
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	options, err := cmd.options()
	if err != nil {
		return err
	}
	few := len(cmd.Command) == 0 && len(cmd.Check) == 0 && !cmd.All
	if few {
		servers = broken.Some(servers, 24, 12, 4)
		options.Wait = min(options.Wait, 2*time.Second) // many wait in vain
	}
	options.All = true // what a check follows from is not looked for here
	ctx, stop := untilInterrupt()
	defer stop()
	start := time.Now()
	var line progress
	options.Checks = checks
	options.Seed = cmp.Or(cmd.Seed, broken.Seed)
	tell := func(done int) { line.show("verify: %d of %d broken servers", done, len(servers)) }
	findings, err := broken.Hold(ctx, exe, servers, options, tell)
	line.clear()
	switch {
	case ctx.Err() != nil:
		return interrupted
	case err != nil:
		return err
	}
	surprises := 0
	for _, f := range findings {
		surprises += len(f.Surprises)
	}
	if cmd.JSON {
		err = broken.JSON(os.Stdout, findings)
	} else {
		err = written(os.Stdout, func(page io.Writer) {
			broken.Table(page, findings)
			broken.Legend(page, findings)
			fmt.Fprintf(page, "%d broken servers, %d surprises, %.1f s.\n", len(findings), surprises, time.Since(start).Seconds())
			if few {
				fmt.Fprintln(page, "Each met some of the checks; --all plays them all, in a quarter of an hour.")
			}
		})
	}
	if err == nil && surprises > 0 {
		err = failed
	}
	return err
}
