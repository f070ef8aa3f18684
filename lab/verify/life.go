package verify

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
	"socketlab/lab/report"
	"socketlab/lab/subject"
	"socketlab/lab/text"
)

var lifeChecks = []Check{
	{
		ID: "life/idle", Level: report.Must, Service: "echo",
		Says:   "uses no CPU while its clients are silent, and none after they left",
		Causes: []string{"busy-loop", "write-interest", "end-missed"},
		Try:    `timeout 3 nc -d 127.0.0.1 PORT & top -b -n 4 -d 2 -p PID | grep '^ *PID'`,
		Run: func(t *T) {
			t.Phase("alone")
			t.ExpectQuiet("before anybody has come")
			t.Phase("silent")
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
			t.Phase("left")
			t.ExpectQuiet("after the clients left")
		},
	},
	{
		ID: "life/children", Level: report.Must, Service: "echo", First: true,
		Says:   "leaves no zombie and no runaway child after 20 clients leave at once",
		Causes: []string{"wait-once", "child-stays"},
		Try:    `(for i in $(seq 20); do timeout 1 nc -d 127.0.0.1 PORT & done; wait); sleep 1; ps -o pid,stat,cmd --ppid PID`,
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
			for mark, passes := range map[string]func(proc.Tree) bool{
				"zombies":  func(now proc.Tree) bool { return now.Zombies == 0 },
				"children": func(now proc.Tree) bool { return len(now.Processes)-now.Zombies <= len(before.Processes) },
			} {
				t.UntilAs(mark, "no zombie, and as many processes as before", func() (string, bool) {
					now := t.Tree()
					return fmt.Sprintf("%d zombies among %d processes, before %d", now.Zombies, len(now.Processes), len(before.Processes)), passes(now)
				})
			}
			if now := t.Tree(); len(now.Processes) < len(before.Processes) {
				t.FailAs("workers", "as many processes as before", fmt.Sprintf("%d, and before %d", len(now.Processes), len(before.Processes)))
			}
			t.Tell("afterwards: %d, and no zombie", len(t.Tree().Processes))
			t.Dial().Echo([]byte("still there?\n"))
		},
	},
	{
		ID: "life/ends", Level: report.Must, Service: "echo", Ends: true,
		Says:   "ends within 2 s of SIGTERM, however, and its children with it",
		Causes: []string{"sigterm-ignored", "sigterm-slow", "children-left"},
		Try:    `(sleep 1; timeout 9 nc -d 127.0.0.1 PORT) & timeout --foreground -v --preserve-status -k 3 3 ./myserver PORT; echo $?; ps -o pid,cmd -C myserver`,
		Run: func(t *T) {
			if _, over := t.terminate(); !over {
				t.FailAs("runs on", "to end within 2 s of SIGTERM", "it runs on")
			}
			t.UntilAs("children", "its children to end too", func() (string, bool) {
				left := len(t.Tree().Processes)
				return fmt.Sprintf("%d processes are left", left), left == 0
			})
		},
	},
	{
		ID: "life/term", Level: report.Should, Service: "echo", Ends: true,
		Says:   "has exit code 0 when SIGTERM ends it",
		Causes: []string{"sigterm-kills"},
		Try:    `timeout --foreground --preserve-status 3 ./myserver PORT; echo $?`,
		Run: func(t *T) {
			ending, over := t.terminate()
			if !over {
				t.Skip("it does not end: see life/ends")
			}
			if ending.Code != 0 {
				t.Fail("exit code 0", ending.String())
			}
		},
	},
	{
		ID: "life/memory", Level: report.Must, Service: "echo",
		Says:   "does not grow without bound for a client that sends and never reads",
		Causes: []string{"memory-owed"},
		Try:    `head -c 64M /dev/zero | timeout 5 nc 127.0.0.1 PORT | sleep 5 & sleep 4; grep VmRSS /proc/PID/status`,
		Run: func(t *T) {
			const offered, most = 128 * mib, 48 * mib
			c := t.DialNarrow()
			c.Echo([]byte("hello\n"))
			before := t.Tree().RSS
			taken := c.Pour(make([]byte, offered))
			grown := t.Tree().RSS - before
			t.Tell("the server grew by %d KiB", grown>>10)
			if grown > most {
				t.FailAs("grew", fmt.Sprintf("growth of at most %d MiB", most/mib), fmt.Sprintf("%d MiB, after %d MiB that it took", grown/mib, taken/mib))
			}
		},
	},
	{
		ID: "life/descriptors", Level: report.Must, Service: "echo", Files: 64,
		Says:   "out of descriptors neither dies nor spins, and serves again when some are free",
		Causes: []string{"emfile-spin", "emfile-death"},
		Try:    `(ulimit -n 16; exec ./myserver PORT) & S=$!; sleep 1; (for i in $(seq 20); do timeout 5 nc -d 127.0.0.1 PORT & done; wait) & sleep 1; top -b -n 2 -d 2 -p $S | tail -n 1; sleep 3; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			served, waiting := t.outOfDescriptors()
			if waiting == nil {
				return
			}
			t.Phase("full")
			served[0].Echo([]byte("still served?\n"))
			t.ExpectQuiet("while it has no room")
			half := (len(served) + 1) / 2
			for _, c := range served[:half] {
				c.Close()
			}
			waiting.Close()
			t.Phase("again")
			t.Until("to serve again", func() (string, bool) {
				c := t.Knock()
				if c == nil {
					return "its queue is full", false
				}
				defer c.Close()
				c.SendString("hello\n")
				return "a new client is not served", c.answered([]byte("hello\n"))
			})
			for _, c := range served[half:] {
				c.Echo([]byte("still here\n"))
			}
		},
	},
	{
		ID: "life/shed", Level: report.Should, Service: "echo", Files: 64,
		Says:   "out of descriptors keeps clients waiting, and serves them when some are free",
		Causes: []string{"emfile-sheds"},
		Try:    `(ulimit -n 16; exec ./myserver PORT) & sleep 1; for i in $(seq 20); do (echo $i; sleep 3) | timeout 6 nc -N 127.0.0.1 PORT & done | sort -n | wc -l`,
		Run: func(t *T) {
			served, waiting := t.outOfDescriptors()
			if waiting == nil {
				return
			}
			for _, c := range served[:(len(served)+1)/2] {
				c.Close()
			}
			waiting.ExpectString("hello\n")
			waiting.Echo([]byte("there is room now\n"))
		},
	},
	{
		ID: "life/stopped", Level: report.Must, Service: "echo",
		Says:   "survives being stopped and continued (SIGSTOP, SIGCONT) with nothing lost",
		Causes: []string{"eintr"},
		Try:    `(sleep 3; echo hello) | timeout 5 nc -N 127.0.0.1 PORT & sleep 1; kill -STOP PID; sleep 1; kill -CONT PID; sleep 2`,
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
		Says:   "can be started again on its port at once, with connections in TIME-WAIT",
		Causes: []string{"no-reuseaddr"},
		Try:    `./myserver PORT & S=$!; sleep 1; timeout 5 nc -d 127.0.0.1 PORT & sleep 1; kill -9 $S; sleep 1; ./myserver PORT & sleep 1; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
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
		Says:   "keeps serving when its standard input ends",
		Causes: []string{"stdin-end"},
		Try:    `sleep 1 | ./myserver PORT & sleep 2; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT; top -b -n 2 -d 2 -p $! | tail -n 1`,
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
	{
		ID: "life/kept", Level: report.Must, Service: "echo", Long: true, Crowd: true,
		Says:   "keeps no memory for clients that left",
		Causes: []string{"memory-kept"},
		Try:    `grep VmRSS /proc/PID/status; for i in $(seq 2000); do printf x | timeout 2 nc -N 127.0.0.1 PORT >/dev/null; done; grep VmRSS /proc/PID/status`,
		Run: func(t *T) {
			round, rounds, most := 500, 4, int64(12<<10) // bytes for each client
			if t.Soak {
				round, rounds, most = 10_000, 8, 128
			}
			t.visits(2 * round) // until what is allocated once is there
			for _, grown := t.growth(round, rounds, most); grown; _, grown = t.growth(round, rounds, most) {
				// A runtime that collects garbage gives it back, sooner or later.
				if rss := t.Tree().RSS; rss > t.enough() {
					t.FailAs("memory", "as much memory as before", t.grew)
				}
			}
			t.Tell("%s", t.grew)
		},
	},
	{
		ID: "life/joined", Level: report.Should, Service: "echo", Long: true, Crowd: true,
		Says:   "keeps no mappings for threads that ended",
		Causes: []string{"unjoined"},
		Try:    `wc -l /proc/PID/maps; for i in $(seq 200); do printf x | timeout 2 nc -N 127.0.0.1 PORT >/dev/null; done; wc -l /proc/PID/maps`,
		Run: func(t *T) {
			const connections = 200
			t.visits(connections)
			before := t.mappings()
			came := t.visits(connections)
			t.UntilAs("maps", fmt.Sprintf("as many mappings as before: %d", before), func() (string, bool) {
				now := t.mappings()
				return fmt.Sprintf("%d after %d clients more", now, came), now < before+came/2
			})
		},
	},
	{
		ID: "life/half-closed", Level: report.Must, Service: "echo",
		Says:   "uses no CPU while a half-closed client does not read",
		Causes: []string{"half-closed-spin"},
		Try:    `head -c 64M /dev/zero | timeout 9 nc -N 127.0.0.1 PORT | sleep 9 & sleep 2; top -b -n 2 -d 2 -p PID | tail -n 1`,
		Run: func(t *T) {
			c := t.DialNarrow()
			owed := c.Overfill(12 * mib)
			c.HalfClose()
			c.Heard()
			t.ExpectQuiet("while a client that has finished does not read")
			t.Phase("end")
			c.Expect(owed)
			c.ExpectFIN()
		},
	},
	{
		ID: "life/wakeups", Level: report.Should, Service: "echo",
		Says:   "does not wake up more than 20 times a second while nothing happens",
		Causes: []string{"short-timeout", "busy-loop"},
		Try:    `timeout 5 nc -d 127.0.0.1 PORT & sleep 1; grep ^voluntary /proc/PID/task/*/status; sleep 1; grep ^voluntary /proc/PID/task/*/status`,
		Run: func(t *T) {
			const stretch, most = time.Second, 20
			for range t.Most(3) {
				t.Dial().Echo([]byte("hello\n"))
			}
			fewest := 1 << 30
			t.standAside()
			t.Until(fmt.Sprintf("at most %d wakeups a second", most), func() (string, bool) {
				before := t.wakeups()
				t.pause(stretch)
				fewest = min(fewest, t.wakeups()-before)
				return fmt.Sprintf("%d", fewest), fewest <= most
			})
			t.Tell("it woke up %s a second", text.Count(fewest, "time"))
		},
	},
	{
		ID: "life/patience", Level: report.Should, Service: "echo", Long: true,
		Says:   "keeps a client that is silent for 5 s",
		Causes: []string{"idle-timeout"},
		Try:    `(sleep 6; echo hello) | timeout 8 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			const silence = 5 * time.Second
			spoke := t.Dial()
			spoke.Echo([]byte("hello\n"))
			start := time.Now()
			t.standAside()
			if spoke.Arrives(silence) {
				extra := make([]byte, 1)
				n, err := spoke.conn.Read(extra)
				took := time.Since(start).Round(100 * time.Millisecond)
				if n == 0 {
					spoke.failAs(hungUp, fmt.Sprintf("nothing for %v", silence), fmt.Sprintf("%s after %v", spoke.ending(err), took))
				}
				spoke.fail(fmt.Sprintf("nothing for %v", silence), fmt.Sprintf("%s after %v", quantity(extra), took))
			}
			t.Tell("%s said nothing for %v", spoke.name, silence)
			spoke.Echo([]byte("here I am again\n"))
		},
	},
	{
		ID: "life/address", Level: report.Should, Service: "echo", Mute: true,
		Says:   "listens on the address it was given, 127.0.0.1, and not on all",
		Causes: []string{"all-addresses"},
		Try:    `ss -ltn 'sport = :PORT'`,
		Run: func(t *T) {
			for _, s := range t.sockets() {
				if s.State == proc.Listen && !s.Local.Addr().Unmap().IsLoopback() {
					t.FailAs("address", "a socket that listens on 127.0.0.1", "one that listens on "+s.Local.String())
				}
			}
		},
	},
	{
		ID: "life/alone", Level: report.Should, Service: "echo", Mute: true,
		Says:   "does not share its port with a second server unasked (SO_REUSEPORT)",
		Causes: []string{"reuseport"},
		Try:    `./myserver PORT & sleep 1; ./myserver PORT`,
		Run: func(t *T) {
			listening := 0
			for _, s := range t.sockets() {
				if s.State == proc.Listen {
					listening++
				}
			}
			if listening > 1 {
				t.Tell("it has %d sockets that listen: it shares the port with itself, on purpose", listening)
				return
			}
			if t.shares() {
				t.FailAs("shared", "the address to be in use for a second server", "a second one with SO_REUSEPORT gets it too")
			}
		},
	},
	{
		ID: "life/spawn", Level: report.Must, Service: "echo", Ends: true,
		Says:   "survives that no process or thread can be made (RLIMIT_NPROC), if it makes them for its clients",
		Causes: []string{"spawn-death"},
		Try:    `(ulimit -u $(($(ps -u $USER -L | wc -l) + 5)); exec ./myserver PORT) & sleep 1; for i in $(seq 20); do (echo $i; sleep 3) | timeout 6 nc -N 127.0.0.1 PORT & done; sleep 7; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run:    func(t *T) { t.withoutSpawn() },
	},
}

