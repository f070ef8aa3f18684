package experiment

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

var fortyMS = Experiment{
	Name: "forty-ms", Title: "two small writes, then a read: why 40 ms?",
	Lesson: 4, Takes: time.Second,
	Look: "the median of the time from the first write to the answer",
	Why:  "Nagle's algorithm holds back a small segment while an earlier one is not acknowledged. The other kernel delays that acknowledgement, in the hope that an answer will carry it: 40 ms on Linux. The server waits for the second half and does not answer, so both wait for a timer. TCP_NODELAY switches Nagle off; one writev, or a buffer, has nothing to hold back.",
	Read: "RFC 896; RFC 9293, sections 3.7.4 and 3.8.6.3; tcp(7), TCP_NODELAY",
	Page: "models/sys/listen.go:TCP_NODELAY",
	Ask: func(seed *rand.Rand) Question {
		head, body := 4+seed.IntN(12), 20+seed.IntN(60)
		return Question{
			Asks: fmt.Sprintf("A client writes a header of %d bytes, then %d bytes, and reads the answer, again and again. The server answers as soon as it has both. Both are on this machine. How long does one turn take, about?", head, body),
			Says: []Choice{
				{"less than 1 ms: loopback is fast", "It is. But the second write was held back until the first was acknowledged."},
				{"some 40 ms", ""},
				{"some 200 ms: the segment is sent again", "Nothing was lost, so nothing is sent again."},
			},
			Right: 1,
			Run: func(r *Run) (int, string) {
				lfd, addr := r.Listen(4)
				go func() { // the server: an answer for each head and body
					for {
						cfd, _, err := unix.Accept(lfd)
						if err != nil {
							return
						}
						go func() {
							defer unix.Close(cfd)
							buf := make([]byte, head+body)
							for {
								for got := 0; got < len(buf); {
									n, err := unix.Read(cfd, buf[got:])
									if err != nil || n == 0 {
										return
									}
									got += n
								}
								unix.Write(cfd, []byte("ok"))
							}
						}()
					}
				}()
				turn := func(nodelay, together bool) time.Duration {
					c := r.Dial(addr.String())
					r.Check(c.SetNoDelay(nodelay))
					var all []time.Duration
					for range 21 {
						start := time.Now()
						if together {
							pieces := net.Buffers{make([]byte, head), make([]byte, body)} // writev(2)
							_, err := pieces.WriteTo(c.TCPConn)
							r.Check(err)
						} else {
							c.Send(string(make([]byte, head)))
							c.Send(string(make([]byte, body)))
						}
						_, err := c.Recv(2, patience)
						r.Check(err)
						all = append(all, time.Since(start))
					}
					slices.Sort(all)
					return all[len(all)/2]
				}
				nagle, nodelay, writev := turn(false, false), turn(true, false), turn(false, true)
				r.Columns("two writes", "TCP_NODELAY", "one writev")
				r.Row("median of a turn", nagle, nodelay, writev)
				saw := which(
					nagle < 5*time.Millisecond,
					nagle > 30*time.Millisecond && nagle < 100*time.Millisecond && nodelay < nagle/4,
					nagle >= 150*time.Millisecond,
				)
				return saw, fmt.Sprintf("Two writes and a read took %s; with TCP_NODELAY %s; with one writev %s.", Took(nagle), Took(nodelay), Took(writev))
			},
		}
	},
}
