package experiment

import (
	"fmt"
	"math/rand/v2"
	"time"
)

var halfLine = Experiment{
	Name: "half-line", Title: "one client types half a line; who waits?",
	Lesson: 1, Takes: 2 * time.Second,
	Models: []string{"select"}, Own: true,
	Bug:  Bug{Broken: "reads-to-the-newline", Right: "select"},
	Look: "the slowest answer that another client gets",
	Why:  "That a descriptor is ready means that one read will not sleep. A loop that reads on until the newline sleeps in the second read, and with it everybody who is served by the same thread. An event loop reads what is there and keeps half a line until the rest comes.",
	Read: "select(2); Stevens, UNIX Network Programming, volume 1, section 6.8",
	Page: "models/selectloop/select.go:func (",
	Ask: func(seed *rand.Rand) Question {
		thinks := time.Duration(5+seed.IntN(6)) * 100 * time.Millisecond
		others := 3 + seed.IntN(5)
		return Question{
			Asks: fmt.Sprintf("One thread serves everybody with an event loop. When a client can be read, the loop reads until the newline. Client 1 sends \"hel\" and thinks for %s before it sends \"lo\\n\". %d others send whole lines meanwhile. Who waits?", Took(thinks), others),
			Says: []Choice{
				{"nobody: the loop waits for all at once", "The loop waits for all at once in one call only; the read for the rest of the line is another."},
				{"client 1 only", "One thread can sleep in one call only, and it slept in a read of client 1."},
				{"everybody, as long as client 1 thinks", ""},
			},
			Right: 2, Mended: 0,
			Run: func(r *Run) (int, string) {
				see := func(s *Server) (waited int, slowest time.Duration) {
					one := s.Dial()
					one.Send("hel")
					r.Sleep(50 * time.Millisecond)
					took := make(chan time.Duration, others)
					for range others {
						c := s.Dial()
						go func() {
							start := time.Now()
							c.Write([]byte("hello\n"))
							c.Recv(6, patience)
							took <- time.Since(start)
						}()
					}
					r.Sleep(thinks)
					one.Send("lo\n")
					for range others {
						t := <-took
						slowest = max(slowest, t)
						if t > thinks/2 {
							waited++
						}
					}
					r.Column(s.Name, "others that waited", fmt.Sprintf("%d of %d", waited, others), "slowest answer", slowest)
					return waited, slowest
				}
				waited, slowest := see(r.Wrong(r.bug))
				sentence := fmt.Sprintf("%d of %d others waited; the slowest answer took %s, and client 1 thought for %s.", waited, others, Took(slowest), Took(thinks))
				r.Servers(nil, func(s *Server) { see(s) })
				return which(waited == 0, false, waited == others), sentence
			},
		}
	},
}
