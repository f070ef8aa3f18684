//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"socketlab/lab/bench"
	"socketlab/lab/report"
	"socketlab/lab/text"
	"socketlab/lab/verify"
	"socketlab/models/all"
)

type compareCmd struct {
	Model    modelsFlag    `predictor:"models" placeholder:"NAME,…" help:"Which models, or all; all is the default where no command is given."`
	Check    []string      `predictor:"checks" placeholder:"GLOB" help:"Which checks; all, if none is named."`
	Clients  []int         `default:"1,100" placeholder:"N" help:"How many busy clients to measure with (${default}); 100000 at most."`
	Crowd    int           `default:"1200" placeholder:"N" help:"How many clients come to see how many are served at once (${default}); 100000 at most."`
	Duration time.Duration `default:"200ms" placeholder:"TIME" help:"How long one run takes (${default}); 1h at most."`
	Rounds   int           `default:"5" placeholder:"N" help:"How often everything is measured, in turn (${default}); 1000 at most."`
	Limit    int           `placeholder:"N" help:"How many clients the command serves at once by design; 0, the default: no limit."`
	Timeout  time.Duration `default:"5s" placeholder:"TIME" help:"How long to wait for any one event (${default}); 10m at most."`
	HTML     string        `name:"html" placeholder:"FILE" help:"Write one page too: the table, the charts, the checks, the models' cards."`
	Command  []string      `arg:"" optional:"" help:"Any server: {port} in it is replaced. Without it, the port is appended; PORT is set too."`
}

func (compareCmd) Help() string {
	return `Do they behave the same, what do they cost, and where does each break? In about a
minute: lab verify, then a crowd that grows until somebody is not served, then lab
bench. A column says at how many clients it was measured; who serves fewer is
measured with fewer.

Examples:
  lab compare
  lab compare --model=select,poll --html=compare.html
  lab compare --model=goroutine -- ./server {port}

Exit codes: 0 all behave the same; 1 a check failed, or a server answered wrongly;
2 it could not run; 80 wrong command line; 130 interrupted.`
}

// Validate refuses what the grammar lets pass.
func (cmd *compareCmd) Validate() error {
	return cmp.Or(
		bound[int]{"crowd", 1, mostClients}.holds(cmd.Crowd),
		pageOfComparison.Check(cmd.pages(), false),
		cmd.bench().Validate(),
	)
}

// verify and bench are the commands that this one is made of.
func (cmd *compareCmd) verify() *verifyCmd {
	return &verifyCmd{
		Model: cmd.Model, Command: cmd.Command, Limit: cmd.Limit, Service: "echo", Timeout: cmd.Timeout, Rounds: 5,
	}
}

func (cmd *compareCmd) bench() *benchCmd {
	return &benchCmd{
		Model: cmd.Model, Command: cmd.Command, Limit: cmd.Limit, Mode: "echo", Clients: cmd.Clients, Size: []int{64},
		Duration: cmd.Duration, Rounds: cmd.Rounds, Timeout: cmd.Timeout,
	}
}

// A comparison is all that was found out.
type comparison struct {
	verified report.Verify
	crowds   []bench.Crowd // by server
	measured bench.Result
}

func (cmd *compareCmd) Run(color colorFlag) error {
	checks := verify.Select(cmd.Check)
	if len(checks) == 0 {
		return wrong("--check=%s matches none; lab verify --list shows all", strings.Join(cmd.Check, ","))
	}
	if err := bench.CheckFiles(cmd.Crowd); err != nil {
		return err
	}
	pages := cmd.pages()
	if err := pageOfComparison.Try(pages); err != nil {
		return err
	}
	ctx, stop := untilInterrupt()
	defer stop()
	var line progress
	c, err := cmd.compare(ctx, checks, &line)
	line.clear()
	if ctx.Err() != nil && len(c.measured.Subjects) == 0 {
		return interrupted
	}
	if err != nil {
		return err
	}
	style := color.style()
	printed := func(page io.Writer) { c.Text(page, style) }
	if err := errors.Join(pageOfComparison.Save(c, pages), written(besides(pages), printed)); err != nil {
		return err
	}
	switch {
	case c.measured.Partial:
		return interrupted
	case c.measured.Failed():
		return failed
	}
	return verdict(c.verified, false)
}

// compare does one after the other: what is measured must not be disturbed by
// what is checked.
func (cmd *compareCmd) compare(ctx context.Context, checks []verify.Check, line *progress) (c comparison, err error) {
	if cmd.Model.models, err = cmd.Model.chosen(cmd.Command); err != nil {
		return c, err
	}
	servers, err := cmd.verify().servers()
	if err != nil {
		return c, err
	}
	options, err := cmd.verify().options()
	if err != nil {
		return c, err
	}
	options.Checks = checks
	options.Progress = func(p verify.Progress) { line.show("compare: %d of %d checks", p.Checks, p.OfChecks) }
	start := time.Now()
	if c.verified, err = verify.Verify(ctx, servers, options); err != nil || ctx.Err() != nil {
		return c, err
	}
	c.verified.Started, c.verified.MS = start, time.Since(start).Milliseconds()
	measured, err := cmd.bench().servers(ctx)
	if err != nil {
		return c, err
	}
	for _, s := range measured {
		line.show("compare: how many does %s serve at once?", s.Name)
		const patience, limit = time.Second, 15 * time.Second
		crowd, err := bench.Serves(ctx, s, cmd.Crowd, patience, limit)
		if err != nil || ctx.Err() != nil {
			return c, err
		}
		c.crowds = append(c.crowds, crowd)
	}
	set, err := cmd.bench().options()
	if err != nil {
		return c, err
	}
	set.Progress = line.step
	result, err := bench.Bench(ctx, measured, set)
	c.measured = result.Harmless()
	return c, err
}

