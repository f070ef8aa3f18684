package broken

import (
	"bytes"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// These are kinds of bugs that show only after a while, with many clients, or
// when somebody looks at the process: as people report them.
func kindsServers() []Server {
	return []Server{
		{
			Name: "speaks-http", Service: "echo", Cause: "protocol",
			Bug:    "answers in a protocol of its own, HTTP",
			Caught: allBut(),
			Serve: answers(func(p []byte) []byte {
				return []byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			}),
		},
		{
			Name: "fills-its-buffer-first", Service: "echo", Cause: "full-buffer",
			Bug:     "reads until its buffer of 4,096 bytes is full, as fread does, before it answers",
			Caught:  []string{"bytes/echo"},
			Perhaps: []string{"*/*"},
			Serve: threads(func(cfd int) {
				defer sys.Close(cfd)
				buf := make([]byte, 4096)
				for {
					filled, n := 0, 1
					for filled < len(buf) && n > 0 {
						n = read(cfd, buf[filled:])
						filled += n
					}
					if !write(cfd, buf[:filled]) || n == 0 {
						return
					}
				}
			}),
		},
		{
			Name: "reads-to-the-end-first", Service: "echo", Cause: "waits-for-end",
			Bug:     "reads until the client has finished before it answers",
			Caught:  []string{"bytes/echo"},
			Perhaps: []string{"*/*"},
			Serve: threads(func(cfd int) {
				defer sys.Close(cfd)
				var all []byte
				for p := range reads(cfd, 64<<10) {
					if all = append(all, p...); len(all) > 16<<20 {
						return
					}
				}
				write(cfd, all)
			}),
		},
		{
			Name: "answers-once", Service: "echo", Cause: "one-answer",
			Bug:     "closes the connection after one answer",
			Caught:  []string{"bytes/echo"},
			Perhaps: []string{"*/*"},
			Serve: threads(func(cfd int) {
				defer sys.Close(cfd)
				for p := range reads(cfd, 64<<10) {
					write(cfd, p)
					return
				}
			}),
		},
		{
			Name: "cuts-off-at-1000", Service: "echo", Cause: "truncates",
			Bug:     "copies a message into 1,000 bytes before it sends it back",
			Caught:  []string{"bytes/sizes"},
			Perhaps: []string{"*/*"},
			Serve: threads(func(cfd int) {
				defer sys.Close(cfd)
				for p := range reads(cfd, 64<<10) {
					if !write(cfd, p[:min(1000, len(p))]) {
						return
					}
				}
			}),
		},
		{
			Name: "begins-its-answers-anew", Service: "echo", Cause: "restarts",
			Bug:     "sends an answer from its beginning when the kernel has taken a part of it",
			Caught:  []string{"bytes/sizes"},
			Perhaps: []string{"*/*"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.onWritable = func(c *client) {
					n, err := sys.Write(c.fd, c.owed)
					if n == len(c.owed) {
						c.owed = nil
					}
					if err != nil && !sys.Again(err) || c.ended && len(c.owed) == 0 {
						l.drop(c)
					}
				}
				l.serve()
			},
		},
		{
			Name: "reads-once-per-edge", Service: "echo", Cause: "edge-read",
			Bug:     "is told of what clients say by an edge (EPOLLET), and reads 2,048 bytes each time",
			Caught:  []string{"bytes/sizes"},
			Perhaps: []string{"*/*"},
			Serve: func(lfd int) {
				epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
				if err != nil {
					fatal(err)
				}
				sys.SetNonblock(lfd)
				watch := func(fd int, events uint32) {
					unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
				}
				watch(lfd, unix.EPOLLIN)
				events, buf := make([]unix.EpollEvent, 64), make([]byte, 2048)
				full := false
				for {
					n, _ := unix.EpollWait(epfd, events, -1)
					for _, e := range events[:max(0, n)] {
						fd := int(e.Fd)
						if fd == lfd {
							cfd, err := sys.Accept(lfd, unix.SOCK_NONBLOCK)
							switch {
							case err == nil:
								watch(cfd, unix.EPOLLIN|unix.EPOLLET)
							case sys.Full(err):
								unix.EpollCtl(epfd, unix.EPOLL_CTL_DEL, lfd, nil)
								full = true
							}
							continue
						}
						n, err := sys.Read(fd, buf)
						if n == 0 && !sys.Again(err) {
							sys.Close(fd)
							if full {
								watch(lfd, unix.EPOLLIN)
								full = false
							}
							continue
						}
						for p := buf[:n]; len(p) > 0; {
							w, err := sys.Write(fd, p)
							if p = p[w:]; sys.Again(err) {
								sys.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 1000)
							} else if err != nil {
								break
							}
						}
					}
				}
			},
		},
		{
			Name: "leaves-with-the-half-closed", Service: "echo", Cause: "half-close",
			Bug:     "takes POLLRDHUP, the client's FIN, for the end, and does not read what came before it",
			Caught:  []string{"close/half"},
			Perhaps: []string{"*/*"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.wait = func(fds []unix.PollFd) {
					here := slices.Clone(l.clients)
					for i := range here {
						fds[2+i].Events |= unix.POLLRDHUP
					}
					sys.Poll(fds, -1)
					for i, c := range here {
						if fds[2+i].Revents&unix.POLLRDHUP != 0 {
							l.drop(c)
						}
					}
				}
				l.serve()
			},
		},
		{
			Name: "dies-of-a-vanished-client", Service: "echo", Cause: "client-error",
			Bug:     "ends when it cannot send what a client is owed that has finished already",
			Caught:  []string{"close/vanish"},
			Perhaps: []string{"many/flood", "random/schedules"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				gone := func(c *client) {
					if errno, _ := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); c.ended && errno != 0 {
						fatal(unix.Errno(errno))
					}
				}
				l.onReadable = func(c *client) { gone(c); l.receive(c) }
				l.onWritable = func(c *client) { gone(c); l.send(c) }
				l.serve()
			},
		},
		{
			Name: "listens-to-who-talks", Service: "echo", Cause: "greedy",
			Bug:     "waits 50 ms for the client that has just spoken to speak again before it looks at others",
			Caught:  []string{"many/chatter"},
			Perhaps: []string{"many/*", "life/*", "close/*"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				var busy *client
				l.hear = func(c *client, p []byte) {
					c.owed = append(c.owed, p...)
					if busy = nil; len(p) > 0 && len(p) < 8<<10 {
						busy = c
					}
				}
				l.wait = func(fds []unix.PollFd) {
					if i := slices.Index(l.clients, busy); i >= 0 {
						if n, _ := sys.Poll(fds[2+i:][:1], 50); n > 0 {
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
			Name: "gives-a-buffer-back-twice", Service: "echo", Cause: "given-back-twice",
			Bug:     "takes a buffer for each answer from a queue of 1,500, and gives it back twice when the client leaves",
			Caught:  []string{"many/soak"},
			Perhaps: []string{"many/churn", "life/kept"},
			Serve: func(lfd int) {
				free := make(chan []byte, 1<<20)
				for range 1500 {
					free <- make([]byte, 16<<10)
				}
				threads(func(cfd int) {
					defer sys.Close(cfd)
					for {
						buf := <-free
						n := read(cfd, buf)
						runtime.Gosched()
						sent := write(cfd, buf[:n])
						free <- buf
						if n == 0 || !sent {
							free <- buf
							return
						}
					}
				})(lfd)
			},
		},
		{
			Name: "passes-its-descriptor-by-address", Service: "echo", Cause: "wrong-descriptor",
			Bug:     "gives a thread the address of the variable that the next accept overwrites",
			Caught:  []string{"many/burst"},
			Perhaps: []string{"*/*"},
			Serve: func(lfd int) {
				var cfd int
				for {
					fd, err := sys.Accept(lfd, 0)
					if err != nil {
						time.Sleep(50 * time.Millisecond)
						continue
					}
					cfd = fd
					go func(address *int) {
						runtime.LockOSThread() // a thread takes its time to start
						time.Sleep(100 * time.Microsecond)
						echo(*address)
					}(&cfd)
				}
			},
		},
		{
			Name: "puts-1024-into-its-set", Service: "echo", Cause: "fd-setsize",
			Bug:     "puts descriptors of 1,024 and more into an fd_set",
			Caught:  []string{"many/wall"},
			Perhaps: []string{"many/crowd"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.onConnection = func() {
					l.accept()
					var readers unix.FdSet
					for _, c := range l.clients {
						readers.Set(c.fd) // C writes behind the set here; Go ends the program
					}
				}
				l.serve()
			},
		},
		{
			Name: "drops-who-reads-slowly", Service: "echo", Cause: "drops-slow",
			Bug:     "gives a client a second to take each answer (SO_SNDTIMEO), though it reads",
			Caught:  []string{"many/slow"},
			Perhaps: []string{"many/*", "close/*", "bytes/sizes", "life/*", "random/*"},
			Serve: threads(func(cfd int) {
				unix.SetsockoptTimeval(cfd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 1})
				echo(cfd)
			}),
		},
		{
			Name: "has-a-tiny-queue", Service: "echo", Cause: "backlog",
			Bug:     "calls listen with a backlog of 0",
			Caught:  []string{"many/waiting"},
			Perhaps: []string{"many/burst", "many/churn", "many/crowd", "many/soak", "many/wall", "life/kept"},
			Serve: func(lfd int) {
				unix.Listen(lfd, 0)
				threads(echo)(lfd)
			},
		},
		{
			Name: "keeps-memory-of-the-gone", Service: "echo", Cause: "memory-kept",
			Bug:    "does not free the 64 KiB that each client has had",
			Caught: []string{"life/kept"},
			Serve: func(lfd int) {
				kept := make(chan []byte, 1<<20)
				threads(func(cfd int) {
					echo(cfd)
					kept <- bytes.Repeat([]byte("x"), 64<<10)
				})(lfd)
			},
		},
		{
			Name: "never-joins-its-threads", Service: "echo", Cause: "unjoined",
			Bug:    "neither joins nor detaches its threads: the memory for their stacks stays mapped",
			Caught: []string{"life/joined"},
			Serve: threads(func(cfd int) {
				echo(cfd)
				stack, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
				if err == nil {
					unix.Mprotect(stack[:4096], unix.PROT_NONE) // its guard page
				}
			}),
		},
		{
			Name: "asks-to-write-all-the-time", Service: "echo", Cause: "write-interest",
			Bug:     "waits for writability of every client all the time, and nearly always has it",
			Caught:  []string{"life/idle"},
			Perhaps: []string{"*/*"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.wait = func(fds []unix.PollFd) {
					for i := range l.clients {
						fds[2+i].Events |= unix.POLLOUT
					}
					sys.Poll(fds, -1)
				}
				l.serve()
			},
		},
		{
			Name: "spins-on-the-half-closed", Service: "echo", Cause: "half-closed-spin",
			Bug:    "goes on waiting for what a client says that has finished: its end is always ready",
			Caught: []string{"life/half-closed"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.wait = func(fds []unix.PollFd) {
					for i, c := range l.clients {
						if c.ended {
							fds[2+i].Events |= unix.POLLIN
						}
					}
					sys.Poll(fds, -1)
				}
				l.serve()
			},
		},
		{
			Name: "wakes-up-all-the-time", Service: "echo", Cause: "short-timeout",
			Bug:     "waits for a millisecond at most, and looks again",
			Caught:  []string{"life/wakeups"},
			Perhaps: []string{"life/idle"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.wait = func(fds []unix.PollFd) { sys.Poll(fds, 1) }
				l.serve()
			},
		},
		{
			Name: "is-impatient", Service: "echo", Cause: "idle-timeout",
			Bug:     "closes the connection of a client that has said nothing for 2 s",
			Caught:  []string{"life/patience"},
			Perhaps: []string{"many/*", "life/*"},
			Serve: threads(func(cfd int) {
				unix.SetsockoptTimeval(cfd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2})
				echo(cfd)
			}),
		},
		{
			Name: "listens-everywhere", Service: "echo", Cause: "all-addresses",
			Bug:    "listens on all addresses, 0.0.0.0",
			Caught: []string{"life/address"},
			Listen: func(port uint16) (int, error) { return listenAs(port, [4]byte{}, unix.SO_REUSEADDR) },
			Serve:  threads(echo),
		},
		{
			Name: "shares-its-port", Service: "echo", Cause: "reuseport",
			Bug:    "sets SO_REUSEPORT, and so a second server gets half of its clients",
			Caught: []string{"life/alone"},
			Listen: func(port uint16) (int, error) {
				return listenAs(port, [4]byte{127, 0, 0, 1}, unix.SO_REUSEADDR, unix.SO_REUSEPORT)
			},
			Serve: threads(echo),
		},
		{
			Name: "sheds-when-full", Service: "echo", Cause: "emfile-sheds",
			Bug:    "keeps a descriptor to spare, to accept clients with it and to close them when there is no other",
			Caught: []string{"life/shed"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				spare, _ := unix.Dup(2)
				l.onConnection = func() {
					if l.accept(); !l.full {
						return
					}
					unix.Close(spare)
					if cfd, err := sys.Accept(lfd, 0); err == nil {
						sys.Close(cfd)
					}
					spare, _ = unix.Dup(2)
					l.full = false
				}
				l.serve()
			},
		},
		{
			Name: "waits-for-its-child", Service: "echo", Cause: "wait-blocks",
			Bug:     "waits until the child has ended before it accepts the next client",
			Caught:  []string{"many/two", "many/half-line"},
			Perhaps: []string{"*/*"},
			Serve: func(lfd int) {
				p := newParent(lfd)
				p.reap = func() {}
				spawn := p.spawn
				p.spawn = func(cfd int) error {
					err := spawn(cfd)
					if err == nil {
						sys.Wait()
					}
					return err
				}
				p.serve()
			},
		},
		{
			Name: "dies-when-it-cannot-fork", Service: "echo", Cause: "spawn-death",
			Bug:     "ends when no process can be made for a client (EAGAIN)",
			Caught:  []string{"life/spawn"},
			Perhaps: []string{"many/crowd", "many/wall"},
			Listen:  bind,
			Serve:   func(lfd int) { becomePython(lfd, forking) },
		},
		{
			Name: "takes-3-s-to-end", Service: "echo", Cause: "sigterm-slow",
			Bug:    "sleeps 3 s when it is told to end",
			Caught: []string{"life/ends"},
			Serve: func(lfd int) {
				slowEnd = 3 * time.Second
				threads(echo)(lfd)
			},
		},
	}
}

// listenAs listens on an address, with some options set.
func listenAs(port uint16, ip [4]byte, options ...int) (lfd int, err error) {
	if lfd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	for _, option := range options {
		unix.SetsockoptInt(lfd, unix.SOL_SOCKET, option, 1)
	}
	if err := unix.Bind(lfd, &unix.SockaddrInet4{Port: int(port), Addr: ip}); err != nil {
		return -1, err
	}
	return lfd, unix.Listen(lfd, 128)
}

// forking is in Python: a program of Go's that gets no thread is ended by its
// own runtime.
const forking = `
import os, signal, socket, sys

def end(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    os._exit(0)

os.setpgrp()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGTERM, end)
listener = socket.socket(fileno=int(sys.argv[1]))
listener.setblocking(True)
listener.listen(1024)
while True:
    client, _ = listener.accept()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        listener.close()
        try:
            while data := client.recv(65536):
                client.sendall(data)
        except OSError:
            pass
        os._exit(0)
    client.close()
`
