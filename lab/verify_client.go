//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"socketlab/lab/report"
	"socketlab/lab/verify/client"
)

// runClient is lab verify --client.
func (cmd *verifyCmd) runClient(color colorFlag) error {
	checks := client.Select(cmd.Check)
	if len(checks) == 0 {
		return wrong("--check=%v matches none; lab verify --client --list shows all", cmd.Check)
	}
	if cmd.List {
		return written(os.Stdout, func(page io.Writer) {
			for _, c := range checks {
				fmt.Fprintf(page, "%-22s %-6s  %s\n", c.ID, c.Level, c.Says)
			}
		})
	}
	if err := report.VerifyFormats.Try(cmd.Report); err != nil {
		return err
	}
	ctx, stop := untilInterrupt()
	defer stop()
	start := time.Now()
	var line progress
	result, err := client.Verify(ctx, cmd.Command, checks, client.Options{
		Wait:     cmd.Timeout,
		Together: 2 * runtime.GOMAXPROCS(0),
		Progress: func(done int) { line.show("verify: %d of %d checks", done, len(checks)) },
	})
	line.clear()
	if ctx.Err() != nil {
		return interrupted
	}
	if err != nil {
		return err
	}
	return cmd.tell(result, start, color)
}
