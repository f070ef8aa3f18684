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
		Says:   "closes its side after the client's FIN: no CLOSE-WAIT stays",
		Causes: []string{"descriptor-kept", "end-missed"},
		Try:    `timeout 2 nc -N 127.0.0.1 PORT </dev/null; ss -tan 'sport = :PORT'`,
		Run: func(t *T) {
			for range 3 {
				c := t.Dial()
				c.Echo([]byte("goodbye\n"))
				c.HalfClose()
				c.ExpectFIN()
				c.Close()
			}
			t.UntilAs("CLOSE-WAIT", "no socket of the server's in CLOSE-WAIT", func() (string, bool) {
				n := t.count(proc.CloseWait)
				return fmt.Sprintf("%d in CLOSE-WAIT", n), n == 0
			})
			t.Tell("no CLOSE-WAIT stayed")
		},
	},
	{
		ID: "close/half", Level: report.Must, Service: "echo",
		Says:   "after the client's FIN sends all it owes, then FIN, not RST",
		Causes: []string{"closes-owing", "half-close"},
		Try:    `head -c 16M /dev/zero | nc -I 4096 -N 127.0.0.1 PORT | (sleep 2; wc -c)`,
		Run: func(t *T) {
			t.Phase("prompt")
			prompt := t.Dial()
			owed := random(mib)
			prompt.Send(owed)
			prompt.HalfClose()
			prompt.Expect(owed)
			prompt.ExpectFIN()

			t.Phase("late")
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
		Says:   "survives a reset while idle, in mid-message and before accept; others do not notice",
		Causes: []string{"client-error"},
		Try:    `kill -STOP PID; python3 -c 'import socket as s, struct; c = s.create_connection(("127.0.0.1", PORT)); c.setsockopt(s.SOL_SOCKET, s.SO_LINGER, struct.pack("ii", 1, 0))'; kill -CONT PID; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
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

			t.stopped("so that it cannot accept", func() {
				for range 5 {
					if c := t.Knock(); c != nil { // or its queue is full, and small
						c.Reset()
					}
				}
			}, func() {
				other()
				t.Dial().Echo([]byte("I come after those\n"))
			})
		},
	},
	{
		ID: "close/early", Level: report.Must, Service: "echo",
		Says:   "survives a client that leaves while an answer to it is being written",
		Causes: []string{"sigpipe", "client-error"},
		Try:    `kill -STOP PID; head -c 60k /dev/zero >/dev/tcp/127.0.0.1/PORT; kill -CONT PID; sleep 1; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
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
				t.stopped("so that it answers somebody who has left", func() {
					c.Send(random(60_000))
					c.Flush()
					c.Close() // with nothing unread: the first answer is reset, the next one raises SIGPIPE
				}, other)
			}
		},
	},
	{
		ID: "close/vanish", Level: report.Must, Service: "echo",
		Says:   "survives a client that sent much, half-closed, and vanishes without reading what it is owed",
		Causes: []string{"client-error", "sigpipe"},
		Try:    `python3 -c 'import socket as s, struct, time; c = s.create_connection(("127.0.0.1", PORT)); c.settimeout(1); c.setsockopt(s.SOL_SOCKET, s.SO_LINGER, struct.pack("ii", 1, 0)); n = [c.send(bytes(4096)) for i in range(400)]; c.shutdown(s.SHUT_WR); time.sleep(1); c.close()'; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			other := t.bystander()
			for i := range 2 {
				c := t.DialNarrow()
				c.Overfill(12 * mib)
				c.HalfClose()
				c.Heard()
				if i%2 == 0 {
					c.Reset()
				} else {
					c.Close() // with an answer unread, so this is a reset too
				}
				other()
			}
			for i := range 10 { // and the same in a hurry
				c := t.Dial()
				c.Send(random(60_000))
				c.HalfClose()
				c.Flush()
				if i%2 == 0 {
					c.Arrives(t.Wait)
				}
				c.Reset()
			}
			other()
		},
	},
}

// stopped has something happen while the server is stopped, and then looks
// whether it went well. A server that does not survive to be stopped at all
// fails life/stopped, and not this: it is asked for that on its own.
func (t *T) stopped(why string, meanwhile, afterwards func()) {
	t.freeze()
	t.Tell("the server was stopped (SIGSTOP), %s", why)
	meanwhile()
	t.signalAll(unix.SIGCONT)
	t.Tell("the server goes on (SIGCONT)")
	end := t.attempt(afterwards)
	if end == nil {
		return
	}
	t.explain(end)
	if end.status != report.Fail || t.ctx.Err() != nil || t.survivesStop() {
		panic(*end)
	}
	t.Tell("but another one, to which nothing else was done, does not survive SIGSTOP and SIGCONT either: see life/stopped")
	panic(verdict{status: report.Pass})
}

// survivesStop reports whether a fresh server is right after it was stopped, with
// one client there.
func (t *T) survivesStop() bool {
	t.hangUp()
	return t.attempt(func() {
		if err := t.startAgain(0); err != nil {
			t.Cannot("start the server again", err)
		}
		c := t.Dial()
		c.Echo([]byte("hello\n"))
		for range 3 {
			t.freeze()
			t.signalAll(unix.SIGCONT)
			c.Echo([]byte("still there?\n"))
		}
		if t.Limit != 1 {
			t.Dial().Echo([]byte("and I?\n"))
		}
	}) == nil
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
