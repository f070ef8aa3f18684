package verify

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"socketlab/lab/proc"
	"socketlab/lab/report"
	"socketlab/lab/text"
)

var manyChecks = []Check{
	{
		ID: "many/two", Level: report.Must, Service: "echo",
		Says:  "serves the second client while the first is silent, or by design keeps it waiting and loses nothing",
		Cause: "the server reads from the first client and sleeps there; if that is meant, declare it with --limit=1",
		Fits:  []symptom{unaccepted},
		Try:   `timeout 9 nc -d 127.0.0.1 PORT & sleep 1; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			first := t.Dial()
			first.Echo([]byte("I am first\n"))
			second := t.Dial()
			second.SendString("and I am second\n")
			if t.Limit == 1 {
				second.Flush()
				for i := range 3 {
					first.Echo(fmt.Appendf(nil, "I am still here, %d\n", i))
				}
				second.ExpectNothing("the second client to wait while the first is here")
				t.Tell("client 2 was not served meanwhile: it waits, by design")
				t.Note("waits")
				first.HalfClose()
				first.ExpectFIN()
			}
			if !second.Arrives(t.Wait) {
				t.oneAtATime(first, second)
			}
			second.ExpectString("and I am second\n")
			second.Echo([]byte("served\n"))
			second.HalfClose()
			second.ExpectFIN()
		},
	},
	{
		ID: "many/apart", Level: report.Must, Service: "echo",
		Says:  "never mixes clients: 64 at once, each with a stream of its own",
		Cause: "a buffer or a variable is shared between clients",
		Try:   `for i in $(seq 64); do yes $i | head -n 30000 | timeout 9 nc -N 127.0.0.1 PORT | sort -u & done | sort -n | wc -l`,
		Run: func(t *T) {
			var clients []*Client // come one by one: this is not about bursts
			for i := range t.Most(64) {
				c := t.Dial()
				c.Echo(fmt.Appendf(nil, "I am number %d\n", i))
				clients = append(clients, c)
			}
			t.Each(len(clients), func(i int) {
				c := clients[i]
				for range 4 {
					c.Echo(random(50_000))
				}
				c.HalfClose()
				c.ExpectFIN()
			})
		},
	},
	{
		ID: "many/half-line", Level: report.Must, Service: "echo",
		Says:  "is not stalled by a client that sent half a line",
		Cause: "after select or poll the server reads until the newline comes, and waits there for one client",
		Fits:  []symptom{unaccepted},
		Try:   `(printf 'half a li'; sleep 4) | nc -N 127.0.0.1 PORT >/dev/null & sleep 1; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			half := t.Dial()
			half.SendString("half a li")
			half.Flush()
			if t.Limit != 1 {
				t.Dial().Echo([]byte("a whole line\n"))
			}
			half.SendString("ne\n")
			half.ExpectString("half a line\n")
			half.HalfClose()
			half.ExpectFIN()
			t.Dial().Echo([]byte("the next one\n"))
		},
	},
	{
		ID: "many/slow-reader", Level: report.Must, Service: "echo",
		Says:  "is not stalled by a client that does not read",
		Cause: "writing to a client whose buffers are full waits, and everybody waits with it: write without waiting, and keep what is left",
		Fits:  []symptom{unaccepted},
		Try:   `head -c 64M /dev/zero | timeout 4 nc 127.0.0.1 PORT | sleep 4 & sleep 1; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			slow := t.DialNarrow()
			p := random(12 * mib)
			slow.Pour(p)
			if t.Limit != 1 {
				other := t.bystander()
				for range 5 {
					other()
				}
			}
			slow.Expect(p)
			slow.HalfClose() // only now: this is not about the half-closed
			slow.ExpectFIN()
			t.Dial().Echo([]byte("the next one\n"))
		},
	},
	{
		ID: "many/flood", Level: report.Must, Service: "echo",
		Says:  "is not stalled by a client that never pauses",
		Cause: "the server reads from one client until nothing is left, and something always is: read once, then look at the others",
		Fits:  []symptom{unaccepted},
		Try:   `(exec 3<>/dev/tcp/127.0.0.1/PORT; timeout 4 cat <&3 >/dev/null & timeout 4 cat /dev/zero >&3) & sleep 1; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			flood := t.Dial()
			stop := flood.Flood()
			if t.Limit != 1 {
				other := t.bystander()
				for range 20 {
					other()
					t.pause(10 * time.Millisecond) // not all in a moment when there is room
				}
			}
			stop()
			t.Dial().Echo([]byte("the next one\n"))
		},
	},
	{
		ID: "many/burst", Level: report.Must, Service: "echo",
		Says:  "serves 200 clients that connect at the same moment",
		Cause: "a connection is lost between two that come together: accept again while there are more; or the backlog of listen is tiny",
		Fits:  []symptom{unaccepted, hungUp},
		Try:   `for i in $(seq 200); do (echo $i | timeout 9 nc -N 127.0.0.1 PORT) & done | sort -n | uniq | wc -l`,
		Run: func(t *T) {
			var latest atomic.Int64 // when anybody was served: they all wait for each other
			now := func() int64 { return time.Since(t.start).Nanoseconds() }
			hope := func() bool { return now()-latest.Load() < t.Wait.Nanoseconds() }
			latest.Store(now())
			t.Each(200, func(i int) {
				word := fmt.Appendf(nil, "burst %d\n", i)
				c := t.insist(word, hope)
				for !c.Arrives(t.Wait / 5) {
					if !hope() {
						c.fail(quantity(word), fmt.Sprintf("nothing for %v, and nobody else was served", t.Wait))
					}
				}
				c.Expect(word)
				latest.Store(now())
				c.HalfClose()
				c.ExpectFIN()
				c.Close()
			})
		},
	},
	{
		ID: "many/crowd", Level: report.Should, Service: "echo", Long: true,
		Says:  "serves 1,000 clients at once, or as many as it is made for; the others wait and lose nothing",
		Cause: "a limit of descriptors (ulimit -n), of FD_SETSIZE, of threads; or the server drops whom it cannot serve",
		Fits:  []symptom{unaccepted, hungUp, died},
		Try:   `(for i in $(seq 1000); do exec {fd}<>/dev/tcp/127.0.0.1/PORT && echo hello >&$fd && read -t 5 <&$fd && n=$i || break; done; echo $n)`,
		Run: func(t *T) {
			served, waiting := 1000, 0
			if t.Limit > 0 {
				served, waiting = min(served, t.Limit), 40 // with them beyond FD_SETSIZE, if they were served
			}
			word := func(i int) []byte { return fmt.Appendf(nil, "crowd %d\n", i) }
			clients := make([]*Client, served)
			each := func(do func(i int)) { // several at a time, to be done sooner
				t.Each(8, func(first int) {
					for i := first; i < served; i += 8 {
						do(i)
					}
				})
			}
			each(func(i int) {
				late := time.Now().Add(t.Wait)
				clients[i] = t.insist(word(i), func() bool { return time.Now().Before(late) })
				clients[i].Expect(word(i))
			})
			t.Tell("so many are served at once: %d", served)
			for i := range waiting {
				c := t.Knock()
				if c == nil {
					t.Tell("%d more wait, and then its queue is full", i)
					break
				}
				c.Send(word(served + i))
				clients = append(clients, c)
			}
			each(func(i int) {
				clients[i].Echo([]byte("still here\n"))
				clients[i].Reset() // without TIME-WAIT: the kernel's table is long enough
			})
			for i, c := range clients[served:] {
				c.Expect(word(served + i))
				c.Echo([]byte("still here\n"))
				c.Reset()
			}
			t.Dial().Echo([]byte("the next one\n"))
		},
	},
	{
		ID: "many/churn", Level: report.Must, Service: "echo", Long: true,
		Says:  "after 2,000 connections has as many descriptors, threads and children as before",
		Cause: "something is not given back when a client leaves: the descriptor is not closed, the thread does not end, the child is not waited for",
		Try:   `ls /proc/PID/fd /proc/PID/task | wc -l; (for i in $(seq 100); do echo hello | timeout 2 nc -N 127.0.0.1 PORT >/dev/null & done; wait); sleep 1; ls /proc/PID/fd /proc/PID/task | wc -l`,
		Run: func(t *T) {
			const (
				connections = 2000
				together    = 8
				warmUp      = 100
				// What a runtime may take for itself in each process, such as the
				// pipes that Go's io.Copy keeps for splice(2); a leak is 2,000.
				slack = 64
			)
			visit := func(n int) {
				t.Tell("%s clients come, %d at a time: each says a word, hears it and leaves, one of 8 with FIN, the others with RST", text.Number(n), together)
				t.Each(together, func(int) {
					for i := range n / together {
						t.visit(i%8 == 0)
					}
				})
			}
			visit(warmUp)
			t.Until("the server to come to rest", func() (string, bool) {
				n := t.count(proc.Established) + t.count(proc.CloseWait)
				return fmt.Sprintf("%d connections are left", n), n == 0
			})
			before := t.Tree()
			t.Tell("after %d connections: %s", warmUp, figures(before))
			more := slack * max(1, len(before.Processes))
			visit(connections)
			t.Until("as many as before: "+figures(before), func() (string, bool) {
				now := t.Tree()
				return figures(now), now.Files <= before.Files+more && now.Threads <= before.Threads+more &&
					len(now.Processes) <= len(before.Processes)
			})
			t.Tell("after %s more: %s", text.Number(connections), figures(t.Tree()))
		},
	},
}

