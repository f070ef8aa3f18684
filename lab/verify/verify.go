package verify

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"socketlab/lab/report"
	"socketlab/lab/subject"
)

// A Server is one to be held to the checks.
type Server struct {
	Name     string
	Kind     string                        // "model" or "command"
	Limit    int                           // clients it serves at once; 0: no limit
	Port     uint16                        // where it listens always, and so one at a time; 0: where it is told
	Services []string                      // what it can serve: "echo", "talk"
	Command  func(service string) []string // how to start it, with {port} for the port

	TLS    *tls.Config // it speaks TLS, and this is what a client says; nil: it does not
	Mutual []string    // how to start it so that it asks clients for a certificate; nil: as always
}

func (s Server) spec(service string) subject.Spec {
	if service == "tls" {
		service = "echo" // over TLS
	}
	const most = 3000 // two processes for each of a thousand clients, and some more
	return subject.Spec{Name: s.Name, Kind: s.Kind, Command: s.Command(service), Limit: s.Limit, Port: s.Port, Most: most}
}

// Concerns reports whether a check is about what the server serves. What speaks
// TLS serves that too.
func (s Server) Concerns(c Check) bool {
	return slices.Contains(s.Services, c.Service) || c.Service == "tls" && s.TLS != nil
}

// start starts a server. To begin to listen is an event like others: it is not
// waited for longer, if nothing else was said.
func (o Options) start(ctx context.Context, spec subject.Spec) (*subject.Subject, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(o.Start, o.Wait))
	defer cancel()
	return subject.Start(ctx, spec)
}

// try starts the server and stops it, to find out early that it cannot be done.
func (s Server) try(ctx context.Context, o Options) error {
	server, err := o.start(ctx, s.spec(s.Services[0]))
	if err != nil {
		return err
	}
	_, err = server.Stop()
	return err
}

// Options say how to verify.
type Options struct {
	Checks   []Check
	Wait     time.Duration  // how long to wait for any one event
	Start    time.Duration  // how long until a server listens; 0: as for any event
	Together int            // how many checks run at once, each on a server of its own
	Progress func(Progress) // told after each step of it; nil: nobody is

	// Begun is given what tells at any time what is known; nil: nobody wants to.
	Begun func(known func() report.Verify)

	All  bool // also those that can only repeat what another has shown
	Soak bool // many more connections, for what leaks little

	Seed   uint64   // of the first random schedule; the next ones count upwards
	Rounds int      // how many random schedules
	Replay Schedule // play this one instead; nil: random ones

	// Again plays a check that failed once more, and returns how that went,
	// with a diagram; nil: none is. The verdict stays that of the first time.
	Again func(context.Context, Server, Check, Options) (report.Check, error)
}

// A Progress is how far it has come.
type Progress struct {
	Checks, OfChecks       int
	Schedules, OfSchedules int // random ones: a long hunt is one check

	Server string        // whose check has just ended; "": none has
	Latest *report.Check // that check
}

// rounds is how many random schedules are played.
func (o Options) rounds() int { return max(1, o.Rounds) }

// patience is how long a whole check may take, however many events it waits
// for.
func (o Options) patience(c Check) time.Duration {
	patience := max(4*o.Wait, min(12*o.Wait, 20*time.Second))
	if c.Long {
		patience *= 2
	}
	if o.Soak && c.Long {
		patience *= 10
	}
	if c.Group() == "random" {
		patience += time.Duration(o.rounds()) * o.Wait
	}
	return patience
}

