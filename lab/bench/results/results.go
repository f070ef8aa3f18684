// Results measures what docs/results.md says, and writes it there, and each
// model's own figures onto its page in docs/models: make results.
//
// What stands between two marks, <!-- NAME: make results --> and <!-- end -->,
// is replaced; the sentences around it are people's. With names of experiments,
// those alone are measured again; the others are kept in the user's cache.
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
	models "socketlab/models/all"
)

// An experiment is a run of lab bench.
type experiment struct {
	name string
	args string
	svg  string // the chart that goes to docs/charts; "": none
}

// family is all models, as far as they serve any number of clients. The first of
// them is measured twice and shows the noise: one that has little of its own.
const family = "select,poll,epoll,iouring,goroutine,roles,thread,process"

var experiments = []experiment{
	{"one", "--model=select,blocking --twin --clients=1 --size=64,4096", ""},
	{"echo", "--model=" + family + " --twin --clients=10,100,1000", ""},
	{"eight", "--model=goroutine,thread,process,prefork --twin --clients=8", ""},
	{"large", "--model=select,poll,goroutine --twin --clients=10,100,1000 --size=4096", ""},
	{"churn", "--model=" + family + ",prefork,blocking --twin --mode=churn --clients=8", ""},
	{"idle", "--model=" + family + " --mode=idle --clients=1000 --rounds=3", ""},
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

// run measures all that there is, or the experiments named, and writes what was
// measured now or before.
func run(ctx context.Context, names []string) error {
	kept, err := keep()
	if err != nil {
		return err
	}
	wanted := func(name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	for _, e := range experiments {
		if wanted(e.name) {
			if err := e.measure(ctx, kept(e.name)); err != nil {
				return err
			}
		}
	}
	for name, command := range benchmarks {
		if wanted(name) {
			if err := goTest(ctx, command, kept(name)); err != nil {
				return err
			}
		}
	}
	return write(kept)
}

// keep is where a measurement is kept, by its name, until it is made again.
func keep() (func(name string) string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "lab", "results")
	return func(name string) string { return filepath.Join(dir, name) }, os.MkdirAll(dir, 0o755)
}

// measure runs the experiment as anybody would.
func (e experiment) measure(ctx context.Context, file string) error {
	args := append([]string{"bench", "--report=json=" + file}, strings.Fields(e.args)...)
	cmd := exec.CommandContext(ctx, "bin/lab", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	fmt.Printf("\n$ lab bench %s\n", e.args)
	return errors.Join(cmd.Run(), ctx.Err())
}

// write puts all measurements where they are shown.
func write(kept func(name string) string) error {
	all := figures{map[string]bench.Result{}, map[string]string{}}
	for _, e := range experiments {
		r, err := bench.ReadResult(kept(e.name))
		if err != nil {
			return fmt.Errorf("%s was never measured on this machine: %w", e.name, err)
		}
		all.results[e.name] = r
		if err := replace("docs/results.md", e.name, e.text(r)); err != nil {
			return err
		}
		if err := e.draw(r); err != nil {
			return err
		}
	}
	for name := range benchmarks {
		text, err := os.ReadFile(kept(name))
		if err != nil {
			return fmt.Errorf("%s was never measured on this machine: %w", name, err)
		}
		all.benchmarks[name] = string(text)
		if err := replace("docs/results.md", name, string(text)); err != nil {
			return err
		}
	}
	for _, m := range models.Models {
		page := filepath.Join("docs/models", m.Name+".md")
		if err := replace(page, "figures", card(m.Name, all.results)); err != nil {
			return err
		}
	}
	if err := replace("docs/results.md", "goals", met(all)); err != nil {
		return err
	}
	return replace("docs/results.md", "machine", bench.ThisMachine().String()+"\n")
}

// draw writes the chart that docs show.
func (e experiment) draw(r bench.Result) error {
	for _, p := range r.Pictures() {
		if p.Name == e.svg {
			return renameio.WriteFile("docs/charts/"+e.name+".svg", []byte(p.SVG), 0o644)
		}
	}
	if e.svg != "" {
		return fmt.Errorf("%s: there is no chart %q", e.name, e.svg)
	}
	return nil
}

// text is what docs/results.md shows of it.
func (e experiment) text(r bench.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "```sh\nlab bench %s\n```\n", e.args)
	r.Tables(&b)
	return b.String()
}

// goTest runs a benchmark and keeps the lines that it says.
func goTest(ctx context.Context, command, file string) error {
	fmt.Printf("\n$ %s\n", command)
	args := strings.Fields(command)
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	fmt.Printf("%s", out)
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	lines := regexp.MustCompile(`(?m)^Benchmark.*\n`).FindAllString(string(out), -1)
	if len(lines) == 0 {
		return fmt.Errorf("%s: nothing was measured", command)
	}
	text := "```console\n$ " + command + "\n"
	for _, line := range lines {
		text += strings.Join(strings.Fields(line), " ") + "\n"
	}
	text += "```\n"
	return renameio.WriteFile(file, []byte(text), 0o644)
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
