package trace

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

// A look is what the kernel's tables say at one time about the server and the
// connections of the scene.
type look struct {
	at      time.Time
	ends    [][2]endState // of each client's connection: the client's, the server's
	queue   int           // length of the accept queue
	limit   int           // how many it holds; 0: the table does not say
	family  []relative    // the server and its children
	packets int           // captured so far
	doing   []string      // what each client is doing
	cpu     time.Duration // that the server has used so far
	runs    bool          // somebody runs, or is about to
	due     bool          // something is on its way, or somebody is to be collected
}

// A relative is one of the server's processes.
type relative struct {
	pid, parent, threads int
	zombie               bool
}

// An endState is what is known of one end of a connection.
type endState struct {
	state          proc.State // Closed: there is none
	unread, unsent int
	known          bool // the table says so; else nothing is known
}

// look asks the kernel about one thing after the other. So what it sees is of
// one moment only if the next look sees the same.
func (s *stage) look() (look, error) {
	var l look
	if s.capture != nil {
		l.packets = s.capture.count()
	}
	for _, c := range s.clients {
		doing, waits := c.look()
		l.doing = append(l.doing, doing)
		l.runs = l.runs || !waits
	}
	if err := s.lookAtSockets(&l); err != nil {
		return l, err
	}
	for i, ends := range l.ends {
		if s.clients[i].closed() && (ends[0].state == proc.Established || ends[0].state == proc.CloseWait) {
			l.due = true // its FIN is still to come
		}
		for _, e := range ends {
			opening := e.state == proc.SynSent || e.state == proc.SynReceived || e.state == proc.NewSynReceived
			if e.unsent > 0 && !opening {
				l.due = true // not acknowledged yet
			}
		}
	}
	tree, err := s.server.Tree()
	if err != nil {
		return l, err
	}
	for _, p := range tree.Processes {
		l.runs = l.runs || !s.resting(p.Pid)
		l.due = l.due || p.Ended() && !s.held
		l.family = append(l.family, relative{p.Pid, p.Parent, p.Threads, p.Ended()})
	}
	l.cpu = tree.CPU
	l.at = time.Now() // if nobody runs, nothing has happened since it was looked at
	return l, nil
}

// sees is the look without its time, to be compared.
func (l look) sees() string {
	return fmt.Sprint(l.ends, l.queue, l.family, l.packets, l.doing)
}

// lookAtSockets finds both ends of each connection, and the listening socket.
func (s *stage) lookAtSockets(l *look) error {
	l.ends = make([][2]endState, len(s.clients))
	if s.diagnosis == nil {
		return s.lookAtTable(l)
	}
	server := s.server.Addr()
	find := func(c *client) (both [2]endState, err error) {
		local := c.address()
		if !local.IsValid() {
			return both, nil
		}
		mine, ok, err := s.diagnosis.Find(local, server)
		both[0] = endOf(mine, ok)
		if err == nil {
			mine, ok, err = s.diagnosis.Find(server, local)
			both[1] = endOf(mine, ok)
		}
		return both, err
	}
	for i, c := range s.clients {
		both, err := find(c)
		if err != nil {
			return err
		}
		l.ends[i] = both
	}
	listener, ok, err := s.diagnosis.Find(server, server)
	if ok && listener.State == proc.Listen {
		l.queue, l.limit = listener.Unread, listener.Room
	}
	return err
}

// endOf is what the table says of a connection. Where there is none, it may
// have found the socket that listens instead.
func endOf(s proc.Socket, ok bool) endState {
	if !ok || s.State == proc.Listen {
		return endState{state: proc.Closed, known: true}
	}
	e := endState{s.State, s.Unread, s.Unsent, true}
	switch s.State {
	case proc.CloseWait, proc.LastAck, proc.Closing:
		e.unread = max(0, e.unread-1) // the kernel counts an unread FIN as a byte
	}
	return e
}

// lookAtTable is lookAtSockets where the kernel has no sock_diag: the server's
// ends are in /proc/net/tcp, and of its own end a client knows as long as it
// has the descriptor.
func (s *stage) lookAtTable(l *look) error {
	sockets, err := s.server.Sockets()
	for i, c := range s.clients {
		l.ends[i][0] = c.ownEnd()
		if local := c.address(); local.IsValid() {
			l.ends[i][1] = endState{state: proc.Closed, known: err == nil}
			for _, socket := range sockets {
				if socket.Remote == local {
					l.ends[i][1] = endOf(socket, true)
				}
			}
		}
	}
	for _, socket := range sockets {
		if socket.State == proc.Listen {
			l.queue = socket.Unread
		}
	}
	return err
}

// resting reports whether no thread of a process runs or is about to. One that
// is stopped rests if we have stopped it: else strace has, at a call, for a
// moment. proc_pid_stat(5).
func (s *stage) resting(pid int) bool {
	return allThreads(pid, func(state byte) bool {
		return state != 'R' && state != 'D' && (state != 't' || s.held)
	})
}

// stopped reports whether all threads of a process are stopped, those that
// strace follows too.
func stopped(pid int) bool {
	return allThreads(pid, func(state byte) bool { return state == 'T' || state == 't' })
}

// allThreads reports whether all threads of a process are in such a state. A
// thread that is taken off its processor on its way into a sleep, or out of it,
// has the state of one that sleeps. To ask in which call it is waits until it
// really does: the kernel's task_current_syscall().
func allThreads(pid int, such func(state byte) bool) bool {
	threads, _ := proc.Threads(pid)
	for _, thread := range threads {
		thread.Syscall()
		if state := thread.State(); state != 0 && !such(state) {
			return false
		}
	}
	return true
}

// tcpState is the state that a socket of our own is in: tcp(7), TCP_INFO.
func tcpState(fd int) (proc.State, bool) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, false
	}
	return proc.State(info.State), true
}
