package experiment

import (
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

var sigpipe = Experiment{
	Name: "sigpipe", Title: "a write to a client that has left",
	Lesson: 3, Takes: time.Second,
	Models: []string{"thread", "select"}, Own: true,
	Bug:  Bug{C: "sigpipe"},
	Look: "how the server's process ends, and what becomes of the client who stayed",
	Why:  "The first write after the client's close succeeds; the client's kernel answers it with RST. The next one fails with EPIPE, and SIGPIPE comes with it, whose default ends the process, all threads and all clients with it. MSG_NOSIGNAL, or SIGPIPE ignored, leaves only the error. Go's runtime does that for sockets.",
	Read: "send(2), MSG_NOSIGNAL; signal(7); package os/signal, SIGPIPE",
	Page: "models/sys/sys.go:func Write",
	Ask: func(seed *rand.Rand) Question {
		stay := 2 + seed.IntN(4)
		return Question{
			Asks: fmt.Sprintf("A C server has a thread for each client. %d clients are silent; one more asks and leaves at once, and the server goes on writing to it with send(fd, …, 0). What happens?", stay),
			Says: []Choice{
				{"send returns −1 with EPIPE, and the thread goes on", "It would, with MSG_NOSIGNAL. Without it a signal came first."},
				{"a signal ends the process, and all clients lose their connections", ""},
				{"a signal ends that one thread", "A signal whose default is to terminate ends the whole process."},
				{"nothing: send succeeds, and the bytes go nowhere", "Only the first one succeeded."},
			},
			Right: 1, Mended: 0,
			Run: func(r *Run) (int, string) {
				see := func(s *Server) (how string, lost int) {
					var stays []*Client
					for range stay {
						c := s.Dial()
						stays = append(stays, c)
					}
					leaves := s.Dial()
					leaves.Send("what is there?\n")
					leaves.Reset()
					how = "lives"
					select {
					case <-s.Exited():
						end, _ := s.Ending()
						how = "ended by " + unix.SignalName(end.Signal)
					case <-time.After(300 * time.Millisecond):
					}
					for _, c := range stays {
						if how != "lives" || c.Try(0) != "−1 EAGAIN" {
							lost++
						}
					}
					r.Column(s.Name, "the process", how, "clients that stayed", fmt.Sprintf("%d of %d lost", lost, stay))
					return how, lost
				}
				how, lost := see(r.Wrong(r.bug))
				saw := which(how == "lives" && lost == 0, how != "lives" && lost == stay)
				r.Servers(nil, func(s *Server) { see(s) })
				return saw, fmt.Sprintf("One client left while it was answered. The process %s, and %d of %d other clients lost their connections.", how, lost, stay)
			},
		}
	},
}
