package experiment

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

var timeoutLeft = Experiment{
	Name: "timeout-left", Title: "select's timeout, set once",
	Lesson: 3, Takes: 2 * time.Second, Alone: true,
	Bug:  Bug{C: "timeout"},
	Look: "what is left of the timeout after a call that was interrupted by a client, and the lines after it",
	Why:  "On Linux select writes into the timeout how much of it was left; after a call that timed out that is 0. Who sets it once, before the loop, polls from then on. POSIX allows both, so the timeout must be set before each call. (tv_usec counts microseconds.)",
	Read: "select(2), NOTES; POSIX, select",
	Page: "models/sys/sys.go:func Select",
	Ask: func(seed *rand.Rand) Question {
		ms := 150 + 50*seed.IntN(4)
		return Question{
			Asks: fmt.Sprintf("A server calls select in a loop, with a timeout of %d ms that is set once, before the loop. After each timeout it prints \"waiting…\". For a second nobody comes. How many lines does it print?", ms),
			Says: []Choice{
				{fmt.Sprintf("%d", 1000/ms), "The first timeout took its time. Then nothing was left of it."},
				{"1: the timeout is used up", "It is used up: it is 0 then. A timeout of 0 means \"do not wait\", not \"wait for ever\"."},
				{"thousands", ""},
			},
			Right: 2, Mended: 0,
			Run: func(r *Run) (int, string) {
				s := r.Wrong(r.bug, fmt.Sprint(ms))
				r.Sleep(time.Duration(ms) * time.Millisecond / 3)
				s.Dial().Close() // a client: select returns early
				s.Shows("left", patience)
				var left int
				_, said, _ := strings.Cut(string(s.Stdout()), "left ")
				fmt.Sscan(said, &left)
				cpu, _ := s.CPU(time.Second)
				n := printed(s)
				r.Columns(fmt.Sprintf("a timeout of %d ms", ms))
				r.Row("left of it after 1/3", fmt.Sprintf("%d ms", left))
				r.Row("lines in the next second", n)
				r.Row("CPU", fmt.Sprintf("%.0f %% of a core", 100*cpu))
				saw := which(n > 1 && n >= 1000/ms-2 && n <= 1000/ms+1, n <= 1, n > 1000)
				return saw, fmt.Sprintf("After a client had come, %d ms of the timeout were left. Then the server printed %s lines in a second, with %.0f %% of a core.", left, map[bool]string{true: "more than 1000", false: fmt.Sprint(n)}[n > 1000], 100*cpu)
			},
		}
	},
}

// printed is how often the server has said "waiting…", as far as its output
// is kept.
func printed(s *Server) int { return strings.Count(string(s.Stdout()), "waiting") }
