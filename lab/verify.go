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
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"socketlab/lab/certs"
	"socketlab/lab/report"
	"socketlab/lab/subject"
	"socketlab/lab/text"
	"socketlab/lab/verify"
	"socketlab/models"
	"socketlab/models/all"
	"socketlab/models/session"
)

type verifyCmd struct {
	Model   modelsFlag      `predictor:"models" placeholder:"NAME,…" help:"Which models, or all; all is the default where no command is given."`
	Check   []string        `predictor:"checks" placeholder:"GLOB" help:"Which checks: an id, a group or a pattern, such as close/half, bytes, life/*."`
	Service string          `enum:"echo,talk" default:"echo" help:"What the command serves: echo or talk (${default})."`
	Limit   int             `placeholder:"N" help:"How many clients the command serves at once by design; 0, the default: no limit."`
	TLS     string          `name:"tls" placeholder:"CA" help:"The command speaks TLS, and this authority, a file in PEM, has signed its certificate."`
	Cert    string          `placeholder:"FILE" help:"TLS: the certificate that clients show to a command that asks for one, with --key."`
	Key     string          `placeholder:"FILE" help:"TLS: the key of --cert."`
	Timeout time.Duration   `default:"5s" placeholder:"TIME" help:"How long to wait for any one event (${default})."`
	Port    uint16          `placeholder:"N" help:"Where the command always listens, if it cannot be told: then its checks run one after the other."`
	Name    string          `placeholder:"NAME" help:"What reports call the command."`
	All     bool            `help:"Play also the checks that can only repeat what another one has shown, however long that takes."`
	Soak    bool            `help:"Many more connections, for what leaks little: some minutes."`
	Strict  bool            `help:"Fail also for what only should be."`
	JSON    bool            `name:"json" help:"Print one JSON document, schema lab.verify/1."`
	Report  []report.Target `sep:"none" predictor:"reports" placeholder:"FORMAT=FILE" help:"Write a report too, once for each --report: json, junit, tap, tap13, gradescope, github, html or markdown. FILE - is standard output; what people read then goes to standard error."`
	Weight  []weight        `predictor:"weights" placeholder:"GLOB=POINTS" help:"What a check counts in a grade, instead of 1, or 0.5 if it only should pass. Of several that match, the last one counts."`
	Seed    uint64          `placeholder:"N" help:"Seed of the first random schedule; without it, a new one each time. A failure prints it."`
	Rounds  int             `default:"5" placeholder:"N" help:"How many random schedules to play (${default}); 1000 for a long hunt."`
	Trace   bool            `name:"trace-failures" help:"Play each check that fails once more, and draw in its story what happens."`
	Witness bool            `hidden:"" help:"Play the checks once, and draw those that fail."`
	Replay  string          `type:"existingfile" placeholder:"FILE" help:"Play the schedule in FILE, as printed by a failure, instead of random ones."`
	List    bool            `help:"List the checks, and what each of them demands."`
	Broken  bool            `help:"Try the checks on servers with one known bug each, or on those named: who is caught by what?"`
	Client  bool            `help:"The command is a client: hold it to the checks of clients. {port} in it is where the server is that is played for it."`
	Command []string        `arg:"" optional:"" help:"Any server: {port} in it is replaced. Without it, the port is appended; PORT is set too."`
}

func (verifyCmd) Help() string {
	return `Each check starts the server anew, holds a conversation with it and looks at its
processes. ✓ passed; ✗ failed; ! failed, but only should pass; – does not apply; ? could
not be decided, which is never a pass.

Examples:
  lab verify                                  all models
  lab verify --model=select,poll              two of them
  lab verify --check=close/half -- ./server {port}
  lab verify --model=blocking -- python3 server.py {port}    side by side
  lab verify --limit=1 -- ./one-at-a-time {port}
  lab verify --tls=tls/ca.pem -- ./tls-server {port}   lab certs tls made it
  lab verify --port=9877 -- ./always-on-9877
  lab verify --report=html=results.html -- ./server {port}
  lab verify --weight=life=2 --report=gradescope=out.json -- ./server {port}
  lab verify --check=close --trace-failures -- ./server {port}
  lab verify --client -- ./client {port}      a client: sends what it reads,
                                              and prints what it receives
  lab verify --broken                         which check catches which bug
  lab verify --broken --check=close forgets-to-close

Exit codes: 0 all passed; 1 a check failed; 2 it could not run; 3 nothing failed, but
something could not be decided; 80 wrong command line; 130 interrupted.`
}

