package experiment

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

var stream = Experiment{
	Name: "stream", Title: `you sent "hi\nexit\n" at once: how many messages?`,
	Lesson: 2, Takes: 2 * time.Second,
	Bug:  Bug{Broken: "misses-a-split-exit", Right: "select"},
	Look: "in which cases the server notices the line exit",
	Why:  "TCP carries bytes. How they were sent cannot be seen: one send may become two reads, two sends one read. A program that takes a read for a line works on the table at which it was written, where lines come one by one. Lines must be put together from what the reads bring, and ends may be \\n or \\r\\n.",
	Read: "RFC 9293, section 3.8; tcp(7)",
	Page: "models/session/lines.go:func",
	Ask: func(seed *rand.Rand) Question {
		cut := 1 + seed.IntN(4)
		cases := []struct{ name, pieces string }{
			{`"exit\n" alone`, "exit\n"},
			{fmt.Sprintf("%q, then %q", "exit\n"[:cut], "exit\n"[cut:]), "exit\n"[:cut] + "|" + "exit\n"[cut:]},
			{`"hi\nexit\n" at once`, "hi\nexit\n"},
			{`"exit\r\n" alone`, "exit\r\n"},
		}
		return Question{
			Asks: fmt.Sprintf("A server ends a conversation when a read brought \"exit\\n\". A client sends that line in four ways: alone; as %q and %q; together with the line before it; with \\r\\n at its end. In how many of the four does the server notice?", "exit\n"[:cut], "exit\n"[cut:]),
			Says: []Choice{
				{"4: the line is the same", "The line is; the reads are not."},
				{"3: all but the one in two pieces", "Two lines in one read are not equal to one line, either."},
				{"1: only if the line comes alone in one read", ""},
				{"0", "Alone, and in one piece, it was noticed."},
			},
			Right: 2, Mended: 0,
			Run: func(r *Run) (int, string) {
				noticed, name := 0, r.bug.Broken
				for _, c := range cases {
					s := r.Talk(r.bug)
					name = s.Name
					client := s.Dial()
					for i, piece := range strings.Split(c.pieces, "|") {
						if i > 0 {
							r.Until(patience, func() bool { end, ok := s.End(client); return ok && end.Unread == 0 && end.Inode != 0 })
							r.Sleep(20 * time.Millisecond)
						}
						client.Send(piece)
					}
					said := client.Try(400 * time.Millisecond)
					ended := said != "−1 EAGAIN"
					if ended {
						noticed++
					}
					r.Row(c.name, map[bool]string{true: "noticed", false: "missed"}[ended])
					s.Stop()
				}
				r.Columns(name)
				return slices.Index([]int{4, 3, 1, 0}, noticed), fmt.Sprintf("%s noticed %d of the 4.", name, noticed)
			},
		}
	},
}
