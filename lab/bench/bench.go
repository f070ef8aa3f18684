// Package bench makes a load on servers, and takes the account of what it cost
// them: side by side, round by round, and with the error of each figure.
//
// It stands on package subject: a model of ours and a stranger's program are
// processes with a port. What is measured, and what it means, is in
// docs/measuring.md.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"socketlab/lab/subject"
	"socketlab/lab/text"
)

// Options say what to measure.
type Options struct {
	Setting
	Points   []Point
	Duration time.Duration
	Freeze   time.Duration
	Patience time.Duration // how long a client waits for an answer
	Calls    bool          // count system calls too
	Baseline *Result       // to compare with; nil: nothing
	Asked    []string      // the command line, for the record
	Progress func(Step)    // told before each run
}

// A Step is a run that is about to begin.
type Step struct {
	Server   string
	Round    int // from 1; 0: it counts system calls
	Rounds   int
	Point    string
	TimeLeft time.Duration
}

// Bench measures the servers in turn, round by round, but those with a Failure. If there are several, one
// of them, the reference, is measured twice in each round: the difference is
// noise. If ctx ends, the result holds what was measured until then.
//
// A server that answers wrongly, or not at all, is left out from then on, and
// its Failure says why. An error means that measuring itself failed.
func Bench(ctx context.Context, servers []Subject, o Options) (Result, error) {
	o.divide()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(o.Threads + runtime.GOMAXPROCS(0))) // see thread.wait
	r := Result{
		Schema: schema, Asked: o.Asked, Started: time.Now(), Machine: ThisMachine(),
		Setting: o.Setting, Points: o.Points, Subjects: []Subject{},
	}
	for _, s := range servers {
		r.Subjects = append(r.Subjects, newSubject(s, o.Points))
	}
	if len(servers) > 1 || o.Baseline != nil {
		r.First = r.reference()
		again := newSubject(servers[r.First], o.Points)
		again.Name, again.Again, again.Twins = again.Name+" again", true, nil
		r.Subjects = append(r.Subjects, again)
	}
	var err error
	if o.Calls { // first: if nothing can count them, the user learns it at once
		err = r.countCalls(ctx, o)
	}
	if err == nil {
		err = r.rounds(ctx, o)
	}
	if ctx.Err() != nil {
		r.Partial, err = true, nil
	}
	r.MS = time.Since(r.Started).Milliseconds()
	r.conclude(o.Baseline)
	return r, err
}

// reference is the first subject that is measured at all points, or else the
// first.
func (r *Result) reference() int {
	return max(0, slices.IndexFunc(r.Subjects, func(s Subject) bool {
		return s.Failure == "" && !slices.ContainsFunc(s.Cells, func(c Cell) bool { return c.skipped(r.Setting.Mode) })
	}))
}

// divide shares out the CPUs.
func (o *Options) divide() {
	cpus := allowed()
	if o.Threads == 0 {
		o.Threads = min(4, max(1, len(cpus)/2))
	}
	o.CPUs, o.Server = divide(cpus, o.Threads)
	o.Setting.Seconds, o.Setting.Freeze = o.Duration.Seconds(), o.Freeze.Seconds()
}

// newSubject is a server with a cell for each point.
func newSubject(s Subject, points []Point) Subject {
	for _, p := range points {
		cell := Cell{Runs: []Run{}}
		if all := p.Clients + p.Idle; s.Limit > 0 && all > s.Limit {
			cell.Skipped = "serves " + text.Number(s.Limit) + " at a time"
		}
		s.Cells = append(s.Cells, cell)
	}
	return s
}

// rounds measures each subject once at each point, in every round.
func (r *Result) rounds(ctx context.Context, o Options) error {
	spare := r.runs() * o.Rounds / 4 // runs that may be made again
	return r.visit(ctx, o, 1, o.Rounds, func(s *Subject, p, round int) error {
		run, err := o.undisturbed(ctx, s, o.Points[p], &spare)
		if err == nil && ctx.Err() == nil {
			run.Round = round
			s.Cells[p].keep(run)
		}
		return err
	})
}

