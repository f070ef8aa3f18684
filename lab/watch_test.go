//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/trace"
)

// watching is lab trace --watch, when it has said where to go, and where that is.
func watching(t *testing.T, start func(*testing.T, *exec.Cmd) *actor, args ...string) (watch *actor, addr string) {
	t.Helper()
	if best := trace.Best(t.Context()); best.Rung != diagram.Captured {
		if os.Getenv("CI") != "" {
			t.Fatal(best.Why, best.Climb)
		}
		t.Skip(best.Why, best.Climb)
	}
	watch = start(t, exec.Command("lab", append([]string{"trace", "--watch"}, args...)...))
	watch.notesThat(" listens on ")
	addr = watch.notesThat(". Ctrl-C ends it.\n")
	watch.notesThat("try:  nc 127.0.0.1 ")
	return watch, addr
}

// What a client and each model do is drawn as it happens, causes first. Ctrl-C
// ends the server, and its children.
func TestWatch(t *testing.T) {
	everyModel(t, func(t *testing.T, model string) {
		watch, addr := watching(t, enters, "--model="+model)
		watch.shows("listen(")
		client := dial(t, addr)
		for _, row := range []string{"─SYN", "─SYN+ACK", "─ACK"} {
			watch.shows(row)
		}
		echoes(t, client, "hello\n")
		for _, row := range []string{"PSH+ACK", "hello", "PSH+ACK"} {
			watch.shows(row)
		}
		second := dial(t, addr)
		second.Write([]byte("and me?\n"))
		watch.shows("client 2")
		if oneAtATime(t, model) {
			watch.shows("not accepted (queue 1 of 21)")
			watch.shows("client 2: 8 bytes wait here")
		} else {
			hears(t, second, "and me?\n")
		}
		client.CloseWrite()
		for _, row := range []string{"FIN+ACK", "CLOSE-WAIT", "FIN+ACK", "TIME-WAIT"} {
			watch.shows(row)
		}
		servers := descendants(t, watch.pid())
		watch.gets(unix.SIGINT)
		watch.shows("captured on lo, ")
		watch.leaves(0)
		gone(t, servers)
		for line := range strings.Lines(watch.screen.all()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 || strings.Contains(line, "\x1b") {
				t.Errorf("%d columns: %q", n, line)
			}
		}
	})
}

// Workers that nobody needs share a column, so that an arrow has room for what
// it carries.
func TestWatchIdle(t *testing.T) {
	watch, addr := watching(t, enters, "--model=prefork")
	watch.shows("listen(")
	echoes(t, dial(t, addr), "hello\n")
	watch.shows(`PSH+ACK… "hello\n"─`)
	watch.gets(unix.SIGINT)
	watch.leaves(0)
}

// Of a stranger strace tells. What was drawn is saved too, and is the same.
func TestWatchCommand(t *testing.T) {
	needs(t, "strace")
	needs(t, "socat")
	file := filepath.Join(t.TempDir(), "watch.json")
	watch, addr := watching(t, enters, "--format=json", "-o", file, "--", "socat", "TCP-LISTEN:{port},fork,reuseaddr", "EXEC:cat")
	client := dial(t, addr)
	echoes(t, client, "hello\n")
	watch.shows("SYN seq=0")
	watch.shows("begins, started by socat")
	watch.shows("hello")
	client.CloseWrite()
	hears(t, client, "")
	watch.shows("FIN+ACK")
	watch.gets(unix.SIGINT)
	watch.leaves(0)
	saved, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer saved.Close()
	tr, err := diagram.Read(saved)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, e := range tr.Events {
		switch {
		case e.Segment != nil && e.Segment.Len > 0 && e.Segment.FromClient:
			order = append(order, "said")
		case e.Segment != nil && e.Segment.Len > 0:
			order = append(order, "answered")
		case e.Life != nil && e.Life.Event == "begins":
			order = append(order, "child")
		}
	}
	said, child, answered := slices.Index(order, "said"), slices.Index(order, "child"), slices.Index(order, "answered")
	if said < 0 || child < 0 || answered < max(said, child) {
		t.Errorf("it was saved in the order %q", order)
	}
}

// Who may not capture sees what the kernel's tables and strace tell, and reads
// at once what is missing and why. No packet is made up.
func TestWatchUnprivileged(t *testing.T) {
	needs(t, "strace")
	needs(t, "socat")
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"lab", "trace", "--watch", "--", "socat", "TCP-LISTEN:{port},fork,reuseaddr", "EXEC:cat"}
	cmd.Dir, cmd.Env = "/", append(os.Environ(), "TMPDIR=/tmp")
	switch {
	case os.Getuid() == 0:
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	case trace.Best(t.Context()).Rung == diagram.Captured:
		lacks(t, "whoever runs this test may capture; take the right away, or run it as root")
	}
	watch := enters(t, cmd)
	watch.notesThat(" listens on ")
	addr := watch.notesThat(". Ctrl-C ends it.\n")
	watch.notesThat("missing: the segments cannot be seen; to capture")
	client := dial(t, addr)
	echoes(t, client, "hello\n")
	for _, row := range []string{"ESTABLISHED", "begins, started by socat", `"hello\n"`} {
		watch.shows(row)
	}
	client.CloseWrite()
	hears(t, client, "")
	watch.shows("TIME-WAIT")
	servers := descendants(t, watch.pid())
	watch.gets(unix.SIGINT)
	watch.shows("inferred from the kernel's tables, 0 segments")
	watch.shows("states are those in the kernel's table")
	watch.leaves(0)
	gone(t, servers)
	if drawn := watch.screen.all(); strings.Contains(drawn, "─>") || strings.Contains(drawn, "╌>") {
		t.Errorf("nobody has seen a segment, and one is drawn:\n%s", drawn)
	}
}

// The person at the terminal is the server's operator, and Ctrl-C is typed.
func TestWatchOperator(t *testing.T) {
	watch, addr := watching(t, atTerminal, "--model=poll", "--service=talk")
	client := dial(t, addr)
	client.Write([]byte("good day\n"))
	watch.shows(`(the server prints "client 1 says: good day")`)
	watch.types("and to you\n")
	watch.shows(`(the operator types "and to you")`)
	watch.shows("11 bytes")
	hears(t, client, "and to you\n")
	servers := descendants(t, watch.pid())
	watch.types("\x03")
	watch.shows("captured on lo, ")
	watch.leaves(0)
	gone(t, servers)
}

// A server that ends by itself ends the diagram, and what it said is there.
func TestWatchServerEnds(t *testing.T) {
	watch, addr := watching(t, enters, "--format=json", "--", "lab", "broken", "dies-of-a-reset")
	client := dial(t, addr)
	echoes(t, client, "hello\n")
	client.SetLinger(0)
	client.Close()
	watch.leaves(0)
	watch.notesThat("RST")
	watch.notesThat("the server ended: ")
	var saved struct{ Schema string }
	if err := json.Unmarshal([]byte(watch.screen.all()), &saved); err != nil || saved.Schema != diagram.Schema {
		t.Errorf("standard output is no trace: %v, %q", err, saved.Schema)
	}
}
