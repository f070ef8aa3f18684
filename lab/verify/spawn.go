package verify

import (
	"cmp"
	"debug/buildinfo"
	"fmt"
	"os/exec"

	"golang.org/x/sys/unix"

	"socketlab/lab/text"
)

// withoutSpawn sees what a server does when it can make no process and no
// thread for one client more.
//
// The limit, RLIMIT_NPROC in setrlimit(2), counts what a user has, and root has
// none. So where we are root the server is started once more, as a user that
// has nothing else, with room for one client; otherwise there is room for
// nothing more from a moment on.
func (t *T) withoutSpawn() {
	before := t.started()
	t.Dial().Echo([]byte("hello\n"))
	one := t.Tree().Threads
	for range t.Most(3) - 1 {
		t.Dial().Echo([]byte("hello\n"))
	}
	now := t.Tree()
	forks, tasks := len(now.Processes)-len(before.Processes), now.Threads-before.Threads
	t.Tell("with %s it has %s and %s more", text.Count(t.Most(3), "client"), text.Count(forks, "process", "processes"), text.Count(tasks-forks, "thread"))
	switch {
	case t.Most(3) < 3 || max(forks, tasks) < 3:
		t.Skip("makes none for a client")
	case t.inGo():
		t.Skip("the Go runtime ends a program that gets no thread")
	}
	t.hangUp()
	if unix.Geteuid() == 0 {
		t.alone(one)
	}
	first := t.Dial()
	first.Echo([]byte("I am here\n"))
	if unix.Geteuid() != 0 {
		for _, p := range t.Tree().Processes {
			unix.Prlimit(p.Pid, unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 0, Max: unix.RLIM_INFINITY}, nil)
		}
	}
	t.Tell("now come more clients than it can make processes or threads for")
	t.Phase("full")
	for range 20 {
		if c := t.Knock(); c != nil {
			c.SendString("hello\n")
			if !c.answered([]byte("hello\n")) { // it is turned away, or waits
				break
			}
		}
	}
	first.Echo([]byte("still served?\n"))
	t.ExpectQuiet("while it can make none")
	for _, p := range t.Tree().Processes {
		if unix.Geteuid() != 0 {
			unix.Prlimit(p.Pid, unix.RLIMIT_NPROC, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}, nil)
		}
	}
	t.hangUp()
	t.Tell("everybody left: now it can again")
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
}

// inGo reports whether the server is written in Go.
func (t *T) inGo() bool {
	_, err := buildinfo.ReadFile(fmt.Sprintf("/proc/%d/exe", t.Server.Pid()))
	return err == nil
}

// alone starts the server again, as a user that has no other process, and may
// read and execute what we may.
func (t *T) alone(most int) {
	const spare = 12 // a runtime may need some more to start
	setpriv, err := exec.LookPath("setpriv")
	prlimit, err2 := exec.LookPath("prlimit")
	if cmp.Or(err, err2) != nil {
		t.Skip("setpriv and prlimit are not installed (util-linux), and root has no limit")
	}
	spec := t.Server.Spec
	nobody := spec.Port // no other server has that number now
	for last := most + spare; most <= last; most += 4 {
		t.Server.Spec.Command = append([]string{
			setpriv, fmt.Sprintf("--reuid=%d", nobody), "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--bounding-set=-sys_resource,-sys_admin", "--",
			prlimit, fmt.Sprintf("--nproc=%d:%d", most, most), "--",
		}, spec.Command...)
		if err := t.startAgain(0); err == nil {
			t.Tell("it was started again, as user %d, who may have %s", nobody, text.Count(most, "thread"))
			return
		}
	}
	t.Server.Spec = spec
	t.Skip("it does not start as another user with so few, and root has no limit")
}