// visit does something with each subject at each point, in the rounds from first
// to last. A subject that answers wrongly is left out from then on.
func (r *Result) visit(ctx context.Context, o Options, first, last int, do func(s *Subject, p, round int) error) error {
	start, done, all := time.Now(), 0, r.runs()*(last-first+1)
	for round := first; round <= last; round++ {
		for p := range o.Points {
			for _, k := range r.order(round - first) {
				s := &r.Subjects[k]
				if s.Failure != "" || s.Cells[p].skipped(r.Setting.Mode) {
					continue
				}
				o.Progress(Step{s.Name, round, o.Rounds, r.Title(p), timeLeft(start, done, all, o.Duration)})
				err := do(s, p, round)
				if ctx.Err() != nil {
					return nil
				}
				if wrong, ok := errors.AsType[*ServerError](err); ok {
					s.Failure = fmt.Sprintf("with %s, %s", r.Title(p), wrong.Says)
				} else if err != nil {
					return err
				}
				done++
			}
		}
	}
	return nil
}

// skipped reports whether there is nothing to measure. In churn mode a server
// for one client at a time is measured too: it serves them one by one.
func (c *Cell) skipped(mode string) bool {
	if mode == "churn" {
		c.Skipped = ""
	}
	return c.Skipped != ""
}

// runs is how many there are in a round.
func (r *Result) runs() (n int) {
	for _, s := range r.Subjects {
		for i := range s.Cells {
			if s.Failure == "" && !s.Cells[i].skipped(r.Setting.Mode) {
				n++
			}
		}
	}
	return n
}

// timeLeft goes by how long the runs have taken so far.
func timeLeft(start time.Time, done, all int, d time.Duration) time.Duration {
	each := d * 3 / 2
	if done > 0 {
		each = time.Since(start) / time.Duration(done)
	}
	return each * time.Duration(all-done)
}

// A measured run has histograms too.
type measured struct {
	Run
	latency, naive *hdrhistogram.Histogram
}

func (c *Cell) keep(m measured) {
	c.Runs = append(c.Runs, m.Run)
	if m.Invalid == "" || c.Latency.Histogram == nil {
		c.Latency.add(m.latency)
		c.Naive.add(m.naive)
	}
}

// start starts a server on the CPUs for servers. A process inherits its CPUs
// from the thread that starts it.
func (o Options) start(ctx context.Context, s *Subject, env ...string) (*subject.Subject, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	was, err := pin(o.Server)
	if err == nil {
		defer unix.SchedSetaffinity(0, &was)
	}
	var most unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &most)
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	return subject.Start(ctx, subject.Spec{
		Name: s.Name, Kind: s.Kind, Command: s.Command, Limit: s.Limit, Files: most.Max, Env: env,
	})
}

// undisturbed is run. If other programs disturbed it, it runs again, twice at
// most, as long as there are spare runs.
func (o Options) undisturbed(ctx context.Context, s *Subject, p Point, spare *int) (m measured, err error) {
	for range 3 {
		if m, err = o.run(ctx, s, p); err != nil || !m.disturbed() || *spare == 0 {
			break
		}
		*spare--
	}
	return m, err
}

// run makes one measurement, of a server of its own.
func (o Options) run(ctx context.Context, s *Subject, p Point) (m measured, err error) {
	r, err := o.begin(ctx, s, p)
	if err != nil {
		return m, err
	}
	defer func() {
		err = explain(withEnding(err, r.server))
		if stopErr := r.end(); err == nil {
			err = stopErr
		}
	}()
	if err := r.baseline(); err != nil {
		return m, err
	}
	return r.measure()
}

// withEnding adds to what is wrong with the server how it has ended, if it has.
func withEnding(err error, server *subject.Subject) error {
	wrong, ok := errors.AsType[*ServerError](err)
	if !ok {
		return err
	}
	select {
	case <-server.Exited():
		ending, _ := server.Ending()
		return &ServerError{fmt.Sprintf("%s; the server has ended: %v (lab verify tells what it printed)", wrong.Says, ending)}
	case <-time.After(200 * time.Millisecond): // its end comes a little after its FIN or RST
		return err
	}
}

// explain adds the cure to an error of the generator.
func explain(err error) error {
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return fmt.Errorf("%w: raise the limit of descriptors with ulimit -n", err)
	}
	return err
}

// CheckFiles reports whether there are descriptors for so many clients, here
// and in a server that starts with the same limit.
func CheckFiles(clients int) error {
	const besides = 64 // what is open anyhow
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	if need := uint64(clients + besides); need > limit.Max {
		return fmt.Errorf("%s clients need %s descriptors, and the limit is %s; raise it with ulimit -n %d (as root, or for a user in /etc/security/limits.conf)",
			text.Number(clients), text.Number(int(need)), text.Number(int(limit.Max)), need)
	}
	return nil
}