// terminate sends SIGTERM while a silent client is there, and says how the server
// ended, or that it did not within 2 s. One that waits for its last client waits
// asleep.
func (t *T) terminate() (subject.Ending, bool) {
	const most, more = 2 * time.Second, 2 * time.Second // to know how long it takes
	const stretch, busy = 300 * time.Millisecond, 60    // percent of one core
	t.Dial().Echo([]byte("I stay\n"))
	start, before := time.Now(), t.Tree().CPU
	t.Server.Signal(unix.SIGTERM)
	t.Tell("SIGTERM")
	select {
	case <-t.Server.Exited():
	case <-time.After(stretch):
		t.standAside()
		if share := 100 * float64(t.Tree().CPU-before) / float64(time.Since(start)); share > busy {
			t.FailAs("busy", "to wait for its last client asleep", fmt.Sprintf("it uses %.0f %% of a core", share))
		}
	}
	select {
	case <-t.Server.Exited():
	case <-t.ctx.Done():
		t.goOn()
	case <-time.After(most + more - time.Since(start)):
		return subject.Ending{}, false
	}
	took := time.Since(start).Round(10 * time.Millisecond)
	ending, _ := t.Server.Ending()
	t.Tell("ended after %v: %v", took, ending)
	if took > most && t.check == "life/ends" {
		t.FailAs("slow", "to end within 2 s of SIGTERM", fmt.Sprintf("it took %v", took))
	}
	return ending, true
}

