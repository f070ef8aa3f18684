//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/report"
	"socketlab/lab/text"
	"socketlab/lab/trace"
	"socketlab/models/sys"
)

type doctorCmd struct {
	JSON bool `name:"json" help:"Print one JSON document, schema lab.doctor/1."`
}

func (doctorCmd) Help() string {
	return `Nothing of this is needed by the models or by lab verify.

Examples:
  lab doctor
  lab doctor --json | jq '.findings[] | select(.ok | not)'

Exit codes: 0, whatever it finds; 2 it could not run; 130 interrupted.`
}

// A finding is one thing that this machine allows, or not.
type finding struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`    // it is as good as it gets
	Value string `json:"value"` // what it is here
	For   string `json:"for"`   // what it is good for
	More  string `json:"more"`  // how to get more; "": there is no more
}

func (cmd doctorCmd) Run(color colorFlag) error {
	ctx, stop := untilInterrupt()
	defer stop()
	findings := examine(ctx)
	if ctx.Err() != nil {
		return interrupted{}
	}
	if cmd.JSON {
		return text.JSON(os.Stdout, struct {
			Schema   string    `json:"schema"`
			Findings []finding `json:"findings"`
		}{"lab.doctor/1", findings})
	}
	return written(os.Stdout, func(page io.Writer) { tell(page, findings, color.style()) })
}

// tell writes the findings for people.
func tell(page io.Writer, findings []finding, style report.Style) {
	indent := strings.Repeat(" ", 19)
	say := func(name, says string) {
		fmt.Fprintln(page, text.Prose(text.Left(name, len(indent))+text.Line(says), indent, style.Width))
	}
	for _, f := range findings {
		sign := "✓"
		if !f.OK {
			sign = "–"
		}
		say(sign+" "+f.Name, f.Value)
		say("", "for: "+f.For)
		if f.More != "" {
			say("", "more: "+f.More)
		}
	}
}

// examine tries what can be tried, and reads the rest from the kernel.
func examine(ctx context.Context) []finding {
	return []finding{
		packets(ctx),
		userNamespaces(ctx),
		tool("strace", "the system calls of foreign commands in lab trace", "install it: apt-get install strace"),
		tool("tshark", "reading what lab trace --format=pcapng writes, in a terminal", "install it: apt-get install tshark (or wireshark)"),
		perf(),
		ioUring(),
		files(),
		somaxconn(),
		syncookies(),
	}
}

func packets(ctx context.Context) finding {
	best := trace.Best(ctx)
	return finding{
		Name: "packets", OK: best.Rung == diagram.Captured, Value: string(best.Rung) + ": " + best.Why,
		For: "the segments in lab trace", More: best.Climb,
	}
}

func userNamespaces(ctx context.Context) finding {
	f := finding{Name: "user namespaces", OK: true, Value: "allowed", For: "capturing packets without being root"}
	if err := trace.TryNamespace(ctx); err != nil {
		f.OK, f.Value = false, err.Error()
		f.More = "not needed by root; else see sysctl user.max_user_namespaces, and what the distribution adds to it"
	}
	return f
}

func tool(name, what, more string) finding {
	f := finding{Name: name, For: what}
	path, err := exec.LookPath(name)
	if err != nil {
		f.Value, f.More = "not installed", more
		return f
	}
	f.OK, f.Value = true, path
	return f
}

func perf() finding {
	f := finding{Name: "perf events", For: "counting cycles, switches and cache misses from outside", More: "as root: sysctl kernel.perf_event_paranoid=1"}
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CONTEXT_SWITCHES}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		f.Value = fmt.Sprintf("refused (%v), kernel.perf_event_paranoid is %s", err, sysctl("kernel/perf_event_paranoid"))
		return f
	}
	unix.Close(fd)
	f.OK, f.Value, f.More = true, "allowed", ""
	return f
}

func ioUring() finding {
	f := finding{Name: "io_uring", For: "the model iouring"}
	err := sys.RingAllowed()
	var refusal *sys.Refusal
	switch {
	case err == nil:
		f.OK, f.Value = true, "allowed"
	case errors.As(err, &refusal):
		f.Value, f.More = refusal.Why, refusal.Cure
	default:
		f.Value = err.Error()
	}
	return f
}

func files() finding {
	const enough = 4096
	var limit unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	f := finding{
		Name: "descriptors", OK: limit.Max >= enough, For: "many clients at once, one descriptor each at both ends",
		Value: fmt.Sprintf("%s, and up to %s for who asks", count(limit.Cur), count(limit.Max)),
	}
	if !f.OK {
		f.More = "as root: ulimit -Hn 65536, or LimitNOFILE= of the service, or nofile in limits.conf(5)"
	}
	return f
}

func count(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "any number"
	}
	return strconv.FormatUint(n, 10)
}

func somaxconn() finding {
	const enough = 128
	value := sysctl("net/core/somaxconn")
	n, _ := strconv.Atoi(value)
	f := finding{Name: "somaxconn", OK: n >= enough, Value: value, For: "the longest backlog that listen(2) grants"}
	if !f.OK {
		f.More = "as root: sysctl net.core.somaxconn=4096"
	}
	return f
}

func syncookies() finding {
	value := sysctl("net/ipv4/tcp_syncookies")
	meaning := map[string]string{
		"0": "off: when the queue of unfinished connections is full, SYNs are dropped",
		"1": "on when the queue of unfinished connections is full",
		"2": "always on: a server holds nothing for an unfinished connection",
	}[value]
	f := finding{Name: "tcp_syncookies", OK: value == "1", Value: strings.TrimSpace(value + " " + meaning), For: "floods of SYNs; a full accept queue drops them in any case (lab exp backlog)"}
	if !f.OK {
		f.More = "1 is what Linux comes with; as root: sysctl net.ipv4.tcp_syncookies=1"
	}
	return f
}

// sysctl is a setting of the kernel's, "unknown" where it cannot be read.
func sysctl(name string) string {
	value, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(value))
}
