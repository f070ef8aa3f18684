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
		return interrupted
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
	best := trace.Best(ctx)
	return []finding{
		{
			Name: "packets", OK: best.Rung == diagram.Captured, Value: string(best.Rung) + ": " + best.Why,
			For: "the segments in lab trace", More: best.Climb,
		},
		tried("user namespaces", trace.TryNamespace(ctx), "capturing packets without being root",
			"not needed by root; else see sysctl user.max_user_namespaces, and what the distribution adds to it"),
		tool("strace", "the system calls of foreign commands in lab trace", "install it: apt-get install strace"),
		tool("tshark", "reading what lab trace --format=pcapng writes, in a terminal", "install it: apt-get install tshark (or wireshark)"),
		tried("perf events", perf(), "counting cycles, switches and cache misses from outside", "as root: sysctl kernel.perf_event_paranoid=1"),
		ioUring(),
		files(),
		somaxconn(),
		syncookies(),
	}
}

// found is a finding; more is said only if it is not ok.
func found(name string, ok bool, value, what, more string) finding {
	if ok {
		more = ""
	}
	return finding{name, ok, value, what, more}
}

// tried is what came of trying: err says why it is not allowed.
func tried(name string, err error, what, more string) finding {
	value := "allowed"
	if err != nil {
		value = err.Error()
	}
	return found(name, err == nil, value, what, more)
}

func tool(name, what, more string) finding {
	path, err := exec.LookPath(name)
	if err != nil {
		path = "not installed"
	}
	return found(name, err == nil, path, what, more)
}

func perf() error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CONTEXT_SWITCHES}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("refused (%v), kernel.perf_event_paranoid is %s", err, sysctl("kernel/perf_event_paranoid"))
	}
	return unix.Close(fd)
}

func ioUring() finding {
	err, cure := sys.RingAllowed(), ""
	if refusal, ok := errors.AsType[*sys.Refusal](err); ok {
		err, cure = errors.New(refusal.Why), refusal.Cure
	}
	return tried("io_uring", err, "the model iouring", cure)
}

func files() finding {
	const enough = 4096
	var limit unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return found("descriptors", limit.Max >= enough, fmt.Sprintf("%s, and up to %s for who asks", count(limit.Cur), count(limit.Max)),
		"many clients at once, one descriptor each at both ends",
		"as root: ulimit -Hn 65536, or LimitNOFILE= of the service, or nofile in limits.conf(5)")
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
	return found("somaxconn", n >= enough, value, "the longest backlog that listen(2) grants", "as root: sysctl net.core.somaxconn=4096")
}

func syncookies() finding {
	value := sysctl("net/ipv4/tcp_syncookies")
	meaning := map[string]string{
		"0": "off: when the queue of unfinished connections is full, SYNs are dropped",
		"1": "on when the queue of unfinished connections is full",
		"2": "always on: a server holds nothing for an unfinished connection",
	}[value]
	return found("tcp_syncookies", value == "1", strings.TrimSpace(value+" "+meaning),
		"floods of SYNs; a full accept queue drops them in any case (lab exp backlog)",
		"1 is what Linux comes with; as root: sysctl net.ipv4.tcp_syncookies=1")
}

// sysctl is a setting of the kernel's, "unknown" where it cannot be read.
func sysctl(name string) string {
	value, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(value))
}