// A comparedServer is a row of the table.
type comparedServer struct {
	report.Subject
	bench.Crowd
	cell    bench.Cell
	clients int    // at how many clients it was measured
	failure string // of the measuring
}

// rows are the servers, each at the point with the most clients that it serves.
func (c comparison) rows() (all []comparedServer) {
	for i, s := range c.verified.Subjects {
		row := comparedServer{Subject: s, Crowd: c.crowds[i], failure: c.measured.Subjects[i].Failure}
		for j, cell := range c.measured.Subjects[i].Cells {
			if len(cell.Runs) > 0 {
				row.cell, row.clients = cell, c.measured.Points[j].Clients
			}
		}
		all = append(all, row)
	}
	return all
}

// table has a row for each server.
func (c comparison) table() (t text.Table) {
	t.Head = []string{"", "same?", "serves", "clients", "p50", "p99", "CPU/req", "mem/client", "thr/proc"}
	for _, s := range c.rows() {
		same := "✓ " + strconv.Itoa(s.Passed)
		if bad := s.Failed + s.Errors; bad > 0 {
			same = fmt.Sprintf("✗ %d of %d", bad, bad+s.Passed)
		}
		serves := text.Number(s.Served)
		if s.Why == "" {
			serves += "+"
		}
		row := text.Row{Name: text.Line(s.Name), Cells: []string{same, serves, text.Number(s.clients)}, Bad: s.failure != ""}
		if row.Bad {
			row.Cells = append(row.Cells, "FAILED, see below")
		} else {
			row.Cells = append(row.Cells, s.cell.Figures("p50", "p99", "cpu", "per_client")...)
			row.Cells = append(row.Cells, strings.Join(s.cell.Figures("threads", "processes"), "/"))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// Text writes the table, and in sentences where each of them breaks.
func (c comparison) Text(w io.Writer, style report.Style) {
	c.table().Text(w, style.Color)
	for _, line := range c.sentences() {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, c.verified.Summary())
}

// sentences are what stands below the table.
func (c comparison) sentences() (lines []string) {
	say := func(sentence string) { lines = append(lines, text.Prose(sentence, "    ", 80)) }
	lines = append(lines, "")
	for _, breaks := range c.breaks() {
		say(breaks)
	}
	lines = append(lines, "")
	say("p50, p99, CPU/req, mem/client and threads/processes are with so many clients as it says, of 64 bytes, medians of " + strconv.Itoa(c.measured.Setting.Rounds) + " rounds. ~: disturbed, see below.")
	if growth, known := c.measured.Growth(); known {
		lines = append(lines, "")
		for _, row := range growth.Rows {
			say("CPU/req, " + row.Name + ": " + row.Cells[0])
		}
	}
	lines = append(lines, "")
	for _, caveat := range c.measured.Caveats() {
		say(caveat)
	}
	return lines
}

// breaks says what happened to the client that was one too many, and who had none.
func (c comparison) breaks() (lines []string) {
	var strong []string
	most := 0
	for _, s := range c.rows() {
		name := text.Line(s.Name)
		switch {
		case s.Why == "":
			strong, most = append(strong, name), s.Most
		case s.Limit > 0 && s.Served >= s.Limit:
			lines = append(lines, fmt.Sprintf("Where it breaks: %s serves %s at a time, by design; the next one waits.", name, text.Number(s.Served)))
		default:
			lines = append(lines, fmt.Sprintf("Where it breaks: %s served %s, then %s.", name, text.Count(s.Served, "client"), text.Line(s.Why)))
		}
	}
	if len(strong) > 0 {
		lines = append(lines, fmt.Sprintf("With %s nothing breaks: %s.", text.Count(most, "client"), strings.Join(strong, ", ")))
	}
	return lines
}

// pageOfComparison is the only format that there is.
var pageOfComparison = report.Formats[comparison]{{Name: "html", Write: comparison.page}}

// pages are where the page goes.
func (cmd *compareCmd) pages() (pages []report.Target) {
	if cmd.HTML != "" {
		var page report.Target
		page.UnmarshalText([]byte("html=" + cmd.HTML)) // never fails
		pages = append(pages, page)
	}
	return pages
}

// page writes the page.
func (c comparison) page(w io.Writer) error {
	var matrix bytes.Buffer
	c.verified.Matrix(&matrix, report.Style{})
	v := bench.View{
		Result: c.measured, Title: "lab compare", Lead: strings.Split(c.verified.Summary(), "\n"),
		Overview: []text.Table{c.table()}, Says: c.breaks(), Matrix: matrix.String(),
	}
	for _, s := range c.verified.Subjects {
		v.Cards = append(v.Cards, cardOf(s))
	}
	return v.Write(w)
}

// cardOf is what a model says of itself, or how a command was started.
func cardOf(s report.Subject) bench.Card {
	m, err := all.Named(s.Name)
	if s.Kind != "model" || err != nil {
		return bench.Card{Name: text.Line(s.Name), Summary: text.Line(strings.Join(s.Command, " ")), Limit: limitOf(s.Limit), Waits: "?", Holds: "?", Page: "–"}
	}
	return bench.Card{Name: m.Name, Summary: m.Summary, Holds: m.Holds, Waits: m.Waits, Limit: limitOf(m.Limit), Page: m.Page()}
}

func limitOf(n int) string {
	if n == 0 {
		return "no limit"
	}
	return strconv.Itoa(n)
}
