//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"socketlab/lab/bench"
	"socketlab/lab/bench/twin"
	"socketlab/lab/certs"
	"socketlab/lab/report"
	"socketlab/lab/subject"
	"socketlab/lab/text"
	"socketlab/models/all"
)

type benchCmd struct {
	Model    modelsFlag      `predictor:"models" placeholder:"NAME,…" help:"Which models, or all; all is the default where no command is given."`
	Mode     string          `enum:"echo,churn,idle" default:"echo" help:"echo: ask, wait, ask again; churn: connect, ask, close; idle: clients that say nothing (${default})."`
	Clients  []int           `default:"1,10,100" placeholder:"N" help:"How many clients at once (${default}); 100000 at most."`
	Active   int             `placeholder:"N" help:"With --idle: how many clients are busy among the silent ones; 10 if not said, 100000 at most."`
	Idle     []int           `placeholder:"N" help:"How many more clients are silent, such as 0,100,1000,10000; 100000 at most."`
	Size     []int           `default:"64" placeholder:"BYTES" help:"Bytes of a message (${default}); 16777216 at most."`
	Rate     float64         `placeholder:"N" help:"Open loop: N requests/s in all, on a plan that does not wait for answers; 10000000 at most."`
	Duration time.Duration   `default:"1s" placeholder:"TIME" help:"How long one run takes (${default}); 1h at most."`
	Rounds   int             `default:"5" placeholder:"N" help:"How often everything is measured, in turn (${default}); 1000 at most. Below five no difference is told."`
	Freeze   time.Duration   `placeholder:"TIME" help:"Stop the server (SIGSTOP) for so long in the middle of each run."`
	Work     time.Duration   `placeholder:"TIME" help:"Have our models burn so much CPU for each message."`
	Sleep    time.Duration   `placeholder:"TIME" help:"Have our models sleep so long for each message."`
	Syscalls bool            `help:"Count system calls too, in a short run of its own: with perf, or else strace, or else the probes of our models."`
	TLS      bool            `name:"tls" help:"Measure TLS instead: handshakes/s, full and resumed, with ECDSA and RSA, and CPU time beside plain TCP."`
	Twin     bool            `help:"Measure the twin in C of each model too, as far as there is one. A C compiler builds it here."`
	Limit    int             `placeholder:"N" help:"How many clients the command serves at once by design; 0, the default: no limit."`
	Timeout  time.Duration   `default:"5s" placeholder:"TIME" help:"How long a client waits for an answer (${default}); 10m at most."`
	Threads  int             `placeholder:"N" help:"Threads of the generator, each with a CPU of its own; 64 at most. 0, the default: half the CPUs, and four at most."`
	Baseline string          `placeholder:"FILE" help:"Compare with an earlier run: FILE is of --report=json=FILE."`
	JSON     bool            `name:"json" help:"Print one JSON document, schema lab.bench/1."`
	Report   []report.Target `sep:"none" placeholder:"FORMAT=FILE" help:"Write a report too, once for each --report: json, csv, gobench, hgrm, markdown, html, or svg with a folder. FILE - is standard output; what people read then goes to standard error."`
	Command  []string        `arg:"" optional:"" help:"Any server: {port} in it is replaced. Without it, the port is appended; PORT is set too."`
}

func (benchCmd) Help() string {
	return `The servers are measured in turn, round by round, each time on a fresh server; the
first one twice, which shows the noise. Every byte that comes back is looked at. A
figure that the machine or the generator disturbed has ~ in front, and is compared with
nothing, unless the difference is far beyond the disturbance. What the numbers mean is in
docs/measuring.md.

Examples:
  lab bench --model=select,poll,goroutine --clients=1,10,100
  lab bench --model=select,poll --active=10 --idle=0,100,900     who walks over all?
  lab bench --model=poll --clients=10 --rate=20000 --freeze=200ms
  lab bench --tls                                                what TLS costs
  lab bench --mode=churn --clients=8                             connections/s
  lab bench --mode=idle --clients=1000 --model=process           what silence costs
  lab bench --model=select,poll --twin                           beside the same in C
  lab bench --model=goroutine --report=html=bench.html -- ./server {port}
  lab bench --model=poll --baseline=before.json --report=json=after.json

Exit codes: 0 measured; 1 a server answered wrongly; 2 it could not run; 80 wrong
command line; 130 interrupted, after what there was until then.`
}

// A bound is the range of a flag's values. Beyond it a run would take hours, or
// more memory than there is.
type bound[N int | time.Duration] struct {
	flag        string
	least, most N
}

func (b bound[N]) holds(values ...N) error {
	for _, n := range values {
		if n < b.least || n > b.most {
			return fmt.Errorf("--%s=%v: it is from %v to %v", b.flag, n, b.least, b.most)
		}
	}
	return nil
}

const (
	mostClients = 100_000
	mostTime    = time.Hour
)

