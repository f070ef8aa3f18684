// Results measures what docs/results.md says, and writes it there, and each
// model's own figures onto its page in docs/models: make results.
//
// What stands between two marks, <!-- NAME: make results --> and <!-- end -->,
// is replaced; the sentences around it are people's. With names of experiments,
// those alone are measured again; the others are kept in the user's cache:
//
//	go run ./lab/bench/results churn idle
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
	"time"

	"github.com/google/renameio/v2"

	"socketlab/lab/bench"
	"socketlab/lab/text"
	models "socketlab/models/all"
)

// An experiment is a run of lab bench, and how docs show it.
type experiment struct {
	name string
	args string
	show func(bench.Result) string
}

// family is all models, as far as they serve any number of clients. The first of
// them is measured twice and shows the noise: one that has little of its own.
const family = "select,poll,epoll,iouring,reactors,offload,goroutine,roles,thread,process"

// often is eight rounds, since their interval is without the least and the
// greatest; and short ones, so that all of it takes a quarter of an hour.
const often = " --rounds=8 --duration=400ms"

var experiments = []experiment{
	{"echo", "--model=" + family + ",prefork,pool,blocking --twin --clients=1,10,100,1000" + often, over("cpu", "rate", "p99")},
	{"large", "--model=select,poll,goroutine,blocking --twin --clients=1,10,100,1000 --size=4096" + often, over("cpu", "rate", "p99")},
	{"eight", "--model=goroutine,thread,pool,process,prefork --twin --clients=8" + often, all},
	{"churn", "--model=" + family + ",prefork,pool,blocking --twin --mode=churn --clients=8" + often, all},
	{"idle", "--model=" + family + " --mode=idle --clients=1000 --duration=400ms", all},
	{"silent", "--model=epoll,select,poll,iouring,goroutine --active=10 --idle=0,100,900,1000,10000" + often, growth},
}