// Validate refuses what the grammar lets pass.
func (cmd *verifyCmd) Validate() error {
	switch {
	case cmd.Timeout <= 0:
		return errors.New("--timeout is a time to wait, such as 5s; it must be positive")
	case cmd.Limit < 0:
		return errors.New("--limit is a number of clients; it cannot be negative")
	case cmd.Rounds < 1:
		return errors.New("--rounds is a number of random schedules; it must be positive")
	case noCommand(cmd.Command) != nil:
		return noCommand(cmd.Command)
	case cmd.Client && len(cmd.Command) == 0 && !cmd.List:
		return errors.New("--client: which one? say lab verify --client -- ./client {port}")
	case cmd.Client && (len(cmd.Model.models) > 0 || cmd.Broken || cmd.Trace || cmd.Limit > 0 || cmd.Replay != "" || len(cmd.Weight) > 0):
		return errors.New("--client is about a client: leave out --model, --broken, --trace-failures, --limit, --replay and --weight")
	case cmd.Broken && (len(cmd.Model.models) > 0 || len(cmd.Report) > 0 || cmd.Trace):
		return errors.New("--broken has servers of its own, and a table of its own: leave out --model, --report and --trace-failures")
	}
	if cmd.Cert != "" && cmd.TLS == "" {
		return errors.New("--cert is for TLS: say --tls=CA too")
	}
	return errors.Join(together(cmd.Cert, cmd.Key), report.VerifyFormats.Check(cmd.Report, cmd.JSON))
}

func (cmd *verifyCmd) Run(color colorFlag) error {
	if cmd.Replay != "" {
		cmd.Check = []string{"random"}
	}
	if cmd.Client {
		return cmd.runClient(color)
	}
	for _, pattern := range cmd.Check {
		if pattern == "" {
			return wrong("--check= names no check; leave it out for all of them")
		}
		if len(verify.Select([]string{pattern})) == 0 {
			return wrong("--check=%s matches none; lab verify --list shows all", pattern)
		}
	}
	checks := verify.Select(cmd.Check)
	if cmd.List {
		return cmd.listChecks(checks)
	}
	if cmd.Broken {
		return cmd.tryChecks(checks)
	}
	servers, err := cmd.servers()
	if err != nil {
		return err
	}
	if err := applies(checks, servers); err != nil {
		return err
	}
	options, err := cmd.options()
	if err != nil {
		return err
	}
	if err := report.VerifyFormats.Try(cmd.Report); err != nil {
		return err
	}
	ctx, stop := untilInterrupt()
	defer stop()
	start := time.Now()
	var line progress
	options.Checks = checks
	options.Progress = func(p verify.Progress) {
		hunt := ""
		if p.OfSchedules > 0 {
			hunt = fmt.Sprintf(", %d of %d random schedules", p.Schedules, p.OfSchedules)
		}
		if c := p.Latest; c != nil && (c.Status == report.Fail || c.Status == report.Error) {
			line.above("%s: %s: %s", p.Server, c.ID, c.Actual)
		}
		line.show("verify: %d of %d checks%s", p.Checks, p.OfChecks, hunt)
	}
	var result report.Verify
	switch {
	case cmd.Witness:
		result, err = cmd.bearWitness(ctx, servers, options)
	case cmd.Trace:
		options.Again = cmd.again(ctx)
		fallthrough
	default:
		result, err = verifyUntil(ctx, servers, options)
	}
	line.clear()
	for _, w := range cmd.Weight {
		w.count(result)
	}
	if !cmd.Trace {
		cmd.offerPictures(result, servers)
	}
	if err != nil && ctx.Err() != nil {
		return interrupted // before anything was found out
	}
	if err != nil {
		result.Started, result.MS = start, time.Since(start).Milliseconds()
		result.Failure = err.Error() // a grader wants a report of this too
		if cmd.JSON {
			err = errors.Join(err, result.JSON(os.Stdout))
		}
		return errors.Join(err, result.Save(cmd.Report...))
	}
	err = cmd.tell(result, start, color)
	if ctx.Err() != nil {
		return interrupted // that was what is known so far
	}
	return err
}

