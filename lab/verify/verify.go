package verify

import (
	"cmp"
	"context"
	"crypto/tls"
	"slices"
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
	return subject.Spec{Name: s.Name, Kind: s.Kind, Command: s.Command(service), Limit: s.Limit, Most: most}
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
}

// rounds is how many random schedules are played.
func (o Options) rounds() int { return max(1, o.Rounds) }

// patience is how long a whole check may take, however many events it waits
// for.
func (o Options) patience(c Check) time.Duration {
	patience := 12 * o.Wait
	if c.Group() == "random" {
		patience += time.Duration(o.rounds()) * o.Wait
	}
	return patience
}

// Verify holds the servers to the checks. If ctx ends, so does every check that
// still runs, as an error. It fails if a server cannot be started at all.
func Verify(ctx context.Context, servers []Server, o Options) (report.Verify, error) {
	result := report.Verify{Schema: "lab.verify/1"}
	for _, s := range servers {
		if err := s.try(ctx, o); err != nil {
			return result, err
		}
	}
	progress := progress{tell: o.Progress}
	var long, short []func(idle func()) // begun in this order, so that at the end none is left alone
	for _, s := range servers {
		checks := slices.DeleteFunc(slices.Clone(o.Checks), func(c Check) bool {
			return !s.Concerns(c)
		})
		verdicts := make([]report.Check, len(checks))
		for i, c := range checks {
			job := func(idle func()) {
				verdicts[i] = run(ctx, s, c, o, hooks{progress.schedule, idle})
				progress.check()
			}
			progress.OfChecks++
			if c.Group() == "random" && o.Replay == nil {
				progress.OfSchedules += o.rounds()
			}
			if c.Long {
				long = append(long, job)
			} else {
				short = append(short, job)
			}
		}
		result.Subjects = append(result.Subjects, report.Subject{
			Name: s.Name, Kind: s.Kind, Command: s.Command("echo"), Limit: s.Limit, Checks: verdicts,
		})
	}
	together(o.Together, append(long, short...))
	for i := range result.Subjects {
		result.Subjects[i].Count()
	}
	return result, nil
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

func (p *progress) check()    { p.step(&p.Checks) }
func (p *progress) schedule() { p.step(&p.Schedules) }

func (p *progress) step(n *int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*n++
	if p.tell != nil {
		p.tell(p.Progress)
	}
}
