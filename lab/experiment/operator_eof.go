package experiment

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

var operatorEOF = Experiment{
	Name: "operator-eof", Title: "the operator's terminal ends",
	Lesson: 3, Takes: time.Second, Alone: true,
	Bug:  Bug{C: "eof"},
	Look: "what the client gets after the operator's input has ended",
	Why:  "The end of a file is no event that passes: a descriptor at its end can always be read, and each read returns 0 at once. fgets returns NULL and leaves its buffer as it was. A loop that does not look sends the same buffer again and again; this one sends all 1024 bytes of it, with what earlier lines have left there.",
	Read: "fgets(3); poll(2), POLLHUP; read(2)",
	Page: "models/selectloop/select.go:keyboard",
	Ask: func(seed *rand.Rand) Question {
		line := []string{"good day", "who is there", "welcome"}[seed.IntN(3)]
		return Question{
			Asks: fmt.Sprintf("A chat server waits with select for its client and its operator. The operator types %q and Ctrl-D. The server does not look whether fgets returned NULL. What does the client get in the next 300 ms?", line),
			Says: []Choice{
				{"that line, once", "select said \"ready\" again: an end can always be read."},
				{"that line, and FIN: the server ends", "Nothing ended the server."},
				{"that line again and again, as fast as the server can", ""},
			},
			Right: 2, Mended: 0,
			Run: func(r *Run) (int, string) {
				s := r.Wrong(r.bug)
				c := s.Dial()
				fmt.Fprintln(s.Operator(), line)
				first, _ := c.Recv(len(line), patience)
				s.Operator().Close()
				got := make(chan string, 1)
				go func() {
					text, err := c.Recv(64<<20, 300*time.Millisecond)
					if err != nil && strings.Contains(err.Error(), "EOF") {
						text += "FIN"
					}
					got <- text
				}()
				cpu, _ := s.CPU(250 * time.Millisecond)
				text := first + <-got
				times := strings.Count(text, line)
				r.Columns("the client gets")
				r.Row("the line", fmt.Sprintf("%d times", times))
				r.Row("bytes in all", len(text))
				r.Row("of them no text", fmt.Sprintf("%d NUL", strings.Count(text, "\x00")))
				r.Row("CPU of the server", fmt.Sprintf("%.0f %% of a core", 100*cpu))
				left := strings.HasSuffix(text, "FIN")
				saw := which(!left && times == 1, left, times > 10)
				return saw, fmt.Sprintf("The client got the line %d times, %.1f MB in all, most of it NUL bytes; the server used %.0f %% of a core.", times, float64(len(text))/1e6, 100*cpu)
			},
		}
	},
}
