package sys

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Watcher receives the reports of a server's processes, on a socket in the
// abstract namespace: unix(7). That leaves no file behind, belongs to a network
// namespace as ports do, and a reader of packets loses no order.
type Watcher struct {
	env  string
	lfd  int
	stop int // an eventfd(2) that ends watch
	told func(Report)
	done chan struct{}
	cast cast
	buf  [64 << 10]byte

	mu    sync.Mutex  // guards what follows
	procs map[int]int // pid to descriptor
}

// NewWatcher begins to watch the processes that have its Env in their
// environment. It calls told for each report, for one at a time; those of one
// process come in order. With hold every call waits for its Release.
func NewWatcher(hold bool, told func(Report)) (*Watcher, error) {
	w := &Watcher{lfd: -1, stop: -1, told: told, done: make(chan struct{}), procs: map[int]int{}}
	sa, err := w.open()
	if err != nil {
		unix.Close(w.lfd)
		unix.Close(w.stop)
		return nil, fmt.Errorf("watcher: %w", err)
	}
	w.env = sa.(*unix.SockaddrUnix).Name
	if hold {
		w.env = "hold:" + w.env
	}
	go w.watch()
	return w, nil
}

// open listens on a name that the kernel chooses: "Autobind feature" in unix(7).
func (w *Watcher) open() (name unix.Sockaddr, err error) {
	const flags = unix.SOCK_SEQPACKET | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	if w.lfd, err = OutOfTheWay(unix.Socket(unix.AF_UNIX, flags, 0)); err != nil {
		return nil, err
	}
	if w.stop, err = OutOfTheWay(unix.Eventfd(0, unix.EFD_CLOEXEC)); err != nil {
		return nil, err
	}
	if err := unix.Bind(w.lfd, &unix.SockaddrUnix{}); err != nil {
		return nil, err
	}
	if err := unix.Listen(w.lfd, unix.SOMAXCONN); err != nil {
		return nil, err
	}
	return unix.Getsockname(w.lfd)
}

// Env is what a server to be watched has in its environment.
func (w *Watcher) Env() string { return ProbeEnv + "=" + w.env }

// Release lets a call go that waits for it.
func (w *Watcher) Release(c Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if fd, here := w.procs[c.Pid]; here {
		unix.Send(fd, strconv.AppendUint(nil, c.ID, 10), unix.MSG_NOSIGNAL)
	}
}

// Close ends watching: told has heard all that was reported when it returns, and
// whoever is held is let go.
func (w *Watcher) Close() {
	unix.Write(w.stop, []byte{7: 1})
	<-w.done
	unix.Close(w.lfd)
	unix.Close(w.stop)
}

// watch is the loop that waits for all processes at once.
func (w *Watcher) watch() {
	defer close(w.done)
	pids := map[int]int{} // by descriptor
	for {
		fds := []unix.PollFd{{Fd: int32(w.stop), Events: unix.POLLIN}, {Fd: int32(w.lfd), Events: unix.POLLIN}}
		for fd := range pids {
			fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
		unix.Poll(fds, -1) // sleeps
		for _, p := range fds[2:] {
			if p.Revents != 0 {
				w.hear(int(p.Fd), pids)
			}
		}
		if fds[1].Revents != 0 || fds[0].Revents != 0 {
			w.admit(pids)
		}
		if fds[0].Revents != 0 {
			for fd := range pids {
				w.hear(fd, pids) // it may have ended
			}
			for fd := range pids {
				unix.Shutdown(fd, unix.SHUT_RD) // what is there now, and no more
				w.receive(fd, pids[fd])
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.procs = nil // nobody can be released: who is held goes on
			for fd := range pids {
				unix.Close(fd)
			}
			return
		}
	}
}

// hear takes what a process has reported, and notices its end.
func (w *Watcher) hear(fd int, pids map[int]int) {
	pid := pids[fd]
	if !w.receive(fd, pid) {
		return
	}
	delete(pids, fd)
	w.mu.Lock()
	if w.procs[pid] == fd {
		delete(w.procs, pid)
	}
	unix.Close(fd)
	w.mu.Unlock()
	w.tell(Report{Phase: Ends, Call: Call{Pid: pid, FD: -1, Start: time.Now()}})
}

// receive takes all reports that are there. It is over when no more can come.
func (w *Watcher) receive(fd, pid int) (over bool) {
	for {
		n, err := unix.Read(fd, w.buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false
		case err != nil || n == 0:
			return true
		}
		report, err := ParseReport(string(w.buf[:n]))
		if err == nil && report.Pid == pid {
			w.tell(report)
		}
	}
}

func (w *Watcher) tell(r Report) {
	if r.Phase == Begins {
		delete(w.cast.processes, r.Pid) // an earlier process had the same number
	}
	r.Who = w.cast.name(r.Call)
	w.told(r)
}

// admit takes in those who have connected, if they are the same user's.
func (w *Watcher) admit(pids map[int]int) {
	for {
		fd, _, err := unix.Accept4(w.lfd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err == unix.EINTR {
			continue
		}
		if fd, err = OutOfTheWay(fd, err); err != nil {
			return
		}
		peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil || int(peer.Uid) != os.Getuid() {
			unix.Close(fd)
			continue
		}
		pid := int(peer.Pid)
		pids[fd] = pid
		w.mu.Lock()
		w.procs[pid] = fd
		w.mu.Unlock()
		w.tell(Report{Phase: Begins, Call: Call{Pid: pid, FD: -1, Start: time.Now()}})
	}
}

// A cast is who plays, and under which name.
type cast struct {
	processes map[int]string
	threads   map[thread]string
	count     map[string]int // of those whose names differ by a number only
}

type thread struct {
	pid       int
	goroutine uint64
}

// name is who makes a call: the "server" or "child 1", and for what goes on
// besides in the same process, the page's function, "reap" or "converse 1".
func (c *cast) name(call Call) string {
	if c.processes == nil {
		c.processes, c.threads, c.count = map[int]string{}, map[thread]string{}, map[string]int{}
	}
	process, known := c.processes[call.Pid]
	if !known {
		process = "server"
		if len(c.processes) > 0 {
			process = c.numbered("child")
		}
		c.processes[call.Pid] = process
	}
	if call.Task == "" || call.Task == "Serve" || call.Task == "Child" {
		return process
	}
	t := thread{call.Pid, call.Goroutine}
	name, known := c.threads[t]
	if !known {
		name = c.numbered(call.Task)
		if !call.Client.IsValid() && c.count[call.Task] == 1 {
			name = call.Task // the only one of its kind, as far as we can see
		}
		c.threads[t] = name
	}
	return name
}

func (c *cast) numbered(name string) string {
	c.count[name]++
	return name + " " + strconv.Itoa(c.count[name])
}
