package experiment

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

var halfClose = Experiment{
	Name: "half-close", Title: "you send, then FIN: do you get all your echo?",
	Lesson: 2, Takes: time.Second,
	Models: []string{"select"}, Own: true,
	Bug:     Bug{Broken: "closes-with-answers-unsent", Right: "select"},
	Look:    "how much comes back, and how the connection ends",
	Why:     "A read of 0 means that the client sends no more. It does not mean that it is gone: after shutdown(SHUT_WR), as of nc -N, it still receives. A server that closes at once destroys what it owes: what its own program holds is never sent.",
	Read:    "shutdown(2); RFC 9293, section 3.6",
	Picture: "lab trace --model=select --scene=half-close",
	Page:    "models/session/session.go:FeedEOF",
	Ask: func(seed *rand.Rand) Question {
		size := (160 + 16*seed.IntN(5)) << 10
		return Question{
			Asks: fmt.Sprintf("head -c %dK file | nc -N server: you send %d KiB to an echo server, finish with FIN, and read the echo slowly. The server closes when a read returns 0. What do you get?", size>>10, size>>10),
			Says: []Choice{
				{"all of it", "The server closed while it still owed a part, and that part was in its own memory."},
				{"a part; the rest is lost", ""},
				{"nothing: FIN closed the connection", "FIN ends one direction only. A part of the echo came."},
			},
			Right: 1, Mended: 0,
			Run: func(r *Run) (int, string) {
				r.Knob("tcp_wmem", "4096 4096 4096") // so that the kernel does not take it all
				message := strings.Repeat("0123456789abcde\n", size/16)
				see := func(s *Server) int {
					c := r.DialNarrow(s.Addr().String())
					go func() {
						c.Write([]byte(message))
						c.CloseWrite()
					}()
					r.Sleep(100 * time.Millisecond) // the server cannot be rid of it meanwhile
					got, err := c.Recv(size+1, patience)
					r.Column(s.Name, "came back", fmt.Sprintf("%d KiB of %d", len(got)>>10, size>>10), "then", show(err))
					return len(got)
				}
				got := see(r.Wrong(r.bug))
				saw := which(got == size, got > 0, got == 0)
				r.Servers(nil, func(s *Server) { see(s) })
				return saw, fmt.Sprintf("%d KiB of %d came back; %d KiB are lost.", got>>10, size>>10, (size-got)>>10)
			},
		}
	},
}