// benchmarks are Go's own, that measure what lab bench cannot.
var benchmarks = []struct{ name, args string }{
	{"generator", "./lab/bench -run ^$ -bench Generator -benchtime 3x -count 5"},
	{"child", "./models/serve -run ^$ -bench Child -benchtime 100x -count 5"},
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
	var known []string
	measure := map[string]func(file string) error{}
	for _, e := range experiments {
		known = append(known, e.name)
		measure[e.name] = func(file string) error { return e.measure(ctx, file) }
	}
	for _, b := range benchmarks {
		known = append(known, b.name)
		measure[b.name] = func(file string) error { return goTest(ctx, b.args, file) }
	}
	for _, name := range names {
		if measure[name] == nil {
			return fmt.Errorf("no experiment %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	for _, name := range known {
		if len(names) == 0 || slices.Contains(names, name) {
			if err := measure[name](kept(name)); err != nil {
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
	args := e.command(file)
	cmd := exec.CommandContext(ctx, "bin/lab", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	fmt.Printf("\n$ lab bench %s\n", e.args)
	return errors.Join(cmd.Run(), ctx.Err())
}

func (e experiment) command(file string) []string {
	return append([]string{"bench", "--report=json=" + file}, strings.Fields(e.args)...)
}

// read is what was measured last, if that was the experiment as it is now.
func (e experiment) read(file string) (bench.Result, error) {
	r, err := bench.ReadResult(file)
	again := "measure it: go run ./lab/bench/results " + e.name
	switch {
	case err != nil:
		return r, fmt.Errorf("%s was never measured on this machine: %w; %s", e.name, err, again)
	case !slices.Equal(r.Asked, append([]string{"lab"}, e.command(file)...)):
		return r, fmt.Errorf("%s was measured with another command: %q; %s", e.name, r.Asked, again)
	case r.Partial:
		return r, fmt.Errorf("%s was interrupted; %s", e.name, again)
	case r.Machine != bench.ThisMachine():
		return r, fmt.Errorf("%s was measured on another machine: %v; %s", e.name, r.Machine, again)
	}
	return r, nil
}

// write puts all measurements where they are shown.
func write(kept func(name string) string) error {
	all := figures{map[string]bench.Result{}, map[string][]ratio{}}
	for _, e := range experiments {
		r, err := e.read(kept(e.name))
		if err != nil {
			return err
		}
		all.results[e.name] = r
		page := "```sh\nlab bench " + e.args + "\n```\n\n" + e.show(r)
		for _, line := range r.Caveats() {
			page += "\n" + text.Markdown(line) + "\n"
		}
		if err := replace("docs/results.md", e.name, page); err != nil {
			return err
		}
	}
	for _, b := range benchmarks {
		text, err := os.ReadFile(kept(b.name))
		if err != nil {
			return fmt.Errorf("%s was never measured on this machine: %w", b.name, err)
		}
		all.ratios[b.name] = parseBenchmark(string(text))
		if err := replace("docs/results.md", b.name, showRatios(b.args, all.ratios[b.name])); err != nil {
			return err
		}
	}
	for _, name := range measured() {
		if err := replace(pageOf(name), "figures", card(name, all)); err != nil {
			return err
		}
	}
	if err := draw(all.results["silent"], "cpu", "docs/charts/silent.svg"); err != nil {
		return err
	}
	if err := replace("docs/results.md", "goals", met(all)); err != nil {
		return err
	}
	return replace("docs/results.md", "machine", when(all.results))
}

// measured are the models that have figures of their own in docs. No experiment
// has one that speaks TLS: the others would be measured without it.
func measured() (names []string) {
	for _, m := range models.Models {
		if !m.TLS {
			names = append(names, m.Name)
		}
	}
	return names
}

func pageOf(model string) string { return filepath.Join("docs/models", model+".md") }

// draw writes a chart that docs show.
func draw(r bench.Result, name, file string) error {
	for _, p := range r.Pictures() {
		if p.Name == name {
			return renameio.WriteFile(file, []byte(p.SVG), 0o644)
		}
	}
	return fmt.Errorf("%s: there is no chart %q", file, name)
}

// when says on what machine, when, and in which time.
func when(results map[string]bench.Result) string {
	var started []time.Time
	var took time.Duration
	for _, r := range results {
		started = append(started, r.Started)
		took += time.Duration(r.MS) * time.Millisecond
	}
	const day = "2 January 2006"
	date, last := slices.MinFunc(started, time.Time.Compare).Format(day), slices.MaxFunc(started, time.Time.Compare).Format(day)
	if last != date {
		date += " to " + last
	}
	return fmt.Sprintf("%v; %s, in %.0f minutes.\n", bench.ThisMachine(), date, took.Minutes())
}

// goTest runs a benchmark and keeps the lines that it says.
func goTest(ctx context.Context, args, file string) error {
	fmt.Printf("\n$ go test %s\n", args)
	out, err := exec.CommandContext(ctx, "go", append([]string{"test"}, strings.Fields(args)...)...).CombinedOutput()
	fmt.Printf("%s", out)
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	lines := regexp.MustCompile(`(?m)^Benchmark.*\n`).FindAllString(string(out), -1)
	if len(lines) == 0 {
		return fmt.Errorf("go test %s: nothing was measured", args)
	}
	return renameio.WriteFile(file, []byte(strings.Join(lines, "")), 0o644)
}

// replace puts new text between the marks of that name in a file.
func replace(file, name, text string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	marks := marksOf(name)
	if !marks.Match(page) {
		return fmt.Errorf("%s has no marks <!-- %s: make results --> and <!-- end -->", file, name)
	}
	page = marks.ReplaceAllFunc(page, func(block []byte) []byte {
		part := marks.FindSubmatch(block)
		return []byte(string(part[1]) + "\n" + strings.TrimSpace(text) + "\n\n" + string(part[2]))
	})
	return renameio.WriteFile(file, page, 0o644)
}

// marksOf is what stands around the text of that name.
func marksOf(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)(<!-- ` + name + `: make results -->\n).*?(<!-- end -->)`)
}