// outOfDescriptors are as many clients as are served until one is not, and that
// one; nil: the server has use for no more descriptors.
func (t *T) outOfDescriptors() (served []*Client, waiting *Client) {
	const most, patience = 80, 300 * time.Millisecond
	for len(served) < most {
		c := t.Dial()
		c.SendString("hello\n")
		if len(served) > 0 && !c.Arrives(patience) {
			t.Phase("full")
			t.ExpectQuiet("while it has no room") // else it is slow, or spins
		}
		if len(served) > 0 && !c.answered([]byte("hello\n")) {
			t.Tell("with %s the server has no room for one more", text.Count(len(served), "client"))
			return served, c
		}
		if len(served) == 0 {
			c.ExpectString("hello\n")
		}
		served = append(served, c)
	}
	t.Tell("%d clients are served with %d descriptors: it has no use for more", most, 64)
	return served, nil
}

// visits has clients come, say a word and leave, several at a time, and returns
// how many.
func (t *T) visits(n int) int {
	n = t.comeAndGo(n, t.Most(8), func(int) bool { return true })
	t.Until("the server to come to rest", func() (string, bool) {
		n := t.count(proc.Established) + t.count(proc.CloseWait)
		return fmt.Sprintf("%d connections are left", n), n == 0
	})
	return n
}

