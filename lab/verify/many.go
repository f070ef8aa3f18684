package verify

import (
	"fmt"

	"socketlab/lab/report"
)

var manyChecks = []Check{
	{
		ID: "many/two", Level: report.Must, Service: "echo",
		Says:  "serves the second client while the first is silent, or by design keeps it waiting and loses nothing",
		Cause: "the server reads from the first client and sleeps there; if that is meant, declare it with --limit=1",
		Try:   `(sleep 9 | nc 127.0.0.1 PORT) & printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
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
		Try:   `for i in $(seq 64); do (yes $i | head -c 100k | nc -N 127.0.0.1 PORT | sort -u) & done; wait`,
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
		Try:   `(printf 'half a li'; sleep 9) | nc 127.0.0.1 PORT & printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
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
}
