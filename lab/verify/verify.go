package verify

import (
	"context"
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
}

func (s Server) spec(service string) subject.Spec {
	return subject.Spec{Name: s.Name, Command: s.Command(service)}
}

// Options say how to verify.
type Options struct {
	Checks   []Check
	Wait     time.Duration      // how long to wait for any one event
	Together int                // how many checks run at once, each on a server of its own
	Progress func(done, of int) // told after each check
}

// Verify holds the servers to the checks. If ctx ends, so does every check that
// still runs, as an error.
func Verify(ctx context.Context, servers []Server, o Options) report.Verify {
	result := report.Verify{Schema: "lab.verify/1"}
	var jobs []func()
	for _, s := range servers {
		checks := slices.DeleteFunc(slices.Clone(o.Checks), func(c Check) bool {
			return !slices.Contains(s.Services, c.Service)
		})
		verdicts := make([]report.Check, len(checks))
		for i, c := range checks {
			jobs = append(jobs, func() { verdicts[i] = run(ctx, s, c, o.Wait) })
		}
		result.Subjects = append(result.Subjects, report.Subject{
			Name: s.Name, Kind: s.Kind, Command: s.Command("echo"), Limit: s.Limit, Checks: verdicts,
		})
	}
	together(o.Together, jobs, o.Progress)
	for i := range result.Subjects {
		result.Subjects[i].Count()
	}
	return result
}

// together does all jobs, n at a time.
func together(n int, jobs []func(), progress func(done, of int)) {
	var mu sync.Mutex // guards next and done, and keeps progress in order
	var workers sync.WaitGroup
	next, done := 0, 0
	for range n {
		workers.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			for next < len(jobs) {
				job := jobs[next]
				next++
				mu.Unlock()
				job()
				mu.Lock()
				done++
				progress(done, len(jobs))
			}
		})
	}
	workers.Wait()
}
