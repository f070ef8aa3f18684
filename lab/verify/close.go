package verify

import (
	"fmt"

	"golang.org/x/sys/unix"

	"socketlab/lab/report"
	"socketlab/lab/subject"
)

const mib = 1 << 20

var closeChecks = []Check{
	{
		ID: "close/fin", Level: report.Must, Service: "echo",
		Says:  "closes its side after the client's FIN: no CLOSE_WAIT stays",
		Cause: "a read of 0 bytes is not taken for the end, or the descriptor of a client that left is never closed",
		Try:   `nc -N 127.0.0.1 PORT </dev/null; ss -tan 'sport = :PORT'`,
		Run: func(t *T) {
			for range 3 {
				c := t.Dial()
				c.Echo([]byte("goodbye\n"))
				c.HalfClose()
				c.ExpectFIN()
				c.Close()
			}
			t.Until("no socket of the server's in CLOSE_WAIT", func() (string, bool) {
				n := t.count(subject.CloseWait)
				return fmt.Sprintf("%d in CLOSE_WAIT", n), n == 0
			})
			t.Tell("no CLOSE_WAIT stayed")
		},
	},
	{
		ID: "close/half", Level: report.Must, Service: "echo",
		Says:  "after the client's FIN sends all it owes, then FIN, not RST",
		Cause: "the socket is closed as soon as read returns 0, while answers are still unsent",
		Try:   `head -c 1M /dev/urandom | nc -N 127.0.0.1 PORT | wc -c`,
		Run: func(t *T) {
			c := t.Dial()
			owed := random(mib)
			c.Send(owed)
			c.HalfClose()
			c.Expect(owed)
			c.ExpectFIN()
		},
	},
	{
		ID: "close/reset", Level: report.Must, Service: "echo",
		Says:  "survives a reset while idle, in mid-message and before accept; others do not notice",
		Cause: "an error on one client's socket (ECONNRESET, or EPIPE and SIGPIPE when writing) ends the server, or all clients",
		Try:   `python3 -c 'import socket,struct; s=socket.create_connection(("127.0.0.1",PORT)); s.setsockopt(1,13,struct.pack("ii",1,0)); s.close()'`,
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

			t.Server.Signal(unix.SIGSTOP)
			t.Tell("the server was stopped (SIGSTOP), so that it cannot accept")
			for range 5 {
				t.Dial().Reset()
			}
			t.Server.Signal(unix.SIGCONT)
			t.Tell("the server goes on (SIGCONT)")
			other()
		},
	},
	{
		ID: "close/early", Level: report.Must, Service: "echo",
		Says:  "survives a client that leaves while an answer to it is being written",
		Cause: "writing to a connection that is gone raises SIGPIPE, which ends a process that does not ignore it; the error EPIPE is not expected",
		Try:   `head -c 64M /dev/zero | timeout 0.2 nc 127.0.0.1 PORT | head -c 1`,
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
func (t *T) count(state subject.State) int {
	sockets, err := t.Server.Sockets()
	if err != nil {
		t.Cannot("read the kernel's table of sockets", err)
	}
	n := 0
	for _, s := range sockets {
		if s.State == state {
			n++
		}
	}
	return n
}