// Validate refuses what the grammar lets pass.
func (cmd *benchCmd) Validate() error {
	const fastest = 10_000_000
	err := cmp.Or(
		noCommand(cmd.Command),
		bound[int]{"clients", 1, mostClients}.holds(cmd.Clients...),
		bound[int]{"active", 0, mostClients}.holds(cmd.Active),
		bound[int]{"idle", 0, mostClients}.holds(cmd.Idle...),
		bound[int]{"limit", 0, math.MaxInt}.holds(cmd.Limit),
		bound[int]{"size", 1, 16 << 20}.holds(cmd.Size...),
		bound[int]{"rounds", 1, 1000}.holds(cmd.Rounds),
		bound[int]{"threads", 0, 64}.holds(cmd.Threads),
		bound[time.Duration]{"duration", time.Microsecond, mostTime}.holds(cmd.Duration),
		bound[time.Duration]{"timeout", time.Millisecond, 10 * time.Minute}.holds(cmd.Timeout),
		bound[time.Duration]{"freeze", 0, mostTime}.holds(cmd.Freeze),
		bound[time.Duration]{"work", 0, time.Minute}.holds(cmd.Work),
		bound[time.Duration]{"sleep", 0, time.Minute}.holds(cmd.Sleep),
	)
	switch {
	case err != nil:
		return err
	case cmd.Freeze >= cmd.Duration:
		return fmt.Errorf("--freeze=%v does not fit into a run of %v; make --duration longer", cmd.Freeze, cmd.Duration)
	case !(cmd.Rate >= 0 && cmd.Rate <= fastest): // NaN is neither
		return fmt.Errorf("--rate is a number of requests/s, %d at most", fastest)
	case cmd.Rate > 0 && cmd.Rate*cmd.Duration.Seconds() < 1:
		return fmt.Errorf("--rate=%v is not one request in a run of %v; make --duration longer", cmd.Rate, cmd.Duration)
	case cmd.Mode != "echo" && (cmd.Rate > 0 || len(cmd.Idle) > 0):
		return fmt.Errorf("--rate and --idle are for --mode=echo, not for %s", cmd.Mode)
	case cmd.Twin && cmd.Work+cmd.Sleep > 0:
		return errors.New("--twin: the twins in C only echo; leave out --work and --sleep")
	case cmd.Active > 0 && len(cmd.Idle) == 0:
		return errors.New("--active is for --idle; without silent clients say --clients")
	}
	return bench.Formats.Check(cmd.Report, cmd.JSON)
}

func (cmd *benchCmd) Run(color colorFlag) error {
	ctx, stop := untilInterrupt()
	defer stop()
	if cmd.TLS {
		return cmd.handshakes(ctx)
	}
	servers, err := cmd.servers(ctx)
	if err != nil {
		return err
	}
	options, err := cmd.options()
	if err != nil {
		return err
	}
	if err := bench.Formats.Try(cmd.Report); err != nil {
		return err
	}
	var line progress
	options.Progress = line.step
	result, err := bench.Bench(ctx, servers, options)
	line.clear()
	if err != nil {
		return err
	}
	// To print may be the end: who reads may have left, as head(1) does.
	if err := errors.Join(bench.Formats.Save(result, cmd.Report), cmd.print(result, color)); err != nil {
		return err
	}
	switch {
	case result.Partial:
		return interrupted
	case result.Failed():
		return failed
	}
	return nil
}

// step shows which run is next, and how long all of them take.
func (p *progress) step(s bench.Step) {
	round := fmt.Sprintf("round %d of %d", s.Round, s.Rounds)
	if s.Round == 0 {
		round = "system calls"
	}
	p.show("bench: %s, %s, %s; %v left", round, s.Server, s.Point, s.TimeLeft.Round(time.Second))
}

// print shows the result, and leaves standard output to a report that wants it.
func (cmd *benchCmd) print(result bench.Result, color colorFlag) error {
	if cmd.JSON {
		return result.JSON(os.Stdout)
	}
	return written(besides(cmd.Report), func(page io.Writer) { result.Text(page, color.style()) })
}

// handshakes measures the page tls with two kinds of keys, beside goroutine.
func (cmd *benchCmd) handshakes(ctx context.Context) error {
	if len(cmd.Command)+len(cmd.Model.models)+len(cmd.Report) > 0 || cmd.JSON || cmd.Twin {
		return wrong("--tls measures the models goroutine and tls, and prints a table: leave out --model, --twin, --json, --report and a command")
	}
	var servers []bench.Secured
	for _, s := range []struct {
		name, model string
		key         certs.KeyKind
	}{{"goroutine", "goroutine", 0}, {"tls, ECDSA", "tls", certs.ECDSA}, {"tls, RSA", "tls", certs.RSA}} {
		m, err := all.Named(s.model)
		if err != nil {
			return err
		}
		flags := []string{"--backlog=4096"}
		var secure *tls.Config
		if m.TLS {
			made, err := certs.InMemoryOf(s.key, "127.0.0.1")
			if err != nil {
				return err
			}
			defer made.Close()
			flags = append(flags, "--cert="+made.Cert, "--key="+made.Key)
			if secure, err = (certs.Client{CA: made.CA}).Config("127.0.0.1"); err != nil {
				return err
			}
		}
		spec, err := subject.Model(m, flags...)
		if err != nil {
			return err
		}
		servers = append(servers, bench.Secured{Name: s.name, Spec: spec, TLS: secure})
	}
	var table bytes.Buffer
	err := bench.Handshakes(ctx, &table, servers, 8, cmd.Rounds, cmd.Duration)
	if ctx.Err() != nil {
		return interrupted
	}
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(table.Bytes())
	return err
}

