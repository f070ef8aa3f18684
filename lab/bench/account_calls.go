package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"socketlab/lab/proc"
)

// A counter counts the system calls of processes. It is begun and ended while
// they have nothing to do.
type counter interface {
	name() string
	open() (env []string, err error) // before the server is started, with that in its environment
	begin(pids []int) error
	end() (map[string]float64, error)
	close()
}

// counters are those that this machine has. perf comes first: it hardly slows a
// server. strace makes it many times slower, so more clients are ready at once,
// and an event loop makes fewer calls for each. Without both, the probes of our
// own models count; they do not see the calls of the Go runtime.
func counters(s *Subject) (all []counter) {
	if path, err := exec.LookPath("perf"); err == nil {
		all = append(all, &perf{tool: tool{path: path}})
	}
	if path, err := exec.LookPath("strace"); err == nil {
		all = append(all, &strace{tool{path: path}})
	}
	if s.Kind == "model" {
		all = append(all, &probes{})
	}
	return all
}

// countCalls makes one more short run for each subject at each point. It
// measures nothing else.
func (r *Result) countCalls(ctx context.Context, o Options) error {
	const brief = 300 * time.Millisecond
	o.Duration = min(o.Duration, brief)
	for i := range r.Subjects {
		if len(counters(&r.Subjects[i])) == 0 {
			return errors.New("--syscalls needs perf or strace to count those of a command; install one: apt-get install strace")
		}
	}
	return r.visit(ctx, o, 0, 0, func(s *Subject, p, _ int) error {
		if s.Again {
			return nil
		}
		var errs []error
		for _, c := range counters(s) {
			calls, err := o.callsOf(ctx, s, o.Points[p], c)
			if err == nil {
				s.Cells[p].Calls, s.Cells[p].CallsBy = calls, c.name()
				return nil
			}
			errs = append(errs, err)
		}
		return fmt.Errorf("%s: system calls cannot be counted: %w", s.Name, errors.Join(errs...))
	})
}

func (o Options) callsOf(ctx context.Context, s *Subject, p Point, c counter) (calls map[string]float64, err error) {
	env, err := c.open()
	if err != nil {
		return nil, err
	}
	defer c.close()
	r, err := o.begin(ctx, s, p, env...)
	if err != nil {
		return nil, err
	}
	defer r.end()
	if r.Mode != "churn" {
		err = r.load.connect(p.Clients + p.Idle)
	}
	if err != nil {
		return nil, err
	}
	if _, err := r.request(o.Duration / 3); err != nil { // warm up
		return nil, err
	}
	tree, err := r.server.Tree()
	if err != nil {
		return nil, err
	}
	if err := c.begin(pids(tree)); err != nil {
		return nil, err
	}
	t, err := r.request(o.Duration)
	calls, countErr := c.end()
	if err := errors.Join(err, countErr); err != nil {
		return nil, err
	}
	for name := range calls {
		calls[name] /= max(1, float64(t.requests))
	}
	return calls, nil
}

func pids(tree proc.Tree) (pids []int) {
	for _, p := range tree.Processes {
		if !p.Ended() {
			pids = append(pids, p.Pid)
		}
	}
	return pids
}

func joined(pids []int) string {
	var text []string
	for _, pid := range pids {
		text = append(text, strconv.Itoa(pid))
	}
	return strings.Join(text, ",")
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if line == "" {
		return "it says nothing"
	}
	return line
}
