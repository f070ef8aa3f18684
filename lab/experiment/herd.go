package experiment

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

var herd = Experiment{
	Name: "herd", Title: "8 workers, one client: how many wake up?",
	Lesson: 4, Takes: 3 * time.Second, Alone: true,
	Look: "how many workers the kernel wakes for one client, and how evenly clients are shared",
	Why:  "Who sleeps in accept waits exclusively: the kernel wakes one. Who sleeps in poll or epoll_wait is told that the socket is ready, and all of them are; one gets the client, the others were woken for nothing (a thundering herd). EPOLLEXCLUSIVE makes epoll wake one, or a few; with SO_REUSEPORT each worker has a queue of its own.",
	Read: "accept(2); epoll_ctl(2), EPOLLEXCLUSIVE; socket(7), SO_REUSEPORT",
	Page: "models/prefork/prefork.go:sys.Accept(",
	Ask: func(seed *rand.Rand) Question {
		how := []string{"poll", "epoll"}[seed.IntN(2)]
		call := map[string]string{"poll": "poll", "epoll": "epoll_wait"}[how]
		return Question{
			Asks: fmt.Sprintf("Eight processes share one listening socket. All of them sleep in %s, to hear of clients. One client connects. How many wake up?", call),
			Says: []Choice{
				{"one: there is one client", "That is so in accept, where the kernel gives the client to one of those who sleep."},
				{"nearly all of the eight", ""},
				{"two: one for each core", "The kernel does not look at cores; it wakes who waits."},
			},
			Right: 1,
			Run: func(r *Run) (int, string) {
				const clients = 60
				woken := map[string]float64{}
				for _, way := range []string{"accept", "poll", "epoll", "EPOLLEXCLUSIVE", "SO_REUSEPORT"} {
					s := r.Start(subject.Spec{Name: way, Command: []string{r.build("herd"), "{port}", way}})
					r.Until(patience, func() bool { return len(s.Children()) == 8 })
					r.Sleep(50 * time.Millisecond)
					before := switches(s)
					files := filesOf(s)
					for range clients {
						s.Dial()
						r.Sleep(3 * time.Millisecond)
					}
					woken[way] = float64(switches(s)-before) / clients
					var shares []int
					for i, n := range filesOf(s) {
						shares = append(shares, n-files[i])
					}
					slices.Sort(shares)
					r.Column(way, "woken for one client", woken[way], "most clients at one", shares[7], "least", shares[0])
					s.Stop()
				}
				n := woken[how]
				saw := which(n < 1.6, n > 4, n < 2.5)
				return saw, fmt.Sprintf("For one client %s workers of 8 were woken in %s, and %s in accept. (The mean of %d clients.)", show(woken[how]), call, show(woken["accept"]), clients)
			},
		}
	},
}

// switches is how often the server's children have gone to sleep.
func switches(s *Server) (sum int64) {
	for _, p := range s.Children() {
		voluntary, _ := proc.ThreadOf(p.Pid, p.Pid).Switches()
		sum += voluntary
	}
	return sum
}

func filesOf(s *Server) (all []int) {
	for _, p := range s.Children() {
		all = append(all, p.Files)
	}
	return all
}