// Verify holds the servers to the checks. If ctx ends, so does every check that
// still runs, as an error. It fails if a server cannot be started at all; then
// the result has the diagnosis.
func Verify(ctx context.Context, servers []Server, o Options) (report.Verify, error) {
	result := report.Verify{Schema: "lab.verify/1"}
	for _, s := range servers {
		if err := s.try(ctx, o); err != nil {
			held := report.Subject{Name: s.Name, Kind: s.Kind, Command: s.Command(s.Services[0]), Limit: s.Limit}
			held.Diagnosis = diagnose([]failure{{facts: startFacts(s, err)}})
			result.Subjects = append(result.Subjects, held)
			return result, err
		}
	}
	o.Start = max(o.Start, o.Wait, 10*time.Second) // it has listened once: that is no check's sentence
	progress := progress{tell: o.Progress}
	var held []*trial
	var first, long, short, last []func(idle func())
	for _, s := range servers {
		t := newTrial(s, o, len(servers))
		ctx, end := context.WithCancelCause(ctx)
		defer end(nil)
		if !o.All {
			go t.bound(ctx, end)
		}
		held = append(held, t)
		for i, c := range t.checks {
			job := func(idle func()) {
				t.hold(ctx, i, o, hooks{progress.schedule, idle})
				progress.check(s.Name, &t.verdicts[i])
			}
			progress.OfChecks++
			if c.Group() == "random" && o.Replay == nil {
				progress.OfSchedules += o.rounds()
			}
			switch {
			case c.First:
				first = append(first, job)
			case c.Long: // begun before the short ones, so that at the end none is left alone
				long = append(long, job)
			default:
				short = append(short, job)
			}
			last = append(last, func(func()) { t.repeat(ctx, i, o) })
		}
	}
	known := func() report.Verify {
		now := result
		for _, t := range held {
			now.Subjects = append(now.Subjects, t.report())
		}
		return now
	}
	if o.Begun != nil {
		o.Begun(known)
	}
	together(o.Together, first)
	together(o.Together, append(long, short...))
	together(1, last)
	return known(), nil
}

// A trial is one server on its way through the checks.
type trial struct {
	Server
	checks   []Check
	verdicts []report.Check // of each check
	port     sync.Mutex     // held while the server has the only port that it can listen on

	start time.Time
	most  time.Duration // after that, no check begins if it is known that the server is not right

	mu   sync.Mutex
	seen []facts // what each check saw when it failed
}

func newTrial(s Server, o Options, together int) *trial {
	const most = 40 * time.Second
	t := &trial{Server: s, start: time.Now(), most: most * time.Duration(together)}
	t.checks = slices.DeleteFunc(slices.Clone(o.Checks), func(c Check) bool {
		return !s.Concerns(c)
	})
	t.verdicts, t.seen = make([]report.Check, len(t.checks)), make([]facts, len(t.checks))
	return t
}

// hold holds the server to one check, unless that can only repeat what another
// one has shown.
func (t *trial) hold(ctx context.Context, i int, o Options, tell hooks) {
	c := t.checks[i]
	unplayed := report.Check{ID: c.ID, Level: c.Level, Says: c.Says, Try: c.Try}
	switch shown, says := t.follows(c); {
	case o.All:
	case shown != "":
		unplayed.Status, unplayed.Follows = report.Fail, shown
		unplayed.Expected = "a server that passes " + shown
		unplayed.Actual = fmt.Sprintf("not played, since %s has shown that the server %s; --all plays it", shown, says)
		t.found(i, unplayed, facts{})
		return
	case t.late():
		unplayed.Status = report.Error
		unplayed.Expected = "to be played within a minute"
		unplayed.Actual = "not played: " + errEnough.Error()
		t.found(i, unplayed, facts{})
		return
	}
	if t.Port > 0 {
		t.port.Lock()
		defer t.port.Unlock()
	}
	result, seen := run(ctx, t.Server, c, o, tell)
	t.found(i, result, seen)
}

func (t *trial) found(i int, c report.Check, seen facts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.verdicts[i], t.seen[i] = c, seen
}

// late reports whether a server that has failed a check has taken so much time
// that its verdict is to come.
func (t *trial) late() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.start) > t.most && slices.ContainsFunc(t.verdicts, func(c report.Check) bool {
		return c.Status == report.Fail && c.Level == report.Must
	})
}

