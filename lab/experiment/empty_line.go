package experiment

import (
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

var emptyLine = Experiment{
	Name: "empty-line", Title: "a line of nothing",
	Lesson: 1, Takes: time.Second,
	Bug:  Bug{C: "empty"},
	Look: "who sleeps where, and how many bytes are under way",
	Why:  "send with a length of 0 sends nothing on a TCP socket: there is no segment without a byte, and nothing for the other end to read. The client waits for an answer to a message that was never sent, and the server for the message. A message needs an end that is sent: the newline, or its length.",
	Read: "send(2); RFC 9293, section 3.8; docs/protocol.md, T1",
	Page: "models/session/lines.go:func",
	Ask: func(seed *rand.Rand) Question {
		words := []string{"hello", "good day", "what now?"}[seed.IntN(3)]
		return Question{
			Asks: fmt.Sprintf("A client takes turns: it cuts the newline off the user's line, sends strlen(line) bytes, and waits for the answer. After %q, which is answered, the user presses Enter alone. What happens?", words),
			Says: []Choice{
				{"the server gets an empty line, and answers", "There was no byte to get."},
				{"the server's recv returns 0, as if the client had left", "0 is for FIN. No FIN was sent, and no byte."},
				{"nothing is sent, and both wait for each other, for ever", ""},
			},
			Right: 2, Mended: 0,
			Run: func(r *Run) (int, string) {
				lfd, addr := r.Listen(1)
				client := r.Program(r.Specimen("empty"), fmt.Sprint(addr.Port()))
				server := r.accept(lfd)
				client.Type(words + "\n")
				server.Recv(len(words), patience)
				server.Try(100 * time.Millisecond) // the newline, if it comes
				server.Send("yes\n")
				client.Shows("yes", patience)
				client.Type("\n")
				said := server.Try(500 * time.Millisecond)
				if said == "−1 EAGAIN" {
					said = "nothing"
				}
				asleep := r.sleepsIn(client.Pid()).Number == unix.SYS_RECVFROM
				r.Columns("after Enter alone")
				r.Row("the server's recv says", said)
				r.Row("the client sleeps in recv", map[bool]string{true: "yes", false: "no"}[asleep])
				saw := which(said == "1 bytes", said == "0", said == "nothing" && asleep)
				return saw, fmt.Sprintf("In 500 ms the server's recv said: %s. The client %s in recv.", said, map[bool]string{true: "slept", false: "did not sleep"}[asleep])
			},
		}
	},
}