// oneAtATime fails, but finds out first whether the second client is served
// when the first one leaves: then that is how the server is made.
func (t *T) oneAtATime(first, second *Client) {
	const expected = "the second client to be served while the first is silent"
	first.Close()
	if !second.Arrives(t.Wait) {
		t.Fail(expected, "it is not served, not even when the first has left")
	}
	second.ExpectString("and I am second\n")
	t.Fail(expected, "it is served when the first has left, and lost nothing: "+
		"a server for one client at a time; if that is meant, declare it with --limit=1")
}

// figures are what can leak.
func figures(tree proc.Tree) string {
	return fmt.Sprintf("%d descriptors, %d threads, %d processes", tree.Files, tree.Threads, len(tree.Processes))
}

// insist sends a word as one who wants to be served. If the kernel does not let
// the client in, because the queue for accept is full, it leaves and comes
// again: when SYN is sent again, after a second at the earliest, is not the
// server's doing.
func (t *T) insist(word []byte, hope func() bool) *Client {
	for hope() {
		c := t.Knock()
		if c == nil {
			continue
		}
		c.Send(word)
		if c.Arrives(100*time.Millisecond+rand.N(200*time.Millisecond)) || c.letIn() {
			return c
		}
		c.Reset()
	}
	t.Fail("to be let in", fmt.Sprintf("the queue of those it has not accepted is full, for %v", t.Wait))
	return nil
}
