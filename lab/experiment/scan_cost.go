package experiment

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

var scanCost = Experiment{
	Name: "scan-cost", Title: "1 busy client among n silent ones: what does a request cost?",
	Lesson: 1, Takes: 2 * time.Second, Alone: true,
	Models: []string{"select", "poll", "epoll"}, Own: true,
	Look: "the server's CPU time for a request of the one busy client, as the silent ones become more",
	Why:  "select and poll are told all descriptors in each call, and the kernel looks at each of them. Then the program walks over them, too, to find the one that is ready. epoll keeps the list in the kernel, and a descriptor that becomes ready puts itself on a second, short one.",
	Read: "select(2), poll(2), epoll(7)",
	Page: "models/pollloop/poll.go:sys.Poll(",
	Ask: func(seed *rand.Rand) Question {
		most := 700 + 50*seed.IntN(5)
		return Question{
			Asks: fmt.Sprintf("One client asks and asks; %d others are connected and silent. For which of select, poll and epoll does a request cost more than it would without them?", most),
			Says: []Choice{
				{"for none: who is silent costs nothing", "Of select and poll each call looks at all of them."},
				{"for select only", "poll's list has an entry for each of them, too, and the kernel looks at each."},
				{"for select and poll", ""},
				{"for all three", "epoll's cost did not grow: only who is ready is looked at."},
			},
			Right: 2,
			Run: func(r *Run) (int, string) {
				var grew []string
				sentence := ""
				r.Servers(nil, func(s *Server) {
					model := s.Name
					busy := s.Dial()
					var silent []*Client
					xs, ys := []float64{0}, []float64{perRequest(r, s, busy)}
					for n := most / 3; n <= most; n += most / 3 {
						for len(silent) < n {
							silent = append(silent, s.Dial())
						}
						xs, ys = append(xs, float64(n)), append(ys, perRequest(r, s, busy))
					}
					for _, c := range silent {
						c.Close()
					}
					base, each := ys[0], max(0, slope(xs, ys))
					double := "never"
					if each*float64(most) > base/3 {
						if s.Spec.Kind == "model" {
							grew = append(grew, model)
						}
						double = fmt.Sprintf("from %.0f silent ones on", base/each)
					}
					r.Column(model,
						"without silent ones", fmt.Sprintf("%.1f µs", ys[0]),
						fmt.Sprintf("with %.0f", xs[len(xs)-1]), fmt.Sprintf("%.1f µs", ys[len(ys)-1]),
						"for each silent one", fmt.Sprintf("%.1f ns", 1000*each),
						"costs twice as much", double)
					sentence += fmt.Sprintf("%s: %.1f µs + %.1f ns for each silent client. ", model, base, 1000*each)
				})
				answers := []string{"", "select", "select poll", "select poll epoll"}
				return slices.Index(answers, strings.Join(grew, " ")), strings.TrimSpace(sentence)
			},
		}
	},
}

// perRequest is what a request of one client's costs the server, in µs of CPU
// time: the least of five.
func perRequest(r *Run, s *Server, c *Client) (least float64) {
	const requests = 300
	for try := range 5 {
		before := s.Tree().CPU
		for range requests {
			if _, ok := c.Ask("hello, are you there?\n", patience); !ok {
				r.Check(fmt.Errorf("%s does not answer", s.Name))
			}
		}
		cost := float64(s.Tree().CPU-before) / 1e3 / requests
		if try == 0 || cost < least {
			least = cost
		}
	}
	return least
}

// slope is that of the line through the first point which fits the others best:
// least squares.
func slope(xs, ys []float64) float64 {
	var xx, xy float64
	for i := range xs {
		xx, xy = xx+xs[i]*xs[i], xy+xs[i]*(ys[i]-ys[0])
	}
	return xy / xx
}
