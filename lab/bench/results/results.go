// Results measures what docs/results.md says, and writes it there, and each
// model's own figures onto its page in docs/models: make results.
//
// What stands between two marks, <!-- NAME: make results --> and <!-- end -->,
// is replaced; the sentences around it are people's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"socketlab/lab/bench"
	"socketlab/models/all"
)

// An experiment is a run of lab bench.
type experiment struct {
	name string
	args string
	svg  string // the chart that goes to docs/charts; "": none
}

var experiments = []experiment{
	{"echo", "--model=all --twin --clients=1,10,100,1000", ""},
	{"eight", "--model=process,prefork,thread,goroutine --twin --clients=8", ""},
	{"large", "--model=blocking,select,poll,goroutine --twin --clients=1,10,100,1000 --size=4096", ""},
	{"churn", "--model=all --twin --mode=churn --clients=8", ""},
	{"idle", "--model=all --mode=idle --clients=1000 --rounds=3", ""},
	{"silent", "--model=select,poll,epoll,goroutine --active=10 --idle=0,300,600,900", "cpu"},
}

// benchmarks are Go's own, that measure what lab bench cannot.
var benchmarks = map[string]string{
	"generator": "go test ./lab/bench -run ^$ -bench Generator -benchtime 9x",
	"child":     "go test ./lab -run ^$ -bench Child -benchtime 300x",
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "results:", err)
		os.Exit(1)
	}
}

// run does all that there is, or the experiments named.
func run(ctx context.Context, names []string) error {
	wanted := func(name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	figures := map[string]bench.Result{}
	for _, e := range experiments {
		if !wanted(e.name) {
			continue
		}
		r, err := e.measure(ctx)
		if err != nil {
			return err
		}
		figures[e.name] = r
		if err := replace("docs/results.md", e.name, e.text(r)); err != nil {
			return err
		}
	}
	for name, command := range benchmarks {
		if !wanted(name) {
			continue
		}
		text, err := goTest(ctx, command)
		if err != nil {
			return err
		}
		if err := replace("docs/results.md", name, text); err != nil {
			return err
		}
	}
	if len(names) > 0 {
		return nil
	}
	for _, m := range all.Models {
		page := filepath.Join("docs/models", m.Name+".md")
		if err := replace(page, "figures", card(m.Name, figures)); err != nil {
			return err
		}
	}
	return replace("docs/results.md", "machine", bench.ThisMachine().String()+"\n")
}

// measure runs the experiment as anybody would.
func (e experiment) measure(ctx context.Context) (r bench.Result, err error) {
	file := filepath.Join(os.TempDir(), fmt.Sprintf("lab-results-%d.json", os.Getpid()))
	defer os.Remove(file)
	args := append([]string{"bench", "--report=json=" + file}, strings.Fields(e.args)...)
	cmd := exec.CommandContext(ctx, "bin/lab", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	fmt.Printf("\n$ lab bench %s\n", e.args)
	if err := cmd.Run(); err != nil {
		return r, errors.Join(ctx.Err(), err)
	}
	if r, err = bench.ReadResult(file); err != nil || e.svg == "" {
		return r, err
	}
	for _, p := range r.Embedded() {
		if p.Name == e.svg {
			return r, renameio.WriteFile("docs/charts/"+e.name+".svg", []byte(p.SVG), 0o644)
		}
	}
	return r, fmt.Errorf("%s: there is no chart %q", e.name, e.svg)
}

// text is what docs/results.md shows of it.
func (e experiment) text(r bench.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "```sh\nlab bench %s\n```\n", e.args)
	r.Tables(&b)
	return b.String()
}

// goTest runs a benchmark and keeps the lines that it says.
func goTest(ctx context.Context, command string) (string, error) {
	fmt.Printf("\n$ %s\n", command)
	args := strings.Fields(command)
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	fmt.Printf("%s", out)
	if err != nil {
		return "", errors.Join(ctx.Err(), err)
	}
	lines := regexp.MustCompile(`(?m)^Benchmark.*\n`).FindAllString(string(out), -1)
	if len(lines) == 0 {
		return "", fmt.Errorf("%s: nothing was measured", command)
	}
	return "```console\n$ " + command + "\n" + strings.Join(lines, "") + "```\n", nil
}

// replace puts new text between the marks of that name in a file.
func replace(file, name, text string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	marks := regexp.MustCompile(`(?s)(<!-- ` + name + `: make results -->\n).*?(<!-- end -->)`)
	if !marks.Match(page) {
		return fmt.Errorf("%s has no marks <!-- %s: make results --> and <!-- end -->", file, name)
	}
	page = marks.ReplaceAllFunc(page, func(block []byte) []byte {
		part := marks.FindSubmatch(block)
		return []byte(string(part[1]) + "\n" + text + "\n" + string(part[2]))
	})
	return renameio.WriteFile(file, page, 0o644)
}