// bound ends the checks that still run when it is late, and has been for a while.
func (t *trial) bound(ctx context.Context, end context.CancelCauseFunc) {
	for ctx.Err() == nil {
		if t.late() && time.Since(t.start) > t.most*5/4 {
			end(errEnough)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// repeat plays a check once more that could not be decided, because the machine
// was too busy perhaps, alone this time.
func (t *trial) repeat(ctx context.Context, i int, o Options) {
	c, seen := t.verdicts[i], t.seen[i]
	if !seen.starved && c.Status != report.Error {
		return
	}
	if ctx.Err() == nil && (o.All || !t.late()) {
		c, seen = run(ctx, t.Server, t.checks[i], o, hooks{played: func() {}})
	}
	if seen.starved {
		c.Status = report.Error
		c.Actual += "; the machine was too busy to decide"
	}
	t.found(i, c, seen)
}

// follows is the check that has shown already what this one can only repeat, and
// what that is; "": none has.
func (t *trial) follows(c Check) (shown, says string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, other := range t.checks {
		f := t.seen[i]
		switch {
		case t.verdicts[i].Status != report.Fail || f.starved || other.ID == c.ID:
		case other.ID == "bytes/echo" && !c.Mute:
			return other.ID, "returns something else than what it was sent, or nothing"
		case c.Crowd && (f.mark == "children" && f.check == "life/children" || f.ending.Had > 0):
			return other.ID, "starts processes or threads that do not end"
		}
	}
	return "", ""
}

// report is the verdicts so far, with their causes.
func (t *trial) report() report.Subject {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := report.Subject{Name: t.Name, Kind: t.Kind, Command: t.Command("echo"), Limit: t.Limit, Checks: slices.Clone(t.verdicts)}
	var failures []failure
	for i, c := range t.checks {
		if s.Checks[i].Status == "" {
			s.Checks[i] = report.Check{ID: c.ID, Level: c.Level, Says: c.Says, Status: report.Error, Expected: "to be played", Actual: "interrupted", Try: c.Try}
		}
		if t.verdicts[i].Status == report.Fail && t.verdicts[i].Follows == "" {
			failures = append(failures, failure{t.seen[i], c.Causes})
		}
	}
	s.Diagnosis = diagnose(failures)
	for i := range s.Checks {
		c := &s.Checks[i]
		if t.Port > 0 {
			c.Try = strings.ReplaceAll(c.Try, "PORT", strconv.Itoa(int(t.Port)))
		}
		for j := range s.Diagnosis {
			d := &s.Diagnosis[j]
			if c.Follows != "" && slices.Contains(d.Explains, c.Follows) {
				d.Explains = append(d.Explains, c.ID)
			}
			switch k := slices.Index(d.Explains, c.ID); {
			case c.Hint != "" || k < 0:
			case k == 0:
				c.Hint = d.Says + ". " + d.Cure
			default:
				c.Hint = d.Says + "; this follows from that"
			}
		}
	}
	s.Count()
	return s
}

// together begins all jobs, in their order, n at a time. One that is idle makes
// room for the next, and goes on beside it.
func together(n int, jobs []func(idle func())) {
	room := make(chan struct{}, n)
	var running sync.WaitGroup
	for _, job := range jobs {
		room <- struct{}{}
		idle := sync.OnceFunc(func() { <-room })
		running.Go(func() {
			defer idle()
			job(idle)
		})
	}
	running.Wait()
}

// A progress is kept by checks that run at once.
type progress struct {
	mu sync.Mutex
	Progress
	tell func(Progress)
}

func (p *progress) check(server string, c *report.Check) { p.step(&p.Checks, server, c) }
func (p *progress) schedule()                            { p.step(&p.Schedules, "", nil) }

func (p *progress) step(n *int, server string, c *report.Check) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*n++
	p.Server, p.Latest = server, c
	if p.tell != nil {
		p.tell(p.Progress)
	}
}
