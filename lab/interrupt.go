//go:build linux

package main

import (
	"context"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/subject"
)

// After the first signal the servers may end by themselves for this long, and
// the lab has this long to print what is known and end.
const (
	serversEnd = 1 * time.Second
	labEnds    = 1800 * time.Millisecond
)

// untilInterrupt is a context that ends at Ctrl-C, when kill(1) asks for it, or
// when the terminal is closed: all commands that take long have it from here.
// Then the command ends within 2 s, even if a server hangs, or nobody reads our
// output. A second signal has its default effect: the lab is
// gone at once, and the supervisors end the servers.
func untilInterrupt() (ctx context.Context, stop context.CancelFunc) {
	asked := []os.Signal{unix.SIGINT, unix.SIGTERM}
	if !signal.Ignored(unix.SIGHUP) { // as with nohup(1)
		asked = append(asked, unix.SIGHUP)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, asked...)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-ctx.Done():
			signal.Reset(asked...)
		case <-signals:
			signal.Reset(asked...)
			time.AfterFunc(serversEnd, subject.KillAll)
			time.AfterFunc(labEnds, func() { os.Exit(interrupted.ExitCode()) })
			cancel()
		}
	}()
	return ctx, cancel
}
