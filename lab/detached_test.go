//go:build linux

package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// detaches is an echo server that leaves for each client a process of its own:
// in a session of its own, with an empty environment, and init(1) for a parent.
func detaches() {
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		os.Exit(1)
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		exec.Command("setsid", "--fork", "env", "-i", "sleep", "61.5").Run()
		go func() {
			io.Copy(conn, conn)
			conn.Close()
		}()
	}
}

// Whoever hides like that is seen by the checks, and does not stay.
func TestDetachedChildrenAreSeen(t *testing.T) {
	verify := enters(t, exec.Command("lab", "verify", "--timeout=1s", "--check=life/children", "--", "detaches", "{port}"))
	select {
	case <-verify.ended:
	case <-time.After(3 * patience):
		t.Fatalf("%v does not end", verify)
	}
	verify.leaves(1)
	if text := verify.screen.all(); !strings.Contains(text, "zombies among 21 processes") {
		t.Errorf("it printed %q, and does not tell of the processes", text)
	}
	left := processes(t, func(p procfs.Proc, _ procfs.ProcStat) bool {
		args, _ := p.CmdLine()
		return strings.Join(args, " ") == "sleep 61.5"
	})
	if len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}
