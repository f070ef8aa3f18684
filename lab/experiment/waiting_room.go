package experiment

import (
	"fmt"
	"math/rand/v2"
	"time"
)

var waitingRoom = Experiment{
	Name: "waiting-room", Title: "who is client 2 connected to?",
	Lesson: 1, Takes: 2 * time.Second,
	Models: []string{"blocking", "goroutine"}, Own: true,
	Look:    "the state of client 2, and who holds its bytes, while client 1 is silent",
	Why:     "The kernel opens connections alone and puts them into a queue; accept(2) only takes them out. A connection that nobody has accepted is ESTABLISHED, belongs to no program (inode 0 in /proc/net/tcp), and has a receive buffer like any other.",
	Read:    "listen(2), NOTES; accept(2); tcp(7)",
	Picture: "lab trace --model=blocking --scene=two-clients",
	Page:    "models/blocking/blocking.go:sys.Accept(",
	Ask: func(seed *rand.Rand) Question {
		stays := time.Duration(6+seed.IntN(7)) * 100 * time.Millisecond
		hello := []string{"hello\n", "and me?\n", "good day\n"}[seed.IntN(3)]
		return Question{
			Asks: fmt.Sprintf("A server serves one client at a time. Client 1 is connected and silent for %s. Client 2's connect() has returned, and it sends %q. Who is client 2 connected to, and where are its bytes?", Took(stays), hello),
			Says: []Choice{
				{"to nobody: connect() returns when the server accepts", "connect() returned before the server called accept: the kernel had answered."},
				{"to the server's kernel: the bytes wait there", ""},
				{"to the server's program: it reads them and answers later", "No program held the socket: its inode was 0."},
			},
			Right: 1,
			Run: func(r *Run) (int, string) {
				saw, sentence := None, "no server was asked that serves one client at a time"
				r.Servers(nil, func(s *Server) {
					one := s.Dial()
					start := time.Now()
					two := s.Dial()
					connected := time.Since(start)
					waits := len(hello)
					answer := make(chan time.Duration, 1)
					began := time.Now()
					two.Send(hello)
					go func() {
						if text, _ := two.Recv(waits, patience); text == hello {
							answer <- time.Since(began)
						}
						close(answer)
					}()
					r.Until(stays, func() bool { end, ok := s.End(two); return ok && (end.Unread >= waits || end.Inode != 0) })
					r.Sleep(stays / 2)
					end, there := s.End(two)
					fd := s.Holds(end.Inode)
					r.Sleep(stays - time.Since(began))
					early := len(answer) > 0
					one.Close()
					answered, came := <-answer
					state, bytes := fmt.Sprintf("%v, not accepted", end.State), fmt.Sprintf("%d in the kernel", end.Unread)
					if fd >= 0 {
						state, bytes = fmt.Sprintf("%v, descriptor %d", end.State, fd), "read"
					}
					when := Took(answered)
					if !early {
						when = "after client 1 left, " + Took(answered)
					}
					r.Column(s.Name, "connect() took", connected, "client 2 is", state, "its bytes are", bytes, "its answer came", when)
					if early {
						return // this server serves both
					}
					saw = which(!there, fd < 0 && end.Inode == 0 && end.Unread == waits && came, fd >= 0)
					sentence = fmt.Sprintf("With %s client 2 was %v after %s, in no program's hands (inode %d). The kernel held its %d bytes, and the answer came after %s: client 1 stayed for %s.",
						s.Name, end.State, Took(connected), end.Inode, end.Unread, Took(answered), Took(stays))
				})
				return saw, sentence
			},
		}
	},
}
