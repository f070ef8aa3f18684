package experiment

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"socketlab/lab/subject"
	"socketlab/lab/text"
)

var outOfDescriptors = Experiment{
	Name: "out-of-descriptors", Title: "what does accept do at the limit?",
	Lesson: 3, Takes: 5 * time.Second, Alone: true,
	Bug:  Bug{C: "full"},
	Look: "failing accepts, CPU, and what becomes of those who wait when a client leaves",
	Why:  "accept fails with EMFILE and leaves the connection in the queue. So the listening socket stays ready, and poll returns at once, again and again. A server must stop asking for it until a client leaves; to sleep a little only spins more slowly. With a descriptor in reserve it can accept and close, which turns the client away.",
	Read: "accept(2), ERRORS, EMFILE; libev(3), \"The special problem of accept()ing when you can't\"",
	Page: "models/pollloop/poll.go:sys.Full(",
	Ask: func(seed *rand.Rand) Question {
		limit := 12 + seed.IntN(8)
		return Question{
			Asks: fmt.Sprintf("An event loop may have %d descriptors, and has them all. More clients connect. accept fails with EMFILE; the loop ignores that and goes back to poll. What happens?", limit),
			Says: []Choice{
				{"poll sleeps until a descriptor is free", "The connection was still in the queue, so the listening socket was ready."},
				{"poll returns at once, for ever: a core is burnt", ""},
				{"the kernel refuses the others", "They were ESTABLISHED before accept was called, and stayed so."},
				{"accept waits until a descriptor is free", "accept fails at once for want of a descriptor, also on a blocking socket."},
			},
			Right: 1, Mended: 0,
			Run: func(r *Run) (int, string) {
				saw, sentence := None, ""
				for _, how := range []string{"", "PAUSE", "RESERVE", "REPAIRED"} {
					path := ""
					name := map[string]string{"": "ignores it", "PAUSE": "sleeps 100 ms", "RESERVE": "has one in reserve", "REPAIRED": "stops asking"}[how]
					if how == "" {
						path = r.Specimen("full")
					} else {
						path = r.build("full", "-D"+how)
					}
					s := r.Start(subject.Spec{Name: "full", Command: []string{path, "{port}"}, Files: uint64(limit)})
					r.Sleep(20 * time.Millisecond) // until it has opened what it opens
					before := s.Tree().Files
					var here []*Client
					for range limit { // more than there is room for
						here = append(here, s.Dial())
					}
					served := r.settled(func() int { return s.Tree().Files - before })
					failed := failures(s)
					cpu, wanted := s.CPU(600 * time.Millisecond)
					failed = failures(s) - failed
					waits := here[served]
					fate := "turned away"
					if waits.Try(0) == "−1 EAGAIN" {
						fate = "not served"
						here[0].Close()
						if after, answered := waits.Ask("hello\n", 2*time.Second); answered {
							fate = "served " + Took(after) + " after one left"
						}
					}
					r.Column(name, "failing accepts a second", int(float64(failed)/0.6), "CPU", fmt.Sprintf("%.0f %% of a core", 100*cpu), "who waits first is", fate)
					if how == "" {
						away := fate == "turned away"
						saw = which(!away && wanted < 0.1 && failed < 10, !away && wanted > 0.4 && failed > 1000, away)
						sentence = fmt.Sprintf("accept failed %s times in 0.6 s, and the server used %.0f %% of a core; who waits was %s.", text.Number(failed), 100*cpu, fate)
					}
					s.Stop()
					for _, c := range here {
						c.Close()
					}
				}
				return saw, sentence
			},
		}
	},
}

// failures is how many accepts have failed by the server's own count, which it
// prints for the first ones and each thousand.
func failures(s *Server) (n int) {
	lines := strings.Split(strings.TrimSpace(string(s.Stdout())), "\n")
	fmt.Sscanf(lines[len(lines)-1], "failed %d", &n)
	return n
}
