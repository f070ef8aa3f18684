package verify

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/report"
)

var lifeChecks = []Check{
	{
		ID: "life/idle", Level: report.Must, Service: "echo",
		Says:  "uses no CPU while its clients are silent, and none after they left",
		Cause: "a loop without a call that sleeps, or a descriptor at its end that is always ready and is asked about again and again",
		Try:   `top -b -n 1 -p $(pgrep -d, myserver)`,
		Run: func(t *T) {
			var clients []*Client
			for range t.Most(5) {
				c := t.Dial()
				c.Echo([]byte("hello\n"))
				clients = append(clients, c)
			}
			t.ExpectQuiet("while the clients are silent")
			for i, c := range clients {
				switch i % 3 {
				case 0:
					c.HalfClose()
					c.ExpectFIN()
					c.Close()
				case 1:
					c.Close()
				case 2:
					c.Reset()
				}
			}
			t.ExpectQuiet("after the clients left")
		},
	},
	{
		ID: "life/children", Level: report.Must, Service: "echo",
		Says:  "leaves no zombie and no runaway child after 20 clients leave at once",
		Cause: "wait is called once for each SIGCHLD, but signals coalesce: wait in a loop until no child is left; or the child goes on after its client left",
		Try:   `ps --ppid $(pgrep -o myserver) -o pid,stat,cmd`,
		Run: func(t *T) {
			before := t.Tree()
			t.Tell("before, the server has %d processes", len(before.Processes))
			var clients []*Client
			for range t.Most(20) {
				c := t.Dial()
				c.Echo([]byte("hello\n"))
				clients = append(clients, c)
			}
			t.Tell("with %d clients it has %d", len(clients), len(t.Tree().Processes))
			for _, c := range clients {
				c.Close()
			}
			t.Until("no zombie, and as many processes as before", func() (string, bool) {
				now := t.Tree()
				actual := fmt.Sprintf("%d zombies among %d processes, before %d", now.Zombies, len(now.Processes), len(before.Processes))
				return actual, now.Zombies == 0 && len(now.Processes) <= len(before.Processes)
			})
			t.Tell("afterwards it has %d, and no zombie", len(t.Tree().Processes))
			t.Dial().Echo([]byte("still there?\n"))
		},
	},
	{
		ID: "life/term", Level: report.Should, Service: "echo",
		Says:  "ends within 2 s of SIGTERM with exit code 0, its children too",
		Cause: "the signal is not handled, so it kills (exit code 143); or the server waits for its clients without a limit",
		Try:   `kill $(pgrep -o myserver); sleep 2; pgrep -a myserver`,
		Run: func(t *T) {
			const most = 2 * time.Second
			silent := t.Dial()
			silent.Echo([]byte("I stay\n"))
			start := time.Now()
			t.Server.Signal(unix.SIGTERM)
			t.Tell("SIGTERM")
			select {
			case <-t.Server.Exited():
			case <-time.After(most + t.Wait/2): // wait longer, to know how long it takes
				t.Fail("to end within 2 s of SIGTERM", "it runs on")
			}
			took := time.Since(start).Round(10 * time.Millisecond)
			ending, _ := t.Server.Ending()
			t.Tell("ended after %v: %v", took, ending)
			if took > most {
				t.Fail("to end within 2 s of SIGTERM", fmt.Sprintf("it took %v", took))
			}
			if ending.Code != 0 {
				t.Fail("exit code 0", ending.String())
			}
			t.Until("its children to end too", func() (string, bool) {
				left := len(t.Tree().Processes)
				return fmt.Sprintf("%d processes are left", left), left == 0
			})
		},
	},
}
