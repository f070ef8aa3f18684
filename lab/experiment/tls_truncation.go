package experiment

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

var tlsTruncation = Experiment{
	Name: "tls-truncation", Title: "the connection ends without close_notify",
	Lesson: 5, Takes: time.Second,
	Look:    "what the reader is told when somebody on the way ends the connection early",
	Why:     "FIN is not encrypted: anybody on the way can send it. So TLS has an end of its own, the alert close_notify, which nobody else can make. A library that takes a FIN between two records for the end tells its caller what TCP would: Go's crypto/tls does. Who wants to know must look for close_notify, or say in the conversation itself how long it is.",
	Read:    "RFC 8446, section 6.1; RFC 5246, section 7.2.1",
	Picture: "lab trace --model=tls --scene=tls-truncated",
	Page:    "lab/chat/tls.go",
	Ask: func(seed *rand.Rand) Question {
		n := 3 + seed.IntN(4)
		return Question{
			Asks: fmt.Sprintf("A server sends %d lines, each in a record of its own, and closes. Somebody on the way lets some pass and sends FIN to both. Which readers find out that lines are missing?", n),
			Says: []Choice{
				{"nobody: FIN is the end, with or without TLS", "Cut inside a record, TLS said that the end was unexpected; and lab chat said it in both cases."},
				{"who reads by TLS, wherever it was cut", "Between two records Go's library reported a plain end."},
				{"by TLS, who was cut inside a record, or looks for close_notify; by TCP nobody", ""},
				{"everybody: TCP has sequence numbers", "A FIN with the right number is as good as any. Who is on the way knows the number."},
			},
			Right: 2,
			Run: func(r *Run) (int, string) {
				server, _, trusted := identities(r)
				var message []string
				for i := range n {
					message = append(message, fmt.Sprintf("line %d of %d\n", i+1, n))
				}
				told := map[string]string{}
				see := func(name, got, said string) {
					told[name] = said
					r.Row(name, fmt.Sprintf("%d of %d", strings.Count(got, "line "), n), said)
				}
				plain := r.speaks(nil, message)
				secure := r.speaks(&tls.Config{Certificates: []tls.Certificate{server}}, message)
				asks := &tls.Config{RootCAs: trusted, ServerName: classroom}
				got, err := r.reads(plain, nil)
				see("TCP, whole", got, saysEnd(err))
				got, err = r.reads(r.cuts(plain, len(message[0])), nil)
				see("TCP, cut after line 1", got, saysEnd(err))
				var records atomic.Int64
				got, err = r.reads(r.cutsRecords(secure, 1000, 0, &records), asks)
				see("TLS, whole", got, saysEnd(err))
				before := records.Load() - 2 // the last line, and close_notify
				got, err = r.reads(r.cutsRecords(secure, before, 10, &records), asks)
				see("TLS, cut inside a record", got, saysEnd(err))
				got, err = r.reads(r.cutsRecords(secure, before, 0, &records), asks)
				see("TLS, cut between records", got, saysEnd(err))
				chat := r.Program(r.Lab, "chat", "--insecure", r.cutsRecords(secure, before, 0, &records))
				how, _ := chat.Ended(patience)
				screen := "an end"
				if strings.Contains(chat.Shown(), "close_notify") {
					screen = "that close_notify is missing"
				}
				see("lab chat, cut between records", chat.Shown(), screen+", "+how)
				r.Columns("lines", "the reader is told")
				noticed := func(name string) bool { return told[name] != "the end" && !strings.HasPrefix(told[name], "an end") }
				inside, between, tcp := noticed("TLS, cut inside a record"), noticed("TLS, cut between records"), noticed("TCP, cut after line 1")
				saw := which(
					!inside && !between,
					inside && between && !tcp,
					inside && !tcp && noticed("lab chat, cut between records"),
					tcp,
				)
				return saw, fmt.Sprintf("By TCP the reader was told: %s. By TLS, cut inside a record: %s; between records: %s. lab chat, which looks for close_notify, said: %s.",
					told["TCP, cut after line 1"], told["TLS, cut inside a record"], told["TLS, cut between records"], told["lab chat, cut between records"])
			},
		}
	},
}

func saysEnd(err error) string {
	switch {
	case err == nil:
		return "the end"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected EOF"
	}
	return err.Error()
}
