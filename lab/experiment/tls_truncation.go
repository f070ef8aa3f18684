package experiment

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
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
				saw := None
				switch inside, between, tcp := noticed("TLS, cut inside a record"), noticed("TLS, cut between records"), noticed("TCP, cut after line 1"); {
				case !inside && !between:
					saw = 0
				case tcp:
					saw = 3
				case inside && between:
					saw = 1
				case inside && noticed("lab chat, cut between records"):
					saw = 2
				}
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

// speaks is a server in this process that says a message, a write for each
// part, and closes.
func (r *Run) speaks(config *tls.Config, message []string) (addr string) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	r.Check(err)
	r.finally(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if config != nil {
				conn = tls.Server(conn, config)
			}
			go func() {
				for _, part := range message {
					io.WriteString(conn, part)
				}
				conn.Close() // with TLS: close_notify first
			}()
		}
	}()
	return listener.Addr().String()
}

// reads is all that a client reads, and how it ended.
func (r *Run) reads(addr string, config *tls.Config) (got string, err error) {
	var conn net.Conn = r.Dial(addr)
	if config != nil {
		conn = tls.Client(conn, config)
	}
	conn.SetDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(conn)
	return string(text), err
}

// cuts is somebody on the way to a server who lets so many bytes pass from it,
// and sends FIN to both.
func (r *Run) cuts(server string, after int) (addr string) {
	return r.between(server, func(client, server net.Conn) { io.CopyN(client, server, int64(after)) })
}

// cutsRecords is somebody on the way who lets so many of the server's records
// pass, and some bytes of the next: RFC 8446, section 5.1. The last one that
// passed is counted.
func (r *Run) cutsRecords(server string, after, bytes int64, passed *atomic.Int64) (addr string) {
	return r.between(server, func(client, server net.Conn) {
		header := make([]byte, 5)
		passed.Store(0)
		for passed.Load() < after {
			if _, err := io.ReadFull(server, header); err != nil {
				return
			}
			client.Write(header)
			io.CopyN(client, server, int64(header[3])<<8|int64(header[4]))
			passed.Add(1)
		}
		io.CopyN(client, server, bytes)
	})
}

// between is somebody on the way. What the client sends passes.
func (r *Run) between(server string, pass func(client, server net.Conn)) (addr string) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	r.Check(err)
	r.finally(func() { listener.Close() })
	go func() {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		behind, err := net.Dial("tcp4", server)
		if err != nil {
			client.Close()
			return
		}
		go io.Copy(behind, client)
		pass(client, behind)
		client.(*net.TCPConn).CloseWrite()
		behind.Close()
	}()
	return listener.Addr().String()
}
