//go:build linux

package main

import (
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"socketlab/lab/subject"
)

var update = flag.Bool("update", false, "rewrite the output that README.md and docs quote")

// TestQuoted holds what the documents quote to the truth: in a block that is
// marked as console, each "$ lab …" is run in the top folder, on a terminal of
// 80 columns without colour, and what follows must be what it prints. Other
// programs' lines are left alone.
//
// It does not run beside other tests, and not with the race detector: lab verify
// measures.
func TestQuoted(t *testing.T) {
	folder := build(t)
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	runs := map[string]string{} // one run of a command serves all documents
	for _, file := range documents(t) {
		t.Run(file, func(t *testing.T) {
			path := filepath.Join("..", file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			fresh := requote(string(text), func(command string) string {
				if _, ran := runs[command]; !ran {
					runs[command] = runQuoted(t, command)
				}
				return runs[command]
			})
			for _, q := range quotes(strings.Split(fresh, "\n")) {
				for _, line := range append(q.output, "$ "+q.command) {
					if n := utf8.RuneCountInString(line); n > 80 {
						t.Errorf("%d columns, want at most 80: %s", n, line)
					}
				}
			}
			if fresh == string(text) {
				return
			}
			if !*update {
				t.Fatalf("it quotes what is not so (make update):\n%s", cmp.Diff(strings.Split(string(text), "\n"), strings.Split(fresh, "\n")))
			}
			if err := os.WriteFile(path, []byte(fresh), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// documents are README.md and all of docs, seen from the top folder.
func documents(t *testing.T) []string {
	t.Helper()
	files := []string{"README.md"}
	err := filepath.WalkDir("../docs", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			files = append(files, strings.TrimPrefix(path, "../"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A quote is a command in a console block, and what is said to follow it.
type quote struct {
	command string
	output  []string
	first   int // the line on which the output begins, from 0
}

// quotes finds the commands in a document, of all programs.
func quotes(lines []string) (all []quote) {
	inside := false
	for i, line := range lines {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			inside = !inside && line == "```console"
		case !inside:
		case isCommand:
			all = append(all, quote{command: command, first: i + 1})
		case len(all) == 0 || all[len(all)-1].first+len(all[len(all)-1].output) != i:
			// before the first command of its block
		default:
			q := &all[len(all)-1]
			q.output = append(q.output, line)
		}
	}
	return all
}

// requote puts what each command of the lab prints behind it, where a document
// says otherwise.
func requote(text string, run func(command string) string) string {
	lines := strings.Split(text, "\n")
	var fresh []string
	done := 0 // lines that are in fresh
	for _, q := range quotes(lines) {
		if !strings.HasPrefix(q.command, "lab ") {
			continue
		}
		said := trimBlank(q.output)
		printed := trimBlank(strings.Split(run(q.command), "\n"))
		if agree(normal(q.command, said), normal(q.command, printed)) {
			continue
		}
		fresh = append(append(fresh, lines[done:q.first]...), printed...)
		done = q.first + len(said)
	}
	return strings.Join(append(fresh, lines[done:]...), "\n")
}

func trimBlank(lines []string) []string {
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// agree reports whether a quote is what was printed; a line "…" in it stands
// for any lines that were left out.
func agree(said, printed []string) bool {
	switch {
	case len(said) == 0:
		return len(printed) == 0
	case said[0] == "…":
		for left := range len(printed) + 1 {
			if agree(said[1:], printed[left:]) {
				return true
			}
		}
		return false
	}
	return len(printed) > 0 && said[0] == printed[0] && agree(said[1:], printed[1:])
}

var (
	duration = regexp.MustCompile(`\b\d+(\.\d+)? (ms|s)\b`)
	loopback = regexp.MustCompile(`(127\.0\.0\.1|\[::1\]):\d+`)
	holder   = regexp.MustCompile(`\(pid \d+,`)
	spaces   = regexp.MustCompile(`(?m) +$`)
	built    = regexp.MustCompile(`^lab .*, go\S+ `)
)

// normal takes out what is different each time.
func normal(command string, lines []string) []string {
	var same []string
	for _, line := range lines {
		line = duration.ReplaceAllString(line, "N $2")
		line = holder.ReplaceAllString(line, "(pid N,")
		if port, given := listenPort(command); given && port == "0" {
			line = loopback.ReplaceAllString(line, "$1:PORT")
		}
		if command == "lab version" {
			line = built.ReplaceAllString(line, "lab COMMIT, GO ")
		}
		same = append(same, line)
	}
	return same
}

var listenFlag = regexp.MustCompile(`--listen=(\S*?)(\d+)(\s|$)`)

// listenPort is the port at the end of --listen.
func listenPort(command string) (port string, given bool) {
	if parts := listenFlag.FindStringSubmatch(command); parts != nil {
		return parts[2], true
	}
	return "", false
}

// runQuoted runs a command of a document as its reader does. A server is
// stopped as soon as it listens.
func runQuoted(t *testing.T, command string) (printed string) {
	t.Helper()
	isServer := strings.HasPrefix(command, "lab run ") && !strings.Contains(command, "--help")
	asked, elsewhere := "", ""
	if isServer {
		// Somebody else may have the port on this machine, so the server
		// listens elsewhere, and what it prints is translated back.
		free, err := subject.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		defer free.Release()
		elsewhere = strconv.Itoa(int(free.Number))
		port, given := listenPort(command)
		switch {
		case !given:
			asked = "7000"
			command += " --listen=127.0.0.1:" + elsewhere
		case port != "0":
			asked = port
			command = listenFlag.ReplaceAllString(command, "--listen=${1}"+elsewhere+"${3}")
		}
	}
	cmd := exec.Command("sh", "-c", "exec "+command)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "TERM=dumb")
	reader := atTerminal(t, cmd)
	if isServer {
		if _, err := reader.screen.shows("Ctrl-C stops it.\n"); err == nil {
			reader.gets(unix.SIGINT)
		} // else it does not start, and that is quoted
	}
	select {
	case <-reader.ended:
	case <-t.Context().Done():
	}
	printed = spaces.ReplaceAllString(reader.screen.all(), "")
	if asked != "" {
		printed = strings.ReplaceAll(printed, elsewhere, asked)
	}
	return printed
}

// TestRequote tells a document that is true from one that is not.
func TestRequote(t *testing.T) {
	run := func(command string) string {
		return map[string]string{
			"lab models":                       "MODEL\npoll\nselect\n",
			"lab verify":                       "5 servers behave the same, 6.1 s.\n",
			"lab run --model=poll --listen=:0": "poll on 127.0.0.1:4711\n",
			"lab version":                      "lab 0123456789ab, go1.30 linux/amd64\n",
			"lab nothing":                      "",
		}[command]
	}
	for _, test := range []struct{ name, text, want string }{
		{"true", "$ lab models\nMODEL\npoll\nselect\n", ""},
		{"left out", "$ lab models\nMODEL\n…\n", ""},
		{"left out in front", "$ lab models\n…\nselect\n", ""},
		{"left out, but nothing", "$ lab models\nMODEL\n…\npoll\nselect\n", ""},
		{"blank line behind", "$ lab models\nMODEL\npoll\nselect\n\n$ lab verify\n5 servers behave the same, 6.1 s.\n", ""},
		{"another time", "$ lab verify\n5 servers behave the same, 12 s.\n", ""},
		{"another port", "$ lab run --model=poll --listen=:0\npoll on 127.0.0.1:7000\n", ""},
		{"another version", "$ lab version\nlab ba9876543210, with changes, go1.26.0 linux/amd64\n", ""},
		{"nothing", "$ lab nothing\n", ""},
		{"another program", "$ nc 127.0.0.1 7000\nwhatever\n", ""},
		{"no command yet", "MODEL\n$ lab nothing\n", ""},
		{"empty", "$ lab models\n", "$ lab models\nMODEL\npoll\nselect\n"},
		{"wrong", "$ lab models\nMODEL\nepoll\nselect\n\n$ nc\n", "$ lab models\nMODEL\npoll\nselect\n\n$ nc\n"},
		{"wrong behind what was left out", "$ lab models\n…\nepoll\n", "$ lab models\nMODEL\npoll\nselect\n"},
		{"too long", "$ lab nothing\nsomething\n", "$ lab nothing\n"},
		{"another number", "$ lab verify\n4 servers behave the same, 6.1 s.\n", "$ lab verify\n5 servers behave the same, 6.1 s.\n"},
		{"another name", "$ lab run --model=poll --listen=:0\nselect on 127.0.0.1:7000\n", "$ lab run --model=poll --listen=:0\npoll on 127.0.0.1:4711\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			const before, after = "# Title\n\n$ lab models\n\n```\n$ lab models\n```\n\n```console\n", "```\n\n$ lab verify\n"
			want := test.want
			if want == "" {
				want = test.text
			}
			if got := requote(before+test.text+after, run); got != before+want+after {
				t.Errorf("%s", cmp.Diff(before+want+after, got))
			}
		})
	}
}
