package verify

import (
	"fmt"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
	"socketlab/lab/report"
)

const mib = 1 << 20

var closeChecks = []Check{
	{
		ID: "close/fin", Level: report.Must, Service: "echo",
		Says:  "closes its side after the client's FIN: no CLOSE-WAIT stays",
		Cause: neverCloses,
		Fits:  []symptom{lingers},
		Try:   `timeout 2 nc -N 127.0.0.1 PORT </dev/null; ss -tan 'sport = :PORT'`,
		Run: func(t *T) {
			for range 3 {
				c := t.Dial()
				c.Echo([]byte("goodbye\n"))
				c.HalfClose()
				c.ExpectFIN()
				c.Close()
			}
			t.Until("no socket of the server's in CLOSE-WAIT", func() (string, bool) {
				n := t.count(proc.CloseWait)
				return fmt.Sprintf("%d in CLOSE-WAIT", n), n == 0
			})
			t.Tell("no CLOSE-WAIT stayed")
		},
	},
	{
		ID: "close/half", Level: report.Must, Service: "echo",
		Says:  "after the client's FIN sends all it owes, then FIN, not RST",
		Cause: "the socket is closed as soon as read returns 0, while answers are still unsent",
		Fits:  []symptom{hungUp},
		Try:   `head -c 16M /dev/zero | nc -I 4096 -N 127.0.0.1 PORT | (sleep 2; wc -c)`,
		Run: func(t *T) {
			prompt := t.Dial()
			owed := random(mib)
			prompt.Send(owed)
			prompt.HalfClose()
			prompt.Expect(owed)
			prompt.ExpectFIN()

			late := t.DialNarrow() // the server is to read the end while it keeps answers
			owed = late.Overfill(12 * mib)
			late.HalfClose()
			late.Heard()
			late.Expect(owed)
			late.ExpectFIN()
		},
	},
	{
		ID: "close/reset", Level: report.Must, Service: "echo",
		Says:  "survives a reset while idle, in mid-message and before accept; others do not notice",
		Cause: "an error on one client's socket (ECONNRESET, or EPIPE and SIGPIPE when writing) ends the server, or all clients",
		Fits:  []symptom{hungUp, died},
		Try:   `kill -STOP PID; python3 -c 'import socket as s, struct; c = s.create_connection(("127.0.0.1", PORT)); c.setsockopt(s.SOL_SOCKET, s.SO_LINGER, struct.pack("ii", 1, 0))'; kill -CONT PID; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			other := t.bystander()

			idle := t.Dial()
			idle.Echo([]byte("hello\n"))
			idle.Reset()
			other()

			speaking := t.Dial()
			speaking.SendString("half a mess")
			speaking.Flush()
			speaking.Reset()
			other()

			t.freeze()
			t.Tell("the server was stopped (SIGSTOP), so that it cannot accept")
			for range 5 {
				if c := t.Knock(); c != nil { // or its queue is full, and small
					c.Reset()
				}
			}
			t.signalAll(unix.SIGCONT)
			t.Tell("the server goes on (SIGCONT)")
			other()
			t.Dial().Echo([]byte("I come after those\n"))
		},
	},
	{
		ID: "close/early", Level: report.Must, Service: "echo",
		Says:  "survives a client that leaves while an answer to it is being written",
		Cause: "writing to a connection that is gone raises SIGPIPE, which ends a process that does not ignore it; the error EPIPE is not expected",
		Fits:  []symptom{hungUp, died},
		Try:   `kill -STOP PID; head -c 60k /dev/zero >/dev/tcp/127.0.0.1/PORT; kill -CONT PID; sleep 1; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			other := t.bystander()
			for range 3 {
				c := t.Dial()
				p := random(4 * mib)
				c.Send(p)
				c.Expect(p[:1000])
				c.Close() // with an answer unread, so this is a reset
				other()
			}
			for range 3 {
				c := t.Dial()
				c.Echo([]byte("hello\n")) // accepted: the queue may be small
				t.freeze()
				c.Send(random(60_000))
				c.Flush()
				c.Close() // with nothing unread: the first answer is reset, the next one raises SIGPIPE
				t.signalAll(unix.SIGCONT)
				t.Tell("the server goes on (SIGCONT), and answers somebody who has left")
				other()
			}
		},
	},
}

// bystander returns a way to ask a client whether it is still served: the same
// one again and again, or a new one each time if the server serves only one at
// once.
func (t *T) bystander() (other func()) {
	if t.Limit == 1 {
		return func() {
			c := t.Dial()
			c.Echo([]byte("still there?\n"))
			c.HalfClose()
			c.ExpectFIN()
		}
	}
	c := t.Dial()
	c.Echo([]byte("I stay\n"))
	return func() { c.Echo([]byte("still there?\n")) }
}

// count is the number of the server's connections in a state.
func (t *T) count(state proc.State) int {
	n := 0
	for _, s := range t.sockets() {
		if s.State == state {
			n++
		}
	}
	return n
}

func (t *T) sockets() []proc.Socket {
	sockets, err := t.Server.Sockets()
	if err != nil {
		t.Cannot("read the kernel's table of sockets", err)
	}
	return sockets
}
