package report

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"socketlab/lab/text"
)

// terminal is all that lab verify prints for people.
func terminal(v Verify, style Style) []byte {
	var b bytes.Buffer
	v.Text(&b, style)
	return b.Bytes()
}

func TestTerminal(t *testing.T) {
	golden(t, "sample.terminal", terminal(sample(), Style{Width: 80}))
	golden(t, "ten.terminal", terminal(ten(), Style{Width: 80}))
	golden(t, "ten-wide.terminal", terminal(ten(), Style{Width: 120}))
	golden(t, "hostile.terminal", terminal(hostile(), Style{Width: 80}))
}

// ten are more subjects than fit side by side. Three of the names are long,
// and two of those differ in the middle alone.
func ten() Verify {
	v := Verify{Schema: "lab.verify/1", Started: began, MS: 12300}
	for _, name := range []string{
		"blocking", "process", "thread", "goroutine", "roles", "select", "poll",
		"my-first-server-with-epoll.py", "my-first-server-with-io-uring-and-epoll.py", "my-first-server-with-select-and-epoll.py",
		"poll",
	} {
		v.Subjects = append(v.Subjects, model(name))
	}
	v.Subjects[10].Kind = "command"
	v.Subjects[10].Checks[2].Status = Error
	v.Subjects[10].Count()
	return v
}

// Lines fit, except for bytes and commands, and end where they end.
func TestTerminalLines(t *testing.T) {
	for _, v := range []Verify{sample(), ten(), silent(), deaf()} {
		for line := range strings.Lines(string(terminal(v, Style{Width: 80}))) {
			line = strings.TrimSuffix(line, "\n")
			if n := text.Width(line); n > 80 && !strings.Contains(line, "see it yourself") {
				t.Errorf("%d columns: %s", n, line)
			}
			if strings.TrimRight(line, " ") != line {
				t.Errorf("ends in a blank: %q", line)
			}
		}
	}
}

// Colour adds nothing but colour, and never to a blank at the end.
func TestTerminalColor(t *testing.T) {
	plain := terminal(sample(), Style{Width: 80})
	painted := terminal(sample(), Style{Width: 80, Color: true})
	if !bytes.Contains(painted, []byte("\x1b[1;7;31m✗\x1b[0m")) {
		t.Errorf("a failure is not inverse: %q", painted)
	}
	if got := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAll(painted, nil); !bytes.Equal(got, plain) {
		t.Errorf("without its colour:\n%s\nwant:\n%s", got, plain)
	}
}

// What a server prints reaches no terminal, and no log that obeys lines.
func TestTerminalHostile(t *testing.T) {
	for line := range strings.Lines(string(terminal(hostile(), Style{Width: 80}))) {
		line = strings.TrimSuffix(line, "\n")
		for _, r := range line {
			if !unicode.IsPrint(r) && r != '\t' || r == utf8.RuneError {
				t.Fatalf("%q in %q", r, line)
			}
		}
		if strings.HasPrefix(strings.TrimSpace(line), "::") {
			t.Errorf("a workflow command: %q", line)
		}
	}
}

func TestSummary(t *testing.T) {
	command := func(statuses ...Status) Verify {
		s := Subject{Name: "myserver", Kind: "command", Command: []string{"./myserver", "{port}"}}
		for i, status := range statuses {
			s.Checks = append(s.Checks, Check{ID: fmt.Sprintf("bytes/%d", i), Level: Must, Status: status})
		}
		s.Count()
		return Verify{MS: 6120, Subjects: []Subject{s}}
	}
	with := func(v Verify, change func(*Verify)) Verify {
		change(&v)
		return v
	}
	should := func(v *Verify) { v.Subjects[0].Checks[1].Level = Should }
	for _, test := range []struct {
		v    Verify
		want string
	}{
		{command(Pass, Pass, Fail, Skip), "2 passed, 1 failed, 1 not applicable.  ./myserver is not yet a correct echo server."},
		{command(Fail), "1 failed.  ./myserver is not yet a correct echo server."},
		{command(Pass, Error), "1 passed, 1 not decided.  Whether ./myserver is a correct echo server, this run does not tell."},
		{command(Fail, Error), "1 failed, 1 not decided.  ./myserver is not yet a correct echo server."},
		{command(Pass), "./myserver does all that it should: 1 check, 6.1 s."},
		{command(Pass, Pass, Skip), "./myserver does all that it should: 2 checks, 6.1 s."},
		{with(command(Pass, Fail), should), "1 passed, 1 should pass but need not.  ./myserver is a correct echo server."},
		{with(command(Error, Fail), should),
			"1 should pass but need not, 1 not decided.  Whether ./myserver is a correct echo server, this run does not tell."},
		{with(with(command(Pass, Fail), should), func(v *Verify) { v.Strict = true }),
			"1 passed, 1 failed.  ./myserver is not yet a correct echo server."},
		{with(command(Fail), func(v *Verify) { v.Subjects[0].Checks[0].ID = "talk/says" }),
			"1 failed.  ./myserver is not yet a correct talk server."},
		{with(command(Fail), func(v *Verify) {
			v.Subjects[0].Command = []string{"python3", "a server.py", "--port", "{port}", "-v"}
		}),
			"1 failed.  python3 a server.py is not yet a correct echo server."},
		{with(command(Fail), func(v *Verify) { v.Subjects[0].Command = []string{"--{port}"} }),
			"1 failed.  myserver is not yet a correct echo server."},
		{command(Skip), "No check applies to ./myserver."},
		{command(), "No check applies to ./myserver."},
		{Verify{MS: 6123, Subjects: []Subject{model("poll"), model("select")}}, "2 models behave the same: 8 checks each, 6.1 s."},
		{Verify{MS: 6123, Subjects: []Subject{model("poll"), {Name: "socat", Kind: "command", Checks: model("").Checks[:7]}}},
			"2 servers behave the same: 7 checks each, 6.1 s."},
		{Verify{Subjects: []Subject{{Name: "a", Kind: "model"}, {Name: "b", Kind: "model"}}}, "No check applies to these 2 models."},
		{sample(), "myserver: 1 passed, 4 failed, 1 should pass but need not, 1 not decided, 1 not applicable."},
		{deaf(), deaf().Failure},
	} {
		if got := test.v.Summary(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}