// tell saves and prints what came of it, and returns the verdict.
func (cmd *verifyCmd) tell(result report.Verify, start time.Time, color colorFlag) error {
	result.Started, result.MS, result.Strict = start, time.Since(start).Milliseconds(), cmd.Strict
	// To print may be the end: who reads may have left, as head(1) does.
	if err := errors.Join(result.Save(cmd.Report...), cmd.print(result, color.style())); err != nil {
		return err
	}
	return verdict(result, cmd.Strict)
}

// verifyUntil is verify.Verify that does not wait for servers to end when it is
// interrupted: it returns what is known by then.
func verifyUntil(ctx context.Context, servers []verify.Server, o verify.Options) (result report.Verify, err error) {
	begun, done := make(chan func() report.Verify, 1), make(chan struct{})
	o.Begun = func(known func() report.Verify) { begun <- known }
	go func() {
		defer close(done)
		result, err = verify.Verify(ctx, servers, o)
	}()
	select {
	case <-done:
		return result, err
	case <-ctx.Done():
	}
	select {
	case known := <-begun:
		return known(), nil
	case <-done:
		return result, err
	}
}

// print shows the result, and leaves standard output to a report that wants it.
func (cmd *verifyCmd) print(result report.Verify, style report.Style) error {
	if cmd.JSON {
		return result.JSON(os.Stdout)
	}
	return written(besides(cmd.Report), func(page io.Writer) { result.Text(page, style) })
}

// written is the error of writing a page.
func written(to *os.File, write func(page io.Writer)) error {
	var page bytes.Buffer
	write(&page)
	_, err := to.Write(page.Bytes())
	return err
}

// options are the flags that say how to verify.
func (cmd *verifyCmd) options() (verify.Options, error) {
	o := verify.Options{
		Wait:     cmd.Timeout,
		Together: 2 * runtime.GOMAXPROCS(0),
		Seed:     cmd.Seed,
		Rounds:   cmd.Rounds,
		All:      cmd.All,
		Soak:     cmd.Soak,
	}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	if cmd.Replay == "" {
		return o, nil
	}
	file, err := os.Open(cmd.Replay)
	if err != nil {
		return o, err
	}
	defer file.Close()
	if o.Replay, err = verify.ReadSchedule(file); err != nil {
		return o, fmt.Errorf("%s is not a schedule: %w", cmd.Replay, err)
	}
	return o, nil
}

// servers are those to be verified: models, a command, or both.
func (cmd *verifyCmd) servers() ([]verify.Server, error) {
	chosen, err := cmd.Model.chosen(cmd.Command)
	if err != nil {
		return nil, err
	}
	var servers []verify.Server
	for _, m := range chosen {
		spec, err := subject.Model(m)
		if err != nil {
			return nil, err
		}
		server := verify.Server{
			Name:     spec.Name,
			Kind:     spec.Kind,
			Limit:    spec.Limit,
			Services: session.Services,
			Command:  func(service string) []string { return slices.Concat(spec.Command, []string{"--service=" + service}) },
		}
		if m.TLS {
			if server, err = secured(server); err != nil {
				return nil, err
			}
		}
		servers = append(servers, server)
	}
	if len(cmd.Command) > 0 {
		var secure *tls.Config
		if cmd.TLS != "" {
			if secure, err = (certs.Client{CA: cmd.TLS, Cert: cmd.Cert, Key: cmd.Key}).Config("127.0.0.1"); err != nil {
				return nil, err
			}
		}
		servers = append(servers, verify.Server{
			Name:     cmp.Or(cmd.Name, filepath.Base(cmd.Command[0])),
			Kind:     "command",
			Limit:    cmd.Limit,
			Port:     cmd.Port,
			Services: []string{cmd.Service},
			Command:  func(string) []string { return cmd.Command },
			TLS:      secure,
		})
	}
	return servers, nil
}

