package verify

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
	"socketlab/lab/report"
)

var lifeChecks = []Check{
	{
		ID: "life/idle", Level: report.Must, Service: "echo",
		Says:  "uses no CPU while its clients are silent, and none after they left",
		Cause: "a loop without a call that sleeps, or a descriptor at its end that is always ready and is asked about again and again",
		Try:   `timeout 3 nc -d 127.0.0.1 PORT & top -b -n 4 -d 2 -p PID | grep '^ *PID'`,
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
		Try:   `(for i in $(seq 20); do timeout 1 nc -d 127.0.0.1 PORT & done; wait); sleep 1; ps -o pid,stat,cmd --ppid PID`,
		Run: func(t *T) {
			before := t.started()
			t.Tell("processes of the server before: %d", len(before.Processes))
			var clients []*Client
			for range t.Most(20) {
				c := t.Dial()
				c.Echo([]byte("hello\n"))
				clients = append(clients, c)
			}
			t.Tell("with %d clients: %d", len(clients), len(t.Tree().Processes))
			for _, c := range clients {
				c.Close()
			}
			t.Until("no zombie, and as many processes as before", func() (string, bool) {
				now := t.Tree()
				actual := fmt.Sprintf("%d zombies among %d processes, before %d", now.Zombies, len(now.Processes), len(before.Processes))
				return actual, now.Zombies == 0 && len(now.Processes) <= len(before.Processes)
			})
			t.Tell("afterwards: %d, and no zombie", len(t.Tree().Processes))
			t.Dial().Echo([]byte("still there?\n"))
		},
	},
	{
		ID: "life/term", Level: report.Should, Service: "echo", Ends: true,
		Says:  "ends within 2 s of SIGTERM with exit code 0, its children too",
		Cause: "the signal is not handled, so it kills (exit code 143); or the server waits for its clients without a limit",
		Try:   `(sleep 1; timeout 9 nc -d 127.0.0.1 PORT) & timeout --foreground -v --preserve-status -k 3 3 ./myserver PORT; echo $?`,
		Run: func(t *T) {
			const most = 2 * time.Second
			silent := t.Dial()
			silent.Echo([]byte("I stay\n"))
			start := time.Now()
			before := t.Tree().CPU
			t.Server.Signal(unix.SIGTERM)
			t.Tell("SIGTERM")
			t.expectPatience(before)
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
	{
		ID: "life/memory", Level: report.Must, Service: "echo",
		Says:  "does not grow without bound for a client that sends and never reads",
		Cause: "what cannot be sent yet is kept, and reading goes on: stop reading from a client that is owed much",
		Try:   `head -c 64M /dev/zero | timeout 5 nc 127.0.0.1 PORT | sleep 5 & sleep 4; grep VmRSS /proc/PID/status`,
		Run: func(t *T) {
			const offered, most = 128 * mib, 48 * mib
			c := t.DialNarrow()
			c.Echo([]byte("hello\n"))
			before := t.Tree().RSS
			taken := c.Pour(make([]byte, offered))
			grown := t.Tree().RSS - before
			t.Tell("the server grew by %d KiB", grown>>10)
			if grown > most {
				t.Fail(fmt.Sprintf("growth of at most %d MiB", most/mib), fmt.Sprintf("%d MiB, after %d MiB that it took", grown/mib, taken/mib))
			}
		},
	},
	{
		ID: "life/descriptors", Level: report.Must, Service: "echo", Files: 64,
		Says:  "out of descriptors neither dies nor spins, and serves again when some are free",
		Cause: "accept fails with EMFILE and the connection stays in the queue: ready again at once, for ever. Stop accepting until a client leaves",
		Fits:  []symptom{unaccepted, hungUp, died},
		Try:   `(ulimit -n 16; exec ./myserver PORT) & S=$!; sleep 1; (for i in $(seq 20); do timeout 5 nc -d 127.0.0.1 PORT & done; wait) & sleep 1; top -b -n 2 -d 2 -p $S | tail -n 1; sleep 3; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			const most, patience = 80, 300 * time.Millisecond
			var served []*Client
			for len(served) < most {
				c := t.Dial()
				c.SendString("hello\n")
				if len(served) > 0 && !c.Arrives(patience) {
					t.ExpectQuiet("while it has no room") // else it is slow, or spins
					if !c.Arrives(time.Millisecond) {
						t.Tell("with %d clients the server has no room for one more", len(served))
						t.outOfDescriptors(served, c)
						return
					}
				}
				c.ExpectString("hello\n")
				served = append(served, c)
			}
			t.Tell("%d clients are served with %d descriptors: it has no use for more", most, 64)
		},
	},
	{
		ID: "life/stopped", Level: report.Must, Service: "echo",
		Says:  "survives being stopped and continued (SIGSTOP, SIGCONT) with nothing lost",
		Cause: "a call that was interrupted (EINTR) is taken for a failure",
		Fits:  []symptom{hungUp, died},
		Try:   `(sleep 3; echo hello) | timeout 5 nc -N 127.0.0.1 PORT & sleep 1; kill -STOP PID; sleep 1; kill -CONT PID; sleep 2`,
		Run: func(t *T) {
			var clients []*Client
			for range t.Most(3) {
				c := t.Dial()
				c.Echo([]byte("hello\n"))
				clients = append(clients, c)
			}
			p := random(200_000)
			for range 5 {
				t.freeze()
				for _, c := range clients {
					c.Send(p)
				}
				t.signalAll(unix.SIGCONT)
				for _, c := range clients {
					c.Expect(p)
				}
			}
			for range 5 { // nobody says anything: all calls are interrupted asleep
				t.freeze()
				t.signalAll(unix.SIGCONT)
			}
			t.Tell("stopped and continued 10 times")
			for _, c := range clients {
				c.Echo([]byte("still there?\n"))
				c.HalfClose()
				c.ExpectFIN()
			}
		},
	},
	{
		ID: "life/restart", Level: report.Must, Service: "echo",
		Says:  "can be started again on its port at once, with connections in TIME-WAIT",
		Cause: "SO_REUSEADDR is not set on the listening socket, of the new server and of the old one",
		Try:   `./myserver PORT & S=$!; sleep 1; timeout 5 nc -d 127.0.0.1 PORT & sleep 1; kill -9 $S; sleep 1; ./myserver PORT & sleep 1; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			c := t.Dial()
			c.Echo([]byte("hello\n"))
			t.killAll()
			t.Tell("the server was killed (SIGKILL)")
			c.ExpectFIN()
			c.Close()
			t.Until("a connection of the old server in TIME-WAIT", func() (string, bool) {
				n := t.count(proc.TimeWait)
				return fmt.Sprintf("%d in TIME-WAIT", n), n > 0
			})
			t.Restart()
			t.Dial().Echo([]byte("hello again\n"))
		},
	},
	{
		ID: "life/stdin", Level: report.Must, Service: "echo",
		Says:  "keeps serving when its standard input ends",
		Cause: "the end of standard input is taken for the end of the server, or is read again and again",
		Fits:  []symptom{hungUp, died},
		Try:   `sleep 1 | ./myserver PORT & sleep 2; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT; top -b -n 2 -d 2 -p $! | tail -n 1`,
		Run: func(t *T) {
			c := t.Dial()
			c.Echo([]byte("hello\n"))
			t.Server.Operator().Close()
			t.Tell("its standard input ended")
			c.Echo([]byte("still there?\n"))
			t.ExpectQuiet("after its standard input ended")
			c.HalfClose()
			c.ExpectFIN()
			t.Dial().Echo([]byte("the next one\n"))
		},
	},
}

// expectPatience looks on for a while after SIGTERM: a server that still waits
// for its last client waits asleep.
func (t *T) expectPatience(before time.Duration) {
	const stretch, most = 300 * time.Millisecond, 60 // percent of one core
	select {
	case <-t.Server.Exited():
		return
	case <-time.After(stretch):
	}
	if share := 100 * float64(t.Tree().CPU-before) / float64(stretch); share > most {
		t.Fail("to wait for its last client asleep", fmt.Sprintf("it uses %.0f %% of a core", share))
	}
}

// outOfDescriptors goes on when one client waits for a descriptor.
func (t *T) outOfDescriptors(served []*Client, waiting *Client) {
	served[0].Echo([]byte("still served?\n"))
	for _, c := range served[:(len(served)+1)/2] {
		c.Close()
	}
	waiting.ExpectString("hello\n")
	waiting.Echo([]byte("there is room now\n"))
	for _, c := range served[(len(served)+1)/2:] {
		c.Echo([]byte("still here\n"))
	}
}

// started waits until the server starts no more processes: it listens, but may
// still be at its workers.
func (t *T) started() (tree proc.Tree) {
	t.Until("to have started its processes", func() (string, bool) {
		before := len(t.Tree().Processes)
		t.pause(50 * time.Millisecond)
		tree = t.Tree()
		return fmt.Sprintf("%d after %d", len(tree.Processes), before), len(tree.Processes) == before
	})
	return tree
}

// signalAll sends a signal to every process of the server's.
func (t *T) signalAll(sig unix.Signal) {
	for _, p := range t.Tree().Processes {
		unix.Kill(p.Pid, sig)
	}
}

// freeze stops every process of the server's, and waits until they have stopped.
func (t *T) freeze() {
	t.signalAll(unix.SIGSTOP)
	t.Until("to be stopped", func() (string, bool) {
		moving := slices.DeleteFunc(t.Tree().Processes, func(p proc.Process) bool {
			return p.State == 'T' || p.State == 't' || p.State == 'Z' // t: strace looks on
		})
		for _, p := range moving { // some were born meanwhile
			unix.Kill(p.Pid, unix.SIGSTOP)
		}
		return fmt.Sprintf("%d processes go on", len(moving)), len(moving) == 0
	})
}

// killAll ends the server without a warning, and waits until it is gone.
func (t *T) killAll() {
	t.signalAll(unix.SIGKILL)
	t.Until("to be killed", func() (string, bool) {
		left := len(t.Tree().Processes)
		return fmt.Sprintf("%d processes are left", left), left == 0
	})
}

// Restart starts the server again on the port it had.
func (t *T) Restart() {
	port := t.Server.Spec.Port
	if err := t.startAgain(port); err != nil {
		t.Fail("to be started again", err.Error())
	}
	t.Tell("the server was started again on port %d", port)
}

// startAgain starts the server anew; port 0 is a free one.
func (t *T) startAgain(port uint16) error {
	spec := t.Server.Spec
	spec.Port = port
	t.Server.Stop()
	server, err := t.Options.start(t.ctx, spec)
	if err == nil {
		t.mu.Lock()
		t.Server = server
		t.mu.Unlock()
	}
	return err
}
