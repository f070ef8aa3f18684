package experiment

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"socketlab/lab/text"
)

var runawayChild = Experiment{
	Name: "runaway-child", Title: "the child leaves its loop, and does not exit",
	Lesson: 3, Takes: time.Second, Alone: true,
	Bug:  Bug{C: "runaway"},
	Look: "the CPU time that is used for clients who have left",
	Why:  "fork returns twice, in the parent and in the child, and both go on at the next line. A child that has served its client and does not call exit goes back to the top of the parent's loop, to accept, on a descriptor that it has closed: EBADF, at once, for ever. No child ever ends, so no SIGCHLD comes, and no handler can help.",
	Read: "fork(2); accept(2), ERRORS",
	Page: "models/process/process.go:func Child",
	Ask: func(seed *rand.Rand) Question {
		n := 1 + seed.IntN(2)
		return Question{
			Asks: fmt.Sprintf("A server has a child for each client. A child closes the listening socket, serves, and forgets exit(0). %s came and left. What is there now?", text.Count(n, "client")),
			Says: []Choice{
				{"the server alone: a child ends with its client", "Nothing ends a process but exit, a signal, or the return from main."},
				{"zombies, one for each client", "A zombie has ended. These have not."},
				{"children that sleep in accept, and serve later clients", "They had closed the listening socket: accept failed at once."},
				{"children that fail to accept, and use all the CPU they get", ""},
			},
			Right: 3, Mended: 0,
			Run: func(r *Run) (int, string) {
				s := r.Wrong(r.bug)
				for range n {
					c := s.Dial()
					c.Ask("hello\n", patience)
					c.Close()
				}
				r.Sleep(100 * time.Millisecond)
				said := len(s.Stdout())
				cpu, wanted := s.CPU(700 * time.Millisecond)
				lines := strings.Split(strings.TrimSpace(string(s.Stdout()[said:])), "\n")
				failed, why := 0, "–"
				if lines[0] != "" {
					failed = len(lines) * 100000
					_, why, _ = strings.Cut(lines[len(lines)-1], "times ")
				}
				left, dead := len(s.Children()), s.Tree().Zombies
				r.Columns("after they left")
				r.Row("clients that left", n)
				r.Row("children", left)
				r.Row("zombies among them", dead)
				r.Row("cores in use", fmt.Sprintf("%.1f of %d", cpu, runtime.NumCPU()))
				r.Row("accept failed, in 0.7 s", fmt.Sprintf("some %s times", text.Number(failed)))
				r.Row("its error", why)
				saw := which(left == 0, dead == left, failed == 0 && wanted < 0.1, failed > 0 && wanted > 0.5)
				return saw, fmt.Sprintf("%s left. There are %s, %d of them zombies, which use %.1f cores; accept failed some %s times in 0.7 s (%s).", text.Count(n, "client"), text.Count(left, "child", "children"), dead, cpu, text.Number(failed), why)
			},
		}
	},
}
