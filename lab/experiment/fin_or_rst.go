package experiment

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

var finOrRst = Experiment{
	Name: "fin-or-rst", Title: "four ways to say goodbye: which of them reset?",
	Lesson: 2, Takes: time.Second,
	Look:    "what goes over the wire, and what three recv in a row say at the other end, which has not read the bytes",
	Why:     "close sends FIN, unless bytes are unread or SO_LINGER is 0: then RST. A process that is killed has its sockets closed by the kernel, as by close. Linux hands out what had arrived before a reset; then recv fails with ECONNRESET, once, and after that it returns 0.",
	Read:    "socket(7), SO_LINGER; RFC 9293, section 3.6.1; RFC 2525, section 2.17",
	Picture: "lab trace --model=blocking --scene=unread",
	Page:    "docs/handshakes.md:Unread",
	Ask: func(seed *rand.Rand) Question {
		text := "hello"[:2+seed.IntN(4)]
		return Question{
			Asks: fmt.Sprintf("A client sends %d bytes, which nobody reads yet, and then says goodbye in four ways: close; close with bytes unread; close with SO_LINGER 0; kill −9. Which of them send RST, and are the %d bytes lost for the other end?", len(text), len(text)),
			Says: []Choice{
				{"close with bytes unread and SO_LINGER 0 send RST; the bytes can still be read", ""},
				{"close with bytes unread and SO_LINGER 0 send RST; the bytes are lost", "recv returned them, and only then failed with ECONNRESET."},
				{"only kill −9 sends RST: the program could not say goodbye", "The kernel closes the sockets of a process that ends, however it ends."},
				{"all four send FIN: TCP always closes in order", "RST was seen."},
			},
			Right: 0,
			Run: func(r *Run) (int, string) {
				wire := r.Wire()
				ways := []string{"close", "close, unread", "SO_LINGER 0", "kill −9"}
				resets, kept, after := []string{}, 0, ""
				for i, way := range ways {
					lfd, addr := r.Listen(1)
					var client *Client
					var chat *Program
					if way == "kill −9" {
						chat = r.Program(r.Lab, "chat", addr.String())
						chat.Type(text)
					} else {
						client = r.Dial(addr.String())
						client.Send(text)
					}
					server := r.accept(lfd)
					r.Until(patience, func() bool { return unread(addr.Port()) == len(text) })
					if way == "close, unread" {
						server.Send("!")
					}
					wire.Segments(addr.Port()) // until here
					switch i {
					case 0, 1:
						client.Close()
					case 2:
						client.Reset()
					case 3:
						chat.Kill()
					}
					said := strings.Join([]string{server.Try(patience), server.Try(patience), server.Try(patience)}, ", ")
					sent := flagsOf(wire.Segments(addr.Port()))
					r.Column(way, "on the wire", sent, "recv says", said)
					if strings.Contains(sent, "RST") {
						resets = append(resets, way)
						after = said
					}
					if strings.HasPrefix(said, fmt.Sprintf("%d bytes", len(text))) {
						kept++
					}
				}
				got := strings.Join(resets, " ")
				saw := which(
					got == "close, unread SO_LINGER 0" && kept == len(ways),
					got == "close, unread SO_LINGER 0",
					got == "kill −9",
					got == "",
				)
				return saw, fmt.Sprintf("RST was sent by %s. After it the other end's recv said: %s.", list(resets), after)
			},
		}
	},
}
