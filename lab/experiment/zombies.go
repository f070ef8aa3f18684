package experiment

import (
	"fmt"
	"math/rand/v2"
	"time"
)

var zombies = Experiment{
	Name: "zombies", Title: "10 children end at once, one wait() per signal: how many zombies?",
	Lesson: 3, Takes: 2 * time.Second,
	Bug:     Bug{C: "zombies"},
	Look:    "the children in state Z after all of them have ended",
	Why:     "A signal that is pending already is not queued a second time: SIGCHLD says that at least one child has ended. So the handler must call waitpid with WNOHANG until it returns 0. A process that ignores SIGCHLD has no zombies at all.",
	Read:    "signal(7), Queueing and delivery semantics for standard signals; wait(2), NOTES",
	Picture: "lab trace --model=process --scene=process-life",
	Page:    "models/process/process.go:Reap",
	Ask: func(seed *rand.Rand) Question {
		n := 5 + seed.IntN(8)
		return Question{
			Asks: fmt.Sprintf("A server has a child for each client. Its handler of SIGCHLD calls wait() once. %d children end while the server is held for a moment. How many zombies stay?", n),
			Says: []Choice{
				{"none", "One call of wait collects one child."},
				{"1", "The signals did not queue: there was one for all of them."},
				{fmt.Sprint(n - 1), ""},
				{fmt.Sprint(n), "One signal was delivered, and one child was collected."},
			},
			Right: 2, Mended: 0,
			Run: func(r *Run) (int, string) {
				left := func(name string, s *Server) int {
					var clients []*Client
					for range n {
						c := s.Dial()
						c.Ask("hello\n", patience)
						clients = append(clients, c)
					}
					s.Hold()
					for _, c := range clients {
						c.Close()
					}
					r.Until(patience, func() bool { return s.Tree().Zombies == n || len(s.Children()) == 0 })
					ended := n - (len(s.Children()) - s.Tree().Zombies)
					s.Release()
					r.Sleep(200 * time.Millisecond)
					z := s.Tree().Zombies
					r.Column(name, "children that ended", fmt.Sprintf("%d of %d", ended, n), "zombies", z)
					return z
				}
				start := func(flags ...string) *Server { return r.Start(specimen(r.build("zombies", flags...))) }
				left("no wait", start("-DNOBODY_WAITS"))
				name := "wait once"
				if r.Repaired {
					name = "wait once, repaired"
				}
				z := left(name, r.Wrong(r.bug))
				left("wait in a loop", start("-DREPAIRED"))
				left("SIGCHLD ignored", start("-DIGNORED"))
				saw := which(z == 0, z == 1, z == n-1, z == n)
				return saw, fmt.Sprintf("%d children ended, and %d stayed zombies.", n, z)
			},
		}
	},
}