// servers are those to be measured: models, with their twins if that is wanted,
// a command, or both.
func (cmd *benchCmd) servers(ctx context.Context) ([]bench.Subject, error) {
	chosen, err := cmd.Model.chosen(cmd.Command)
	if err != nil {
		return nil, err
	}
	var servers []bench.Subject
	for _, m := range chosen {
		if m.TLS {
			return nil, wrong("%s speaks TLS, and these clients do not: lab bench --tls measures it beside goroutine", m.Name)
		}
		spec, err := subject.Model(m, "--backlog=4096", "--work="+cmd.Work.String(), "--sleep="+cmd.Sleep.String())
		if err != nil {
			return nil, err
		}
		servers = append(servers, bench.Subject{Name: spec.Name, Kind: spec.Kind, Limit: spec.Limit, Command: spec.Command})
	}
	if cmd.Twin {
		if servers, err = besideTwins(ctx, servers); err != nil {
			return nil, err
		}
	}
	if len(cmd.Command) > 0 {
		servers = append(servers, bench.Subject{
			Name: filepath.Base(cmd.Command[0]), Kind: "command", Limit: cmd.Limit, Command: cmd.Command,
		})
	}
	return servers, nil
}

// besideTwins puts behind each model its twins in C, but each of them once.
func besideTwins(ctx context.Context, models []bench.Subject) (servers []bench.Subject, err error) {
	there := map[string]bool{}
	for _, m := range models {
		names := twin.Find(m.Name)
		for _, name := range names {
			m.Twins = append(m.Twins, "C "+name)
		}
		servers = append(servers, m)
		for _, name := range names {
			if there[name] {
				continue
			}
			there[name] = true
			program, err := twin.Build(ctx, "", name)
			if err != nil {
				return nil, err
			}
			same, err := all.Named(name)
			if err != nil {
				return nil, err
			}
			servers = append(servers, bench.Subject{
				Name: "C " + name, Kind: "command", Limit: same.Limit, Command: []string{program, "{port}"},
			})
		}
	}
	return servers, nil
}

// options are the flags that say what to measure.
func (cmd *benchCmd) options() (o bench.Options, err error) {
	o = bench.Options{
		Setting: bench.Setting{
			Mode: cmd.Mode, Rate: cmd.Rate, Rounds: cmd.Rounds, Threads: cmd.Threads, Over: "clients",
		},
		Duration: cmd.Duration, Freeze: cmd.Freeze, Patience: cmd.Timeout, Calls: cmd.Syscalls,
		Asked: append([]string{"lab"}, os.Args[1:]...),
	}
	if cmd.Rate > 0 {
		o.Mode = "rate"
	}
	most := 0
	add := func(p bench.Point) {
		if !slices.Contains(o.Points, p) {
			o.Points = append(o.Points, p)
		}
		most = max(most, p.Clients+p.Idle)
	}
	for _, size := range cmd.Size {
		for _, n := range cmd.Idle {
			add(bench.Point{Clients: cmp.Or(cmd.Active, 10), Idle: n, Size: size})
		}
		for _, n := range cmd.Clients {
			if len(cmd.Idle) == 0 {
				add(bench.Point{Clients: n, Size: size})
			}
		}
	}
	switch {
	case len(cmd.Idle) > 0:
		o.Over = "idle"
	case len(cmd.Clients) == 1 && len(cmd.Size) > 1:
		o.Over = "size"
	}
	if err := bench.CheckFiles(most); err != nil {
		return o, err
	}
	if cmd.Baseline == "" {
		return o, nil
	}
	baseline, err := bench.ReadResult(cmd.Baseline)
	if err != nil {
		return o, err
	}
	if was := baseline.Setting; was.Mode != o.Mode || was.Rate != o.Rate || was.Freeze != cmd.Freeze.Seconds() {
		return o, fmt.Errorf("--baseline=%s is of another load: %s", cmd.Baseline, text.Line(strings.Join(baseline.Asked, " ")))
	}
	o.Baseline, o.Setting.Baseline = &baseline, cmd.Baseline
	if baseline.Machine != bench.ThisMachine() {
		fmt.Fprintf(os.Stderr, "lab: --baseline=%s is from another machine: %s; ratios mean little\n", strconv.Quote(cmd.Baseline), text.Line(baseline.Machine.String()))
	}
	return o, nil
}