// secured gives a model that speaks TLS certificates for the checks.
func secured(s verify.Server) (verify.Server, error) {
	made, err := certs.InMemory("127.0.0.1")
	if err != nil {
		return s, err
	}
	cert, key, err := made.Client("lab verify")
	if err != nil {
		return s, err
	}
	plain := s.Command
	s.Command = func(service string) []string {
		return append(plain(service), "--cert="+made.Cert, "--key="+made.Key)
	}
	s.Mutual = append(s.Command("echo"), "--client-ca="+made.CA)
	s.TLS, err = certs.Client{CA: made.CA, Cert: cert, Key: key}.Config("127.0.0.1")
	return s, err
}

// applies refuses servers to which none of the checks applies: they would pass.
func applies(checks []verify.Check, servers []verify.Server) error {
	for _, s := range servers {
		if !slices.ContainsFunc(checks, s.Concerns) {
			return wrong("none of these checks is about a server for %s, as %s is said to be: see --service", s.Services[0], s.Name)
		}
	}
	return nil
}

func (cmd *verifyCmd) listChecks(checks []verify.Check) error {
	type check struct {
		ID      string       `json:"id"`
		Level   report.Level `json:"level"`
		Service string       `json:"service"`
		Says    string       `json:"says"`
		Causes  []string     `json:"causes"`
		Try     string       `json:"try"`
	}
	if cmd.JSON {
		list := struct {
			Schema string  `json:"schema"`
			Checks []check `json:"checks"`
		}{Schema: "lab.checks/1"}
		for _, c := range checks {
			list.Checks = append(list.Checks, check{c.ID, c.Level, c.Service, c.Says, c.Causes, c.Try})
		}
		return text.JSON(os.Stdout, list)
	}
	return written(os.Stdout, func(page io.Writer) {
		for _, c := range checks {
			fmt.Fprintf(page, "%-22s %-6s  %s\n", c.ID, c.Level, c.Says)
		}
	})
}

// verdict is the exit code of a result, as an error.
func verdict(result report.Verify, strict bool) error {
	var verdict error
	for _, s := range result.Subjects {
		switch {
		case s.Failing(strict):
			return failed
		case s.Errors > 0:
			verdict = undecided
		}
	}
	return verdict
}

// A weight is what the checks that match a pattern count in a grade.
type weight struct {
	pattern string
	points  float64
}

// UnmarshalText takes GLOB=POINTS.
func (w *weight) UnmarshalText(flag []byte) (err error) {
	pattern, points, _ := strings.Cut(string(flag), "=")
	w.pattern = pattern
	w.points, err = strconv.ParseFloat(points, 64)
	switch {
	case err != nil || !(w.points > 0) || math.IsInf(w.points, 0):
		return fmt.Errorf("%q: points are a positive number: say close/half=2", flag)
	case len(verify.Select([]string{pattern})) == 0:
		return fmt.Errorf("%q: no check matches; lab verify --list shows all", flag)
	}
	return nil
}

func (w weight) count(result report.Verify) {
	for _, c := range verify.Select([]string{w.pattern}) {
		for _, s := range result.Subjects {
			for i := range s.Checks {
				if s.Checks[i].ID == c.ID {
					s.Checks[i].Weight = w.points
				}
			}
		}
	}
}

// A modelsFlag is the value of --model where it names several: all, or names
// with commas between them.
type modelsFlag struct{ models []models.Model }

func (f *modelsFlag) UnmarshalText(list []byte) error {
	if string(list) == "all" {
		f.models = modelsHere()
		return nil
	}
	for name := range strings.SplitSeq(string(list), ",") {
		m, err := all.Named(name)
		if err != nil {
			return err
		}
		f.models = append(f.models, m)
	}
	return nil
}

// chosen are the models that are meant: those that were named, which must run
// here, or all that do if there is no command either.
func (f modelsFlag) chosen(command []string) ([]models.Model, error) {
	if len(f.models) == 0 && len(command) == 0 {
		return modelsHere(), nil
	}
	for _, m := range f.models {
		if err := m.Runs(); err != nil {
			return nil, err
		}
	}
	return f.models, nil
}