// growth has rounds of clients come and go, and reports whether the server grew
// in each of them by more than most bytes for a client.
func (t *T) growth(round, rounds int, most int64) (total int64, grown bool) {
	start, clients := t.Tree().RSS, 0
	before := start
	for range rounds {
		came := t.visits(round)
		clients += came
		now := t.Tree().RSS
		grown = now-before > most*int64(came)
		before = now
		if !grown {
			break
		}
	}
	total = before - start
	t.grew = fmt.Sprintf("with %s clients more it grew by %d KiB", text.Number(clients), total>>10)
	t.Tell("%s", t.grew)
	return total, grown
}

// enough is how much memory a server may have until it is plain that it gives
// none back: a virtual machine collects its garbage when it likes.
func (t *T) enough() int64 {
	const most, machine = 64 << 20, 1 << 30
	for _, p := range t.Tree().Processes {
		maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.Pid))
		if bytes.Contains(maps, []byte("libjvm.so")) {
			return machine
		}
	}
	return most
}

// mappings is how many lines /proc/PID/maps has, of all processes.
func (t *T) mappings() (n int) {
	for _, p := range t.Tree().Processes {
		maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.Pid))
		n += bytes.Count(maps, []byte("\n"))
	}
	return n
}

// wakeups is how often the server's threads have slept by their own wish. What a
// Java machine does for itself is not the server's: its threads have names.
func (t *T) wakeups() (n int) {
	for _, p := range t.Tree().Processes {
		threads, _ := proc.Threads(p.Pid)
		for _, thread := range threads {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/comm", p.Pid, thread.Tid))
			if bytes.HasPrefix(name, []byte("VM ")) || bytes.HasPrefix(name, []byte("G1 ")) || bytes.HasPrefix(name, []byte("C1 ")) || bytes.HasPrefix(name, []byte("C2 ")) {
				continue
			}
			voluntary, _ := thread.Switches()
			n += int(voluntary)
		}
	}
	return n
}

