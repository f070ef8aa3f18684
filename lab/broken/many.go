package broken

import (
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

func manyServers() []Server {
	return []Server{
		{
			Name: "serves-one-at-a-time", Service: "echo", Cause: "one-client", Source: "F",
			Bug: "talks with one client to the end before it accepts the next; that may be meant, but is not declared",
			Caught: []string{
				"close/reset", "close/early",
				"many/two", "many/apart", "many/half-line", "many/slow-reader", "many/flood", "many/crowd",
				"life/idle", "life/children", "life/stopped",
			},
			Perhaps: []string{"many/burst", "random/schedules"},
			Serve: func(lfd int) {
				for {
					cfd, err := sys.Accept(lfd, 0)
					if err != nil {
						fatal(err)
					}
					echo(cfd)
				}
			},
		},
		{
			Name: "ends-with-its-first-client", Service: "echo", Cause: "ends-with-client", Source: "F", Limit: 1,
			Bug:    "returns from main when the client has left",
			Caught: allBut("life/term"),
			Serve: func(lfd int) {
				cfd, err := sys.Accept(lfd, 0)
				if err != nil {
					fatal(err)
				}
				echo(cfd)
			},
		},
		{
			Name: "answers-the-newest", Service: "echo", Cause: "wrong-descriptor",
			Bug: "keeps the client's descriptor in one variable for all threads, and accept overwrites it",
			Caught: []string{
				"close/reset", "close/early",
				"many/apart", "many/half-line", "many/slow-reader", "many/flood", "many/burst", "many/crowd", "many/churn",
				"life/descriptors", "life/stopped",
				"random/schedules",
			},
			Serve: func(lfd int) {
				var newest atomic.Int32
				threads(func(cfd int) {
					defer sys.Close(cfd)
					newest.Store(int32(cfd))
					for p := range reads(cfd, 64<<10) {
						if !write(int(newest.Load()), p) {
							return
						}
					}
				})(lfd)
			},
		},
		{
			Name: "keeps-one-buffer-for-all", Service: "echo", Cause: "one-buffer",
			Bug: "puts what the kernel did not take into one buffer, and sends it to whoever comes next",
			Caught: []string{
				"bytes/sizes", "bytes/pipelined",
				"close/half", "close/early",
				"many/apart", "many/slow-reader",
				"life/memory", "life/stopped",
				"random/schedules",
			},
			Perhaps: []string{"close/reset", "many/flood"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.smallBuffers()
				var owed []byte
				l.onWritable = func(c *client) {
					c.owed = append(owed, c.owed...)
					l.send(c)
					owed, c.owed = c.owed, nil
				}
				l.serve()
			},
		},
		{
			Name: "reads-to-the-newline", Service: "echo", Cause: "line",
			Bug: "reads until the newline once a client has begun to speak, and everybody waits for it",
			Caught: []string{
				"bytes/binary", "bytes/one-by-one", "bytes/sizes",
				"many/apart", "many/half-line",
				"life/stopped",
				"random/schedules",
			},
			Perhaps: []string{"many/slow-reader", "many/flood", "life/memory"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.onReadable = func(c *client) {
					unix.SetNonblock(c.fd, false)
					for b := []byte{0}; b[0] != '\n' && read(c.fd, b) > 0; {
						l.hear(c, b)
					}
					if len(c.owed) == 0 {
						l.drop(c)
						return
					}
					unix.SetNonblock(c.fd, true)
					l.onWritable(c)
				}
				l.serve()
			},
		},
		{
			Name: "waits-for-a-slow-reader", Service: "echo", Cause: "blocking-write", Source: "A",
			Bug:    "writes to a client until all has gone, and everybody waits for that one to read",
			Caught: []string{"many/slow-reader"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.onWritable = l.sendSleeping
				l.serve()
			},
		},
		{
			Name: "reads-until-nothing-is-left", Service: "echo", Cause: "greedy",
			Bug:    "when a client has sent much, reads on from that one alone until nothing has come for 0.25 s, and from one that never pauses something always comes",
			Caught: []string{"many/flood"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				said := map[*client]int{}
				var busy *client
				l.hear = func(c *client, p []byte) {
					c.owed = append(c.owed, p...)
					if said[c] += len(p); said[c] > 1<<20 {
						busy = c
					}
				}
				l.wait = func(fds []unix.PollFd) {
					if i := slices.Index(l.clients, busy); i >= 0 {
						if n, _ := sys.Poll(fds[2+i:][:1], 250); n > 0 {
							return
						}
						busy = nil
					}
					sys.Poll(fds, -1)
				}
				l.serve()
			},
		},
		{
			Name: "accepts-slowly", Service: "echo", Cause: "slow-accept",
			Bug:    "takes 0.15 s for each client that comes, in the only thread that accepts; its queue is short (listen with a backlog of 1)",
			Caught: []string{"many/burst", "many/crowd", "many/churn"},
			Serve: func(lfd int) {
				unix.Listen(lfd, 1)
				for {
					cfd, err := sys.Accept(lfd, 0)
					if err == nil {
						go echo(cfd)
					}
					time.Sleep(150 * time.Millisecond)
				}
			},
		},
		{
			Name: "accepts-one-of-many", Service: "echo", Cause: "edge-accept",
			Bug:     "is told of new clients by an edge (EPOLLET), and accepts one each time; of two that come together, one waits for the next",
			Caught:  []string{"many/burst", "many/churn"},
			Perhaps: []string{"*/*"},
			Serve: func(lfd int) {
				unix.SetNonblock(lfd, true)
				epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
				if err != nil {
					fatal(err)
				}
				event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(lfd)}
				unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, lfd, &event)
				for {
					unix.EpollWait(epfd, make([]unix.EpollEvent, 1), -1)
					if cfd, err := sys.Accept(lfd, 0); err == nil {
						go echo(cfd)
					}
				}
			},
		},
		{
			Name: "has-room-for-500", Service: "echo", Cause: "small-table",
			Bug:    "uses the descriptor as an index into a table of 500",
			Caught: []string{"many/crowd"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				var here [500]bool
				l.onConnection = func() {
					l.accept()
					for _, c := range l.clients {
						here[c.fd] = true
					}
				}
				l.serve()
			},
		},
		{
			Name: "turns-away-the-surplus", Service: "echo", Cause: "turns-away", Limit: 300,
			Bug:    "closes the connection of a client it has no place for, instead of letting it wait",
			Caught: []string{"many/crowd"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.onConnection = func() {
					l.accept()
					if n := len(l.clients); n > 300 {
						l.drop(l.clients[n-1])
					}
				}
				l.serve()
			},
		},
		{
			Name: "keeps-its-threads", Service: "echo", Cause: "threads-kept", Source: "H",
			Bug:    "its threads do not end when their clients have left",
			Caught: []string{"many/churn"},
			Serve: threads(func(cfd int) {
				echo(cfd)
				go unix.Pause() // sleeps for ever, in a thread of its own
			}),
		},
		{
			Name: "shares-its-list-without-a-lock", Service: "echo", Cause: "race", Source: "C",
			Bug:     "keeps its clients in a list that all threads change, without a lock",
			Caught:  []string{"many/burst", "many/churn"},
			Perhaps: []string{"*/*"},
			Serve: func(lfd int) {
				var here []int
				threads(func(cfd int) {
					here = append(here, cfd)
					echo(cfd)
					at := slices.Index(here, cfd)
					runtime.Gosched()
					here = slices.Delete(here, at, at+1)
				})(lfd)
			},
		},
	}
}
