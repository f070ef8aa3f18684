package experiment

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"socketlab/models/sys"
)

var backlog = Experiment{
	Name: "backlog", Title: "listen(fd, 1): how many can connect?",
	Lesson: 2, Takes: 3 * time.Second,
	Look:    "how many are ESTABLISHED, and how long the next connect() takes once there is room",
	Why:     "The backlog is the length of the queue of finished connections that nobody has accepted. Linux compares with \"greater than\", so one more fits in. To the next SYN the kernel does not answer at all; it counts ListenOverflows, and the client sends its SYN again after a second. net.ipv4.tcp_abort_on_overflow does not change that: a SYN that finds the queue full gets no reset either.",
	Read:    "listen(2), NOTES; tcp(7), tcp_abort_on_overflow; Documentation/networking/ip-sysctl.rst, tcp_syn_linear_timeouts",
	Picture: "lab trace --model=blocking --scene=queue",
	Page:    "models/sys/listen.go:func Listen",
	Ask: func(seed *rand.Rand) Question {
		length := 1 + seed.IntN(4)
		return Question{
			Asks: fmt.Sprintf("A server calls listen(fd, %d) and never accepts. Up to %d clients connect, one after the other. For how many does connect() return at once?", length, most),
			Says: []Choice{
				{fmt.Sprintf("%d: the backlog", length), "Linux takes one more: it refuses when the queue is longer than the backlog, not when it is as long."},
				{fmt.Sprintf("%d: one more than the backlog", length+1), ""},
				{fmt.Sprintf("%d: the backlog is only a hint", most), "The others' SYN got no answer: they were in SYN-SENT."},
				{"0: nobody has called accept", "accept takes a connection out of the queue; it does not make it."},
			},
			Right: 1,
			Run: func(r *Run) (int, string) {
				r.NeedsNamespace("a private count of overflows")
				before := overflows(r)
				lfd, addr := r.Listen(length)
				open, next := fill(r, addr)
				queue, established := queueOf(r, addr.Port())
				overflowed := overflows(r) - before
				r.Knob("tcp_abort_on_overflow", "1")
				_, strict := r.Listen(length)
				_, refused := fill(r, strict)
				answer := "none: SYN-SENT"
				select {
				case c := <-refused:
					answer = show(c.err)
				case <-time.After(300 * time.Millisecond):
				}
				var cookies []string // how many fit, whatever tcp_syncookies is
				same := true
				for _, value := range []string{"0", "1", "2"} {
					r.Knob("tcp_syncookies", value)
					_, other := r.Listen(length)
					n, _ := fill(r, other)
					cookies = append(cookies, fmt.Sprint(n))
					same = same && n == open
				}
				made := time.Now() // room: the next SYN finds it
				cfd, err := sys.Accept(lfd, 0)
				r.Check(err)
				r.finally(func() { sys.Close(cfd) })
				var last dialled
				select {
				case last = <-next:
					r.Check(last.err)
				case <-time.After(patience):
				}
				r.Columns(fmt.Sprintf("listen(fd, %d)", length))
				r.Row("connect() returned for", fmt.Sprintf("%d of %d", open, open+1))
				r.Row("ESTABLISHED at the server", established)
				r.Row("in the accept queue", queue)
				r.Row("ListenOverflows", overflowed)
				r.Row("the next one's connect() took", last.took)
				r.Row("the same with tcp_abort_on_overflow", answer)
				r.Row("connected with tcp_syncookies 0, 1, 2", strings.Join(cookies, ", "))
				saw := which(open == length, open == length+1, open == most, open == 0)
				if open != established || overflowed == 0 || !same {
					saw = None
				}
				return saw, fmt.Sprintf("With a backlog of %d, %d were connected, and the next client's SYN got no answer: the kernel counted %d of them in ListenOverflows. Room was made then, but its connect() took %s in all and returned %s after that: it had to send its SYN again.",
					length, open, overflowed, Took(last.took), Took(time.Since(made)))
			},
		}
	},
}

// most is how many clients try.
const most = 8

// A dialled is how a connect ended.
type dialled struct {
	took time.Duration
	err  error
}

// fill connects clients until one has to wait, whose end comes later.
func fill(r *Run, addr netip.AddrPort) (open int, next chan dialled) {
	for ; open < most; open++ {
		next = make(chan dialled, 1)
		go func() {
			start := time.Now()
			conn, err := net.DialTimeout("tcp4", addr.String(), 2*patience)
			next <- dialled{time.Since(start), err}
			if err == nil {
				<-r.ctx.Done()
				conn.Close()
			}
		}()
		select {
		case <-next:
		case <-time.After(200 * time.Millisecond):
			return open, next
		}
	}
	return open, next
}
