package broken

import (
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

func lifeServers() []Server {
	return []Server{
		{
			Name: "burns-a-core", Service: "echo", Cause: "busy-loop", Source: "C",
			Bug:    "has its main thread wait for the others in while(1){}",
			Caught: []string{"life/idle", "life/descriptors", "life/shed", "life/stdin", "life/half-closed"},
			Serve: func(lfd int) {
				go threads(echo)(lfd)
				//lint:ignore SA5002 that is the bug
				for {
				}
			},
		},
		{
			Name: "sets-its-timeout-once", Service: "echo", Cause: "busy-loop", Source: "C",
			Bug:     "sets the timeout of its wait once, and Linux counts it down in place: from then on it does not wait at all",
			Caught:  []string{"life/idle", "life/descriptors", "life/shed", "life/stdin", "life/half-closed"},
			Perhaps: []string{"life/wakeups"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				timeout := unix.Timespec{Nsec: 100e6}
				l.wait = func(fds []unix.PollFd) {
					unix.Ppoll(fds, &timeout, nil) // the bare system call: counts as select's does
				}
				l.serve()
			},
		},
		{
			Name: "spins-at-the-end-of-its-input", Service: "echo", Cause: "stdin-end", Source: "A",
			Bug:    "waits for its terminal too, whose end is always ready, and takes no notice of it",
			Caught: []string{"life/stdin"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.keyboard = 0
				l.onOperator = func() { sys.Read(0, l.buf[:]) }
				l.serve()
			},
		},
		{
			Name: "ends-with-its-input", Service: "echo", Cause: "stdin-end",
			Bug:    "takes the end of its standard input for its own",
			Caught: []string{"life/stdin"},
			Serve: func(lfd int) {
				go threads(echo)(lfd)
				io.Copy(io.Discard, os.Stdin)
			},
		},
		{
			Name: "never-lets-its-children-go", Service: "echo", Cause: "child-stays", Source: "G",
			Bug:     "has no exit in the child: when its client has left it goes back to accept, on a closed descriptor, and spins",
			Caught:  []string{"life/idle", "life/children"},
			Perhaps: []string{"life/half-closed"}, // what it owes may be in the kernel: then the child is at its end
			Spared:  []string{"many/burst", "many/crowd", "many/churn", "many/wall", "many/soak", "life/kept", "life/joined"},
			Serve:   func(lfd int) { newParent(lfd).serve() },
			Client: func(cfd int) {
				for ; ; cfd, _ = sys.Accept(-1, 0) {
					echo(cfd)
				}
			},
		},
		{
			Name: "waits-once-per-signal", Service: "echo", Cause: "wait-once", Source: "G",
			Bug:    "calls wait once for each SIGCHLD, but one signal may stand for many children",
			Caught: []string{"many/churn", "life/children"},
			Serve: func(lfd int) {
				p := newParent(lfd)
				p.reap = func() {
					sys.Reap()
					time.Sleep(time.Second) // the others end meanwhile, on a busy machine too
				}
				p.serve()
			},
		},
		{
			Name: "does-not-replace-its-workers", Service: "echo", Cause: "workers-gone", Limit: 8,
			Bug: "starts eight processes that accept, each of which ends with its client, and no others",
			Caught: []string{
				"bytes/silence", "close/reset",
				"many/apart", "many/burst", "many/crowd", "many/churn",
				"life/children", "life/descriptors",
				"random/schedules",
			},
			Serve: func(lfd int) {
				p := newParent(lfd)
				for range 8 {
					p.spawn(lfd)
				}
				for err := error(nil); err == nil; {
					_, _, err = sys.Wait() // sleeps until one of them ends
				}
				select {}
			},
			Client: func(lfd int) {
				cfd, _ := sys.Accept(lfd, 0) // sleeps until it is chosen for a client
				echo(cfd)
			},
		},
		{
			Name: "leaves-its-children-behind", Service: "echo", Cause: "children-left",
			Bug:     "ends at SIGTERM, and does not tell its children",
			Caught:  []string{"life/ends"},
			Perhaps: []string{"life/spawn"}, // it ends, too, when it cannot fork
			Spared:  []string{"many/crowd", "many/churn", "many/wall", "many/soak", "life/kept", "life/joined"},
			Serve: func(lfd int) {
				p := newParent(lfd)
				p.spawn = func(cfd int) error {
					_, err := syscall.ForkExec("/proc/self/exe", childArgs(), &syscall.ProcAttr{
						Env:   os.Environ(),
						Files: []uintptr{0, 1, 2, uintptr(cfd)}, // without PR_SET_PDEATHSIG
					})
					return err
				}
				p.serve()
			},
		},
		{
			Name: "ignores-sigterm", Service: "echo", Cause: "sigterm-ignored",
			Bug:    "ignores SIGTERM",
			Caught: []string{"life/ends"},
			Serve: func(lfd int) {
				signal.Ignore(unix.SIGTERM)
				threads(echo)(lfd)
			},
		},
		{
			Name: "dies-of-sigterm", Service: "echo", Cause: "sigterm-kills",
			Bug:    "does not handle SIGTERM, which kills it: exit code 143 in the shell",
			Caught: []string{"life/term"},
			Serve: func(lfd int) {
				signal.Reset(unix.SIGTERM)
				threads(echo)(lfd)
			},
		},
		{
			Name: "keeps-everything", Service: "echo", Cause: "memory-owed",
			Bug:    "goes on reading from a client that does not read, and keeps all it owes",
			Caught: []string{"life/memory"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.mostOwed = 1 << 40
				l.serve()
			},
		},
		{
			Name: "spins-when-full", Service: "echo", Cause: "emfile-spin",
			Bug:    "tries again at once when accept fails for want of a descriptor",
			Caught: []string{"life/descriptors", "life/shed"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.onConnection = func() {
					l.accept()
					l.full = false
				}
				l.serve()
			},
		},
		{
			Name: "puts-a-failed-accept-in-its-list", Service: "echo", Cause: "emfile-spin", Source: "C",
			Bug:    "does not look whether accept failed, and takes -1 for a client",
			Caught: []string{"life/descriptors", "life/shed"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				var readers unix.FdSet
				l.onConnection = func() {
					cfd, _ := sys.Accept(lfd, unix.SOCK_NONBLOCK)
					readers.Set(cfd) // and the loop waits for it
					l.welcome(cfd)
				}
				l.serve()
			},
		},
		{
			Name: "gives-up-when-interrupted", Service: "echo", Cause: "eintr",
			Bug:    "takes a read that was interrupted, EINTR, for a failure",
			Caught: []string{"life/stopped"},
			Serve: func(lfd int) {
				signal.Ignore(unix.SIGURG) // the Go runtime's own, from thread to thread; C has none
				threads(func(cfd int) {
					defer sys.Close(cfd)
					// With a timeout a read is not begun anew after SIGCONT: signal(7).
					unix.SetsockoptTimeval(cfd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 3600})
					buf := make([]byte, 64<<10)
					for {
						n, err := unix.Read(cfd, buf)
						if err != nil || n == 0 || !write(cfd, buf[:n]) {
							return
						}
					}
				})(lfd)
			},
		},
		{
			Name: "forgets-so-reuseaddr", Service: "echo", Cause: "no-reuseaddr", Source: "A",
			Bug:    "does not set SO_REUSEADDR, and its port stays taken for a minute",
			Caught: []string{"life/restart"},
			Listen: func(port uint16) (int, error) { return listenAs(port, [4]byte{127, 0, 0, 1}) },
			Serve:  threads(echo),
		},
	}
}
