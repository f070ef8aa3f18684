package experiment

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/text"
)

var cpuHog = Experiment{
	Name: "cpu-hog", Title: "one request computes; who suffers?",
	Lesson: 1, Takes: 4 * time.Second, Alone: true,
	Models: []string{"select", "goroutine"},
	Look:   "the answer to the second client, with one core and with two",
	Why:    "An event loop is one thread: while it computes, nobody is served, however many cores there are. Threads, goroutines and processes compute beside each other, if there are cores for them. With one core they only take turns, and both are late.",
	Read:   "sched(7); docs/models/select.md",
	Page:   "models/selectloop/select.go:func (",
	Ask: func(seed *rand.Rand) Question {
		work := time.Duration(10+seed.IntN(11)) * 10 * time.Millisecond
		return Question{
			Asks: fmt.Sprintf("To answer a request takes %s of computing. Two clients ask at the same moment; the machine has two cores. When do both have their answers, with select and with goroutine?", Took(work)),
			Says: []Choice{
				{fmt.Sprintf("both after %s: two cores, two answers", Took(work)), "select has one thread, and a thread is on one core."},
				{fmt.Sprintf("with select after %s, with goroutine after %s", Took(2*work), Took(work)), ""},
				{fmt.Sprintf("both after %s: the work is the same", Took(2*work)), "Two threads computed at the same time, on two cores."},
			},
			Right: 1,
			Run: func(r *Run) (int, string) {
				cores := allowed(r)
				took := map[string]time.Duration{}
				for _, model := range r.Models {
					var cells []any
					for n := 1; n <= 2; n++ {
						best, waited := bothAnswered(r, model, work, cores[:n])
						cells = append(cells, text.Count(n, "core"), fmt.Sprintf("%s, and waited %s for a core", Took(best), Took(waited)))
						took[model] = best
					}
					r.Column(model, cells...)
				}
				if len(r.Models) != 2 {
					return None, "two models are needed to answer this: --model=select,goroutine"
				}
				one, two := took[r.Models[0]], took[r.Models[1]]
				late := func(t time.Duration) bool { return t > work*3/2 }
				saw := which(!late(one) && !late(two), late(one) && !late(two), late(one) && late(two))
				return saw, fmt.Sprintf("With two cores both had their answers after %s from %s, and after %s from %s; to compute one takes %s. (The best of three.)", Took(one), r.Models[0], Took(two), r.Models[1], Took(work))
			},
		}
	},
}

// bothAnswered is how long two clients wait who ask at once, the best of three,
// and how long the server's threads were ready meanwhile and had no core.
func bothAnswered(r *Run, model string, work time.Duration, cores []string) (best, waited time.Duration) {
	spec := r.model(model, "--work="+work.String())
	spec.Command = append([]string{"taskset", "-c", strings.Join(cores, ",")}, spec.Command...)
	s := r.Start(spec)
	defer s.Stop()
	clients := []*Client{s.Dial(), s.Dial()}
	for range 3 {
		starved, start := s.Starved(), time.Now()
		for _, c := range clients {
			c.Send("compute\n")
		}
		for _, c := range clients {
			_, err := c.Recv(8, patience)
			r.Check(err)
		}
		if took := time.Since(start); best == 0 || took < best {
			best, waited = took, s.Starved()-starved
		}
	}
	return best, waited
}

// allowed are the numbers of two cores that we may run on.
func allowed(r *Run) (cores []string) {
	if _, err := exec.LookPath("taskset"); err != nil {
		r.Lacks("there is no taskset; install util-linux")
	}
	var set unix.CPUSet
	r.Check(unix.SchedGetaffinity(0, &set))
	for i := 0; i < 1024 && len(cores) < 2; i++ {
		if set.IsSet(i) {
			cores = append(cores, strconv.Itoa(i))
		}
	}
	if len(cores) < 2 {
		r.Lacks("this machine has one core")
	}
	return slices.Clip(cores)
}
