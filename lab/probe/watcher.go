// Package probe hears what our own models tell of their calls, and holds them
// back. The models' half, which tells, is in package sys.
package probe

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// What a report may be about besides the phases of a call.
const (
	Begins sys.Phase = "begins" // a process reports from now on; only its Pid is known
	Ends   sys.Phase = "ends"   // the process reports no more, as a rule because it has ended
)

// A Report is what a server's process tells.
type Report struct {
	sys.Report
	Who string // "server", "child 1", "converse 2": the watcher's name for the goroutine
}

// Parse reads what sys.Report writes.
func Parse(text string) (r sys.Report, err error) {
	fields, values := r.Fields(), strings.Split(text, "\t")
	if len(values) != len(fields) {
		return r, fmt.Errorf("not a report: %q", text)
	}
	for i, field := range fields {
		if err := parse(field, values[i]); err != nil {
			return r, fmt.Errorf("not a report: %q: %w", text, err)
		}
	}
	return r, nil
}

func parse(field any, value string) (err error) {
	var n int64
	switch f := field.(type) {
	case *sys.Phase:
		*f = sys.Phase(value)
	case *string:
		*f = value
	case *int:
		*f, err = strconv.Atoi(value)
	case *uint64:
		*f, err = strconv.ParseUint(value, 10, 64)
	case *bool:
		*f, err = strconv.ParseBool(value)
	case *unix.Errno:
		n, err = strconv.ParseInt(value, 10, 32)
		*f = unix.Errno(n)
	case *time.Time:
		if n, err = strconv.ParseInt(value, 10, 64); n != 0 {
			*f = time.Unix(0, n)
		}
	case *netip.AddrPort:
		if value != "" {
			*f, err = netip.ParseAddrPort(value)
		}
	}
	return err
}

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
	if w.lfd, err = unix.Socket(unix.AF_UNIX, flags, 0); err != nil {
		return nil, err
	}
	if w.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
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
func (w *Watcher) Env() string { return sys.ProbeEnv + "=" + w.env }

// Release lets a call go that waits for it.
func (w *Watcher) Release(c sys.Call) {
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
	w.tell(Ends, pid)
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
		report, err := Parse(string(w.buf[:n]))
		if err == nil && report.Pid == pid {
			w.hears(report)
		}
	}
}

// tell makes a report about a process.
func (w *Watcher) tell(phase sys.Phase, pid int) {
	if phase == Begins {
		delete(w.cast.processes, pid) // an earlier process had the same number
	}
	w.hears(sys.Report{Phase: phase, Call: sys.Call{Pid: pid, FD: -1, Start: time.Now()}})
}

func (w *Watcher) hears(r sys.Report) { w.told(Report{r, w.cast.name(r.Call)}) }

// admit takes in those who have connected, if they are the same user's.
func (w *Watcher) admit(pids map[int]int) {
	for {
		fd, _, err := unix.Accept4(w.lfd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
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
		w.tell(Begins, pid)
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
func (c *cast) name(call sys.Call) string {
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
