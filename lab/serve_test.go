//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// build makes both programs, side by side as make does, and returns the folder.
func build(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	cmd := exec.Command("go", "build", "-o", folder+"/", ".", "../models/serve")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return folder
}

// lab run becomes serve where that stands beside it, and nobody sees a
// difference: the same process, announcement, errors, and exit codes.
func TestRunBecomesServe(t *testing.T) {
	folder := build(t)
	run := func(args ...string) *actor {
		return enters(t, exec.Command(filepath.Join(folder, "lab"), append([]string{"run", "--listen=0"}, args...)...))
	}
	server := run("--model=process", "--work=1ms", "--grace=1m")
	addr := server.opens()
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", server.pid()))
	if err != nil || filepath.Base(exe) != "serve" {
		t.Errorf("the server is %s, %v; want serve", exe, err)
	}
	client := dial(t, addr)
	echoes(t, client, "hello\n")
	_, port, _ := strings.Cut(addr, ":")
	second := enters(t, exec.Command(filepath.Join(folder, "lab"), "run", "--model=poll", "--listen="+port))
	second.leaves(2)
	want := fmt.Sprintf("lab: port %s is in use (pid %d, \"serve\"); choose another with --listen, or 0 for any\n", port, server.pid())
	if got := second.notes.all(); got != want {
		t.Errorf("another server says %q, want %q", got, want)
	}
	server.gets(unix.SIGINT)
	server.notesThat("lab: no new clients; those who are here have 1m0s; once more ends it now\n")
	server.gets(unix.SIGINT)
	server.leaves(130)
	if all := server.notes.all(); !strings.HasPrefix(all, "process on "+addr+", service echo, 1ms of work a message, no limit of clients. Ctrl-C stops it.\n") {
		t.Errorf("it announced itself as %q", all)
	}
	client.SetReadDeadline(time.Now().Add(patience))
	if rest, _ := io.ReadAll(client); len(rest) > 0 {
		t.Errorf("the client got %q at the end", rest)
	}
}

// Serve alone tells what is wrong, as lab does.
func TestServeAlone(t *testing.T) {
	serve := filepath.Join(build(t), "serve")
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"--model=nine", 80, `serve: --model: no model "nine"; there are `},
		{"--model=poll --listen=:7000", 80, "serve: --listen=:7000 would let other machines in; say --open"},
		{"--model=poll --grace=-1s", 80, "cannot be negative"},
		{"--model=poll --service=chat", 80, `serve: no service "chat"; there are echo, talk`},
		{"--model=poll here", 80, "serve: unexpected argument here"},
		{"--modle=poll", 80, "not defined: -modle; serve --help lists the flags"},
		{"--model=poll --listen=192.0.2.1:7000 --open", 2, "is not an address of this machine"},
	} {
		server := enters(t, exec.Command(serve, strings.Fields(test.args)...))
		server.leaves(test.code)
		if got := server.notes.all(); !strings.Contains(got, test.says) || server.screen.all() != "" {
			t.Errorf("serve %s says %q, and %q on standard output; want %q", test.args, got, server.screen.all(), test.says)
		}
	}
}
