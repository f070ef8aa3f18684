package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"socketlab/lab/proc"
	"socketlab/lab/report"
	"socketlab/lab/text"
)

var manyChecks = []Check{
	{
		ID: "many/two", Level: report.Must, Service: "echo",
		Says:   "serves the second client while the first is silent, or by design keeps it waiting and loses nothing",
		Causes: []string{"one-client"},
		Try:    `timeout 9 nc -d 127.0.0.1 PORT & sleep 1; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
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
		Says:   "never mixes clients: 64 at once, each with a stream of its own",
		Causes: []string{"one-buffer", "wrong-descriptor"},
		Try:    `for i in $(seq 64); do yes $i | head -n 30000 | timeout 9 nc -N 127.0.0.1 PORT | sort -u & done | sort -n | wc -l`,
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
		Says:   "is not stalled by a client that sent half a line",
		Causes: []string{"line"},
		Try:    `(printf 'half a li'; sleep 4) | nc -N 127.0.0.1 PORT >/dev/null & sleep 1; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			half := t.Dial()
			half.SendString("half a li")
			half.Flush()
			t.Phase("half")
			if t.Limit != 1 {
				t.Dial().Echo([]byte("a whole line\n"))
			}
			t.Phase("line")
			half.SendString("ne\n")
			half.ExpectString("half a line\n")
			half.HalfClose()
			half.ExpectFIN()
			t.Dial().Echo([]byte("the next one\n"))
		},
	},
	{
		ID: "many/slow-reader", Level: report.Must, Service: "echo",
		Says:   "is not stalled by a client that does not read",
		Causes: []string{"blocking-write"},
		Try:    `head -c 64M /dev/zero | timeout 4 nc 127.0.0.1 PORT | sleep 4 & sleep 1; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			slow := t.DialNarrow()
			p := random(12 * mib)
			slow.Pour(p)
			if t.Limit != 1 {
				t.Phase("others")
				other := t.bystander()
				for range 5 {
					other()
				}
			}
			t.Phase("late")
			slow.Expect(p)
			slow.HalfClose() // only now: this is not about the half-closed
			slow.ExpectFIN()
			t.Dial().Echo([]byte("the next one\n"))
		},
	},
	{
		ID: "many/flood", Level: report.Must, Service: "echo",
		Says:   "is not stalled by a client that never pauses",
		Causes: []string{"greedy"},
		Try:    `(exec 3<>/dev/tcp/127.0.0.1/PORT; timeout 4 cat <&3 >/dev/null & timeout 4 cat /dev/zero >&3) & sleep 1; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			flood := t.Dial()
			stop := flood.Flood()
			if t.Limit != 1 {
				t.Phase("others")
				other := t.bystander()
				for range 10 {
					other()
					t.pause(10 * time.Millisecond) // not all in a moment when there is room
				}
			}
			t.Phase("end")
			stop()
			t.Dial().Echo([]byte("the next one\n"))
		},
	},
	{
		ID: "many/burst", Level: report.Must, Service: "echo",
		Says:   "serves 200 clients that connect at the same moment",
		Causes: []string{"slow-accept", "edge-accept", "race"},
		Try:    `for i in $(seq 200); do (echo $i | timeout 9 nc -N 127.0.0.1 PORT) & done | sort -n | uniq | wc -l`,
		Run: func(t *T) {
			var latest atomic.Int64 // when anybody was served: they all wait for each other
			now := func() int64 { return time.Since(t.start).Nanoseconds() }
			hope := func() bool {
				return now()-latest.Load() < t.Wait.Nanoseconds() && now() < 3*t.Wait.Nanoseconds()
			}
			latest.Store(now())
			t.Each(200, func(i int) {
				word := fmt.Appendf(nil, "burst %d\n", i)
				c := t.insist(word, hope)
				for !c.Arrives(t.Wait / 5) {
					if !hope() {
						c.fail(quantity(word), fmt.Sprintf("nothing, %v after they came", time.Since(t.start).Round(time.Second)))
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
		Says:   "serves 1,000 clients at once, or as many as it is made for; the others wait and lose nothing",
		Causes: []string{"small-table", "fd-setsize", "turns-away"},
		Try:    `(for i in $(seq 1000); do exec {fd}<>/dev/tcp/127.0.0.1/PORT && echo hello >&$fd && read -t 5 <&$fd && n=$i || break; done; echo $n)`,
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
		Says:   "after 2,000 connections has as many descriptors, threads and children as before",
		Causes: []string{"descriptor-kept", "race"},
		Try:    `ls /proc/PID/fd /proc/PID/task | wc -l; (for i in $(seq 100); do echo hello | timeout 2 nc -N 127.0.0.1 PORT >/dev/null & done; wait); sleep 1; ls /proc/PID/fd /proc/PID/task | wc -l`,
		Run: func(t *T) {
			const (
				connections = 2000
				together    = 8
				warmUp      = 100
				// What a runtime may take for itself in each process, such as the
				// pipes that Go's io.Copy keeps for splice(2); a leak is 2,000.
				slack = 64
			)
			visit := func(n int) int {
				came := t.comeAndGo(n, together, func(i int) bool { return i%8 == 0 })
				t.Tell("%s clients came, %d at a time: each said a word, heard it and left, one of 8 with FIN, the others with RST", text.Number(came), together)
				return came
			}
			visit(warmUp)
			t.Until("the server to come to rest", func() (string, bool) {
				n := t.count(proc.Established) + t.count(proc.CloseWait)
				return fmt.Sprintf("%d connections are left", n), n == 0
			})
			before := t.Tree()
			t.Tell("after %d connections: %s", warmUp, figures(before))
			more := slack * max(1, len(before.Processes))
			came := visit(connections)
			for _, figure := range []struct {
				mark string
				of   func(proc.Tree) int
				more int
			}{
				{"processes", func(tree proc.Tree) int { return len(tree.Processes) }, 0},
				{"files", func(tree proc.Tree) int { return tree.Files }, more},
				{"threads", func(tree proc.Tree) int { return tree.Threads }, more},
			} {
				t.UntilAs(figure.mark, "as many as before: "+figures(before), func() (string, bool) {
					now := t.Tree()
					return figures(now), figure.of(now) <= figure.of(before)+figure.more
				})
			}
			t.Tell("after %s more: %s", text.Number(came), figures(t.Tree()))
		},
	},
	{
		ID: "many/chatter", Level: report.Must, Service: "echo",
		Says:   "is not stalled by clients that answer at once, for ever (ping-pong)",
		Causes: []string{"greedy"},
		Try:    `python3 -c 'import socket as s; c = s.create_connection(("127.0.0.1", PORT)); [(c.send(b"x"), c.recv(1)) for i in range(300000)]' & sleep 0.3; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			stop := t.Chatter(max(1, t.Most(4)-1))
			if t.Limit != 1 {
				t.Phase("others")
				other := t.bystander()
				for range 10 {
					other()
					t.pause(10 * time.Millisecond)
				}
			}
			t.Phase("end")
			stop()
		},
	},
	{
		ID: "many/slow", Level: report.Must, Service: "echo", Long: true,
		Says:   "loses nothing for, and does not drop, a client that reads 4 KiB every 50 ms while others are served",
		Causes: []string{"drops-slow", "short-write"},
		Try:    `head -c 8M /dev/zero | nc -I 4096 -N 127.0.0.1 PORT | (for i in $(seq 100); do head -c 4096; sleep 0.05; done; cat) | wc -c`,
		Run: func(t *T) {
			const size, rounds = 4 << 10, 100
			slow := t.DialNarrow()
			p := random(8 * mib)
			slow.Pour(p)
			other := func() {}
			if t.Limit != 1 {
				t.Phase("others")
				other = t.bystander()
			}
			t.Tell("%s reads 4 KiB every 50 ms, %d times", slow.name, rounds)
			t.standAside() // it does nearly nothing
			for i := range rounds {
				t.Phase("slow")
				slow.expectQuietly(p[i*size:][:size])
				t.pause(50 * time.Millisecond)
				if i%20 == 0 {
					t.Phase("others")
					other()
				}
			}
			t.Phase("slow")
			slow.Expect(p[rounds*size:])
			t.Phase("end")
			slow.HalfClose()
			slow.ExpectFIN()
		},
	},
	{
		ID: "many/wall", Level: report.Must, Service: "echo", Long: true, Crowd: true, Files: 2048,
		Says:   "neither dies, hangs nor mixes bytes at the 1,100th client; to refuse it or to let it wait is allowed",
		Causes: []string{"fd-setsize", "small-table"},
		Try:    `ulimit -n 4096; python3 -c 'import socket as s; a = [s.create_connection(("127.0.0.1", PORT)) for i in range(1100)]; a[-1].settimeout(5); a[-1].send(b"hi"); print(a[-1].recv(2)); a[0].settimeout(5); a[0].send(b"ho"); print(a[0].recv(2))'`,
		Run: func(t *T) {
			const most = 1100
			var served []*Client
			for len(served) < t.Most(most) {
				var c *Client
				for tries := 0; c == nil && tries < 10; tries++ {
					c = t.Knock()
				}
				if c == nil {
					break // its queue is full
				}
				word := fmt.Appendf(nil, "client at the wall, %d\n", len(served))
				c.Send(word)
				if !c.answered(word) {
					break
				}
				served = append(served, c)
			}
			t.Tell("so many clients are served: %d", len(served))
			if len(served) < t.Most(most) && t.strained().since(t.began).starved() {
				// Whether it refuses them, or only had no time for them, nobody knows.
				t.Cannot("bring 1,100 clients", errors.New("the machine was too busy to decide"))
			}
			if len(served) == 0 {
				t.Fail("to serve a client", "it serves none")
			}
			t.Each(4, func(first int) {
				for i := first; i < len(served); i += 4 {
					served[i].Echo(fmt.Appendf(nil, "still here, %d\n", i))
				}
			})
			for _, c := range served {
				c.Reset()
			}
			t.hangUp() // those who wait, too
			t.Dial().Echo([]byte("the next one\n"))
		},
	},
	{
		ID: "many/soak", Level: report.Must, Service: "echo", Long: true, Crowd: true,
		Says:   "never mixes clients after 4,000 connections have come and gone, while several ping-pong",
		Causes: []string{"given-back-twice", "one-buffer", "race"},
		Try:    `for i in $(seq 4000); do printf x | timeout 2 nc -N 127.0.0.1 PORT >/dev/null; done; for i in $(seq 8); do yes $i | head -n 30000 | timeout 9 nc -N 127.0.0.1 PORT | sort -u & done | sort -n | wc -l`,
		Run: func(t *T) {
			connections, together := 4000, 8
			if t.Soak {
				connections = 100_000
			}
			always := func(int) bool { return true }
			if t.Limit == 1 {
				t.comeAndGo(connections, 1, always)
				t.Dial().Echo([]byte("the next one\n"))
				return
			}
			stop := t.Chatter(max(1, t.Most(8+together)-together))
			came := t.comeAndGo(connections, t.Most(together), always)
			t.Tell("%s clients came and went, with FIN, %d at a time", text.Number(came), together)
			t.pause(100 * time.Millisecond)
			stop()
		},
	},
	{
		ID: "many/waiting", Level: report.Should, Service: "echo", Mute: true,
		Says:   "lets at least 4 clients wait to be accepted",
		Causes: []string{"backlog"},
		Try:    `ss -ltn 'sport = :PORT'`,
		Run: func(t *T) {
			const least = 4
			for _, s := range t.sockets() {
				switch {
				case s.State != proc.Listen || s.Room == 0:
				case s.Room < least:
					t.FailAs("backlog", fmt.Sprintf("room for %d clients in the queue for accept", least), fmt.Sprintf("room for %d", s.Room))
				default:
					t.Tell("so many can wait to be accepted: %d", s.Room)
				}
			}
		},
	},
}

// answered reports whether the word comes back. If the client is turned away, or
// waits in the queue, it does not.
func (c *Client) answered(word []byte) bool {
	for p := c.t.patience(); ; {
		left := p.left()
		if c.Arrives(max(left, time.Millisecond)) {
			break
		}
		if left == 0 || p.idle() && c.unaccepted() {
			if c.unaccepted() {
				return false
			}
			c.Expect(word) // it was accepted, and is not answered: that is a failure
		}
	}
	buf := make([]byte, len(word))
	n, err := io.ReadFull(c.conn, buf)
	if !bytes.Equal(buf[:n], word[:n]) {
		c.differ(word, 0, buf[:n])
	}
	_, over := c.t.Server.Ending()
	if err != nil && over {
		c.broken(quantity(word), text.Count(n, "byte"), err, word, n)
	}
	return err == nil
}

// Chatter has clients talk for ever: each sends a word as soon as the one before
// has come back, and compares. It returns how to stop them.
func (t *T) Chatter(n int) (stop func()) {
	enough, ends := make(chan struct{}), make(chan any, n)
	t.Tell("%s play ping-pong, without a pause", text.Count(n, "client"))
	t.flooded(+1)
	for range n {
		c := t.Dial()
		c.Echo([]byte("ready\n"))
		go func() {
			defer func() { ends <- recover() }()
			for size := 1; ; size = size%3000 + 97 {
				select {
				case <-enough:
					return
				default:
					c.ping(random(size))
				}
			}
		}()
	}
	return func() {
		t.flooded(-1)
		close(enough)
		var first any
		for range n {
			if end := <-ends; first == nil {
				first = end
			}
		}
		if first != nil {
			panic(first)
		}
	}
}

// ping sends a word and receives it back, and is not worth a line in the story.
func (c *Client) ping(word []byte) {
	c.mu.Lock()
	if c.said = append(c.said, word); len(c.said) > 128 { // and not all that was before
		c.said = slices.Clone(c.said[64:])
	}
	c.mu.Unlock()
	if _, err := c.conn.Write(word); err != nil {
		c.broken(c.name+" to be able to send", "it did not", err, word, 0)
	}
	buf := make([]byte, len(word))
	for got := 0; got < len(word); {
		n, err := c.read(buf[got:])
		if !bytes.Equal(buf[got:got+n], word[got:got+n]) {
			c.differ(word, got, buf[got:got+n])
		}
		if got += n; err != nil {
			c.broken(quantity(word), text.Count(got, "byte"), err, word, got)
		}
	}
}

// oneAtATime fails, but finds out first whether the second client is served
// when the first one leaves: then that is how the server is made.
func (t *T) oneAtATime(first, second *Client) {
	const expected = "the second client to be served while the first is silent"
	mark := "one at a time"
	if slices.Contains(calls(t.Tree()), "wait") {
		mark = "waits for a child"
	}
	first.Close()
	if !second.Arrives(t.Wait) {
		t.Fail(expected, "it is not served, not even when the first has left")
	}
	second.ExpectString("and I am second\n")
	t.FailAs(mark, expected, "it is served when the first has left, and lost nothing: "+
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
	t.FailAs("queue full", "to be let in", fmt.Sprintf("the queue of those it has not accepted is full, for %v", t.Wait))
	return nil
}