// shares reports whether a second socket with SO_REUSEPORT gets the server's
// address. It does not listen, so it takes no client away.
func (t *T) shares() bool {
	addr := t.Server.Addr()
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(addr.Port()), Addr: [4]byte{127, 0, 0, 1}})
	if addr.Addr().Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Cannot("make a socket", err)
	}
	defer unix.Close(fd)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	return unix.Bind(fd, sa) == nil
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
		t.notAgain(err)
	}
	t.Tell("the server was started again on port %d", port)
}

// notAgain tells a server that cannot have its old port from one that does not
// start at all now: that is nobody's failure here.
func (t *T) notAgain(err error) {
	if _, taken := errors.AsType[*subject.PortError](err); taken || t.ctx.Err() != nil {
		t.Cannot("start the server again", err)
	}
	if t.startAgain(0) != nil {
		t.Cannot("start the server again", err)
	}
	t.Tell("on another port it starts")
	panic(verdict{
		status: report.Fail, expected: "to be started again", actual: err.Error(), explained: true,
		facts: facts{check: t.check, mark: "in use", output: err.Error()},
	})
}

// startAgain starts the server anew; port 0 is a free one.
func (t *T) startAgain(port uint16) error {
	spec := t.Server.Spec
	spec.Port = cmp.Or(t.only, port)
	t.Server.Stop()
	server, err := t.Options.start(t.ctx, spec)
	if err == nil {
		t.mu.Lock()
		t.Server = server
		t.mu.Unlock()
	}
	return err
}
