package experiment

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"socketlab/lab/proc"
)

var countTheClose = Experiment{
	Name: "count-the-close", Title: "how many segments does a close take?",
	Lesson: 2, Takes: time.Second,
	Look:    "the segments from the first FIN or RST on",
	Why:     "FIN ends one direction, and each direction needs one that is acknowledged. A kernel acknowledges a FIN alone only if its own program does not close at once; if it does, the ACK goes with the second FIN. A reset is neither answered nor acknowledged.",
	Read:    "RFC 9293, sections 3.6 and 3.10.7.4; docs/handshakes.md",
	Picture: "lab trace --model=blocking --scene=close-late",
	Page:    "docs/handshakes.md",
	Ask: func(seed *rand.Rand) Question {
		owed := []string{"hello\n", "good day\n", "and now?\n"}[seed.IntN(3)]
		return Question{
			Asks: "A client closes. The server, whose program closes when a read returns 0, is prompt; or late; or still owes an answer; or the client closes with SO_LINGER 0. How many segments does each of these take?",
			Says: []Choice{
				{"4, 4, 4 and 4: FIN and ACK, each way", "The ACK of the first FIN went with the second FIN, where the program was prompt."},
				{"3, 4, more than 4, and 1", ""},
				{"2, 2, 2 and 2: a FIN each way", "A FIN takes a sequence number and is acknowledged like data."},
				{"3, 3, 3 and 1", "The kernel does not wait for its program: it acknowledges a FIN alone when the program is late."},
			},
			Right: 1,
			Run: func(r *Run) (int, string) {
				wire := r.Wire()
				r.Knob("tcp_early_retrans", "0") // a FIN whose ACK is late is sent twice else
				s := r.Serve("goroutine")
				var counts []string
				for _, way := range []string{"prompt", "late", "owes an answer", "SO_LINGER 0"} {
					c := s.Dial()
					c.Ask("hello\n", patience)
					wire.Segments(s.Addr().Port())
					held := way == "late" || way == "owes an answer"
					if held {
						s.Hold()
					}
					switch way {
					case "SO_LINGER 0":
						c.Reset()
					case "owes an answer":
						c.Send(owed)
						c.Finish()
					default:
						c.Close()
					}
					if held {
						r.Until(patience, func() bool { end, ok := s.End(c); return ok && end.State == proc.CloseWait })
						r.Sleep(60 * time.Millisecond) // longer than a delayed ACK: RFC 9293, section 3.8.6.3
						s.Release()
					}
					if way == "owes an answer" {
						c.Recv(1<<10, patience)
						c.Close()
					}
					r.Until(patience, func() bool { _, ok := s.End(c); return !ok })
					all := wire.Segments(s.Addr().Port())
					first := slices.IndexFunc(all, func(s Segment) bool { return s.Has("FIN") || s.Has("RST") })
					closing := all[max(0, first):]
					r.Row(way, len(closing), drawn(closing, s.Addr().Port()))
					counts = append(counts, fmt.Sprint(len(closing)))
				}
				r.Columns("segments", "which")
				got := strings.Join(counts, " ")
				saw := which(
					got == "4 4 4 4",
					strings.HasPrefix(got, "3 4 ") && counts[2] > "4" && counts[3] == "1",
					got == "2 2 2 2",
					got == "3 3 3 1",
				)
				return saw, fmt.Sprintf("The prompt close took %s segments, the late one %s, the one with an answer between %s, the reset %s.", counts[0], counts[1], counts[2], counts[3])
			},
		}
	},
}

// drawn are segments from the client, →, and from the server, ←.
func drawn(segments []Segment, server uint16) string {
	var all []string
	for _, s := range segments {
		what := s.Flags
		if s.Bytes > 0 {
			what = strings.TrimPrefix(strings.Replace(fmt.Sprintf("%d bytes+%s", s.Bytes, s.Flags), "+ACK", "", 1), "+")
		}
		all = append(all, map[bool]string{true: "←", false: "→"}[s.From == server]+what)
	}
	return strings.Join(all, " ")
}
