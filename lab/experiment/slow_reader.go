package experiment

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"socketlab/lab/text"
)

var slowReader = Experiment{
	Name: "slow-reader", Title: "one client sends 10 MB and does not read",
	Lesson: 3, Takes: 3 * time.Second,
	Models: []string{"select"}, Own: true,
	Bug:  Bug{Broken: "waits-for-a-slow-reader", Right: "select"},
	Look: "the other client's answer; the server's memory; the bytes that the kernel holds; the window",
	Why:  "What a client does not read fills its kernel's receive buffer, which closes the window (0 on the wire), and then the server's send buffer. After that a write sleeps, and in an event loop everybody sleeps with it. A loop that never waits must keep the rest itself, and must stop reading from who does not read, or its memory grows without end.",
	Read: "tcp(7), tcp_rmem and tcp_wmem; RFC 9293, section 3.8.6",
	Page: "models/session/session.go:WantRead",
	Ask: func(seed *rand.Rand) Question {
		size := 8 + seed.IntN(5)
		return Question{
			Asks: fmt.Sprintf("An echo server is an event loop, and writes to a client until all has gone. Client 1 sends %d MB and does not read. Client 2 says \"hello\". What happens?", size),
			Says: []Choice{
				{"client 2 is answered; only client 1 waits", "The only thread slept in a write to client 1."},
				{"client 2 waits until client 1 reads", ""},
				{fmt.Sprintf("client 2 is answered, and the server's memory grows by up to %d MB", size), "This one keeps nothing: it sleeps until it is rid of it. See the column keeps-everything."},
			},
			Right: 1, Mended: 0,
			Run: func(r *Run) (int, string) {
				wire := r.Wire()
				message := strings.Repeat("0123456789abcde\n", size<<20/16)
				see := func(s *Server) (answered bool, grew int64) {
					before := s.Tree().RSS
					one := s.Dial()
					go one.Write([]byte(message))
					held, since := 0, time.Now()
					r.Until(3*time.Second, func() bool { // until nothing moves any more
						r.Sleep(20 * time.Millisecond)
						if end, _ := s.End(one); end.Unsent > held {
							held, since = end.Unsent, time.Now()
						}
						return time.Since(since) > 400*time.Millisecond
					})
					grew = s.Tree().RSS - before
					took, answered := s.Dial().Ask("hello\n", time.Second)
					closed := 0
					for _, segment := range wire.Segments(s.Addr().Port()) {
						if segment.Window == 0 && segment.From != s.Addr().Port() && !segment.Has("RST") {
							closed++
						}
					}
					said := "no answer in 1 s"
					if answered {
						said = Took(took)
					}
					r.Column(s.Name,
						"client 2's answer", said,
						"its memory grew by", fmt.Sprintf("%.1f MB", float64(grew)/(1<<20)),
						"its kernel holds", fmt.Sprintf("%.1f MB", float64(held)/(1<<20)),
						"window 0 was said", text.Count(closed, "time"))
					one.Close()
					return answered, grew
				}
				answered, grew := see(r.Wrong(r.bug))
				saw := which(answered && grew < 3<<20, !answered, grew > 3<<20)
				see(r.Broken("keeps-everything"))
				r.Servers(nil, func(s *Server) { see(s) })
				return saw, fmt.Sprintf("Client 2 was %s within 1 s. The server's memory grew by %.1f MB.", map[bool]string{true: "answered", false: "not answered"}[answered], float64(grew)/(1<<20))
			},
		}
	},
}
