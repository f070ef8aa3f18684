//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/procfs"
	"github.com/rogpeppe/go-internal/testscript"

	"socketlab/lab/subject"
	"socketlab/models/all"
)

// TestScript runs what a student types, testdata/script. The language is
// described in the documentation of testscript; these are its words besides:
//
//	exits CODE COMMAND …  runs a command that must end with this exit code
//	listening PORT [PID]  waits until the command last started in the background
//	                      listens, and puts where and who into variables
//	free PORT             puts a port that nobody has into a variable
//	columns N             the last command printed no line of more than N columns
//	json PATH VALUE       the last command printed one JSON document and nothing
//	                      else, and this is in it; a PATH is such as
//	                      .models.0.name, .models.poll.limit, or .models.len
//
// and as conditions [ci], and [ipv6] where the loopback interface has it. The
// variable MODELS has the names of the models, and PAGES the number of pages.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":     exits,
			"listening": listening,
			"free":      free,
			"columns":   columns,
			"json":      jsonHas,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", os.Getenv("GORACE")) // see TestMain
			env.Setenv("MODELS", strings.Join(all.Names(), ", "))
			env.Setenv("PAGES", strconv.Itoa(len(all.Every())))
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "ci":
				return os.Getenv("CI") != "", nil
			case "ipv6":
				l, err := net.Listen("tcp6", "[::1]:0")
				if err == nil {
					l.Close()
				}
				return err == nil, nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
		RequireUniqueNames: true,
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ...")
	}
	code := 0
	var failed *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &failed) {
		code = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func listening(ts *testscript.TestScript, neg bool, args []string) {
	background := ts.BackgroundCmds()
	if neg || len(args) < 1 || len(args) > 2 || len(background) == 0 {
		ts.Fatalf("usage: listening PORT [PID], after a command with &name&")
	}
	pid := background[len(background)-1].Process.Pid
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		port, err := portOf(pid)
		ts.Check(err)
		if port > 0 {
			ts.Setenv(args[0], strconv.Itoa(port))
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("pid %d does not listen", pid)
		}
	}
	if len(args) == 2 {
		ts.Setenv(args[1], strconv.Itoa(pid))
	}
}

// portOf is the port on which a process listens, and 0 if it does not, seen in
// the kernel's table.
func portOf(pid int) (port int, err error) {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return 0, err
	}
	files, err := process.FileDescriptorTargets()
	if err != nil {
		return 0, err
	}
	all, err := sockets()
	for _, s := range all {
		if s.state == listen && slices.Contains(files, fmt.Sprintf("socket:[%d]", s.inode)) {
			return int(s.local), nil
		}
	}
	return 0, err
}

func free(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: free PORT")
	}
	port, err := subject.FreePort()
	ts.Check(err)
	ts.Defer(port.Release)
	ts.Setenv(args[0], strconv.Itoa(int(port.Number)))
}

func columns(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: columns N")
	}
	most, err := strconv.Atoi(args[0])
	ts.Check(err)
	printed := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	if printed == "" {
		ts.Fatalf("nothing was printed")
	}
	for line := range strings.Lines(printed) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > most {
			ts.Fatalf("%d columns, want at most %d: %s", n, most, line)
		}
	}
}

func jsonHas(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: json PATH VALUE")
	}
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	var value any
	ts.Check(decoder.Decode(&value))
	if _, err := decoder.Token(); err != io.EOF {
		ts.Fatalf("there is more on stdout than one document")
	}
	for name := range strings.SplitSeq(strings.TrimPrefix(args[0], "."), ".") {
		switch there := value.(type) {
		case map[string]any:
			field, ok := there[name]
			if !ok {
				ts.Fatalf("%s: there is no %q", args[0], name)
			}
			value = field
		case []any:
			if name == "len" {
				value = len(there)
				continue
			}
			i, err := strconv.Atoi(name)
			if err != nil { // the name of an element
				i = slices.IndexFunc(there, func(element any) bool {
					fields, _ := element.(map[string]any)
					return fields["name"] == name
				})
			}
			if i < 0 || i >= len(there) {
				ts.Fatalf("%s: there are %d, and no %s", args[0], len(there), name)
			}
			value = there[i]
		default:
			ts.Fatalf("%s: %v has no %q", args[0], value, name)
		}
	}
	if got := fmt.Sprint(value); got != args[1] {
		ts.Fatalf("%s is %s, want %s", args[0], got, args[1])
	}
}
