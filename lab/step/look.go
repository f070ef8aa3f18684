package step

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
	"socketlab/lab/text"
	"socketlab/models/sys"
)

// A client is one that was accepted.
type client struct {
	addr netip.AddrPort
	at   []place // who has it open
}

type place struct{ pid, fd int }

// meets learns from a call which client has which descriptor.
func (s *Stepper) meets(c sys.Call) {
	at := place{c.Pid, c.FD}
	switch {
	case c.Name == "listen" && !c.End.IsZero() && c.Errno == 0:
		s.server = at
		s.addr = s.listener().Local
	case c.Name == "accept" && !c.End.IsZero() && c.Errno == 0:
		at.fd = c.N
		s.clients = append(s.clients, &client{addr: c.Client, at: []place{at}})
	case c.Name == "io_uring_enter" && c.Client.IsValid(): // it has accepted: "{accept 5 = 9, read 8 = 6}"
		_, cfd, _ := strings.Cut(c.Got, fmt.Sprintf("accept %d = ", s.server.fd))
		fmt.Sscan(cfd, &at.fd)
		s.clients = append(s.clients, &client{addr: c.Client, at: []place{at}})
	case c.Name != "accept" && c.Client.IsValid():
		if n := s.number(c.Client); n > 0 && !slices.Contains(s.clients[n-1].at, at) {
			s.clients[n-1].at = append(s.clients[n-1].at, at)
		}
	}
}

// closes forgets the descriptors that a client no longer has.
func (s *Stepper) closes(gone func(place) bool) {
	for _, c := range s.clients {
		c.at = slices.DeleteFunc(c.at, gone)
	}
}

// number is the number of the client with this address, 0 if there is none. An
// address may be used again: then it is the latest client's.
func (s *Stepper) number(addr netip.AddrPort) int {
	for i, c := range slices.Backward(s.clients) {
		if c.addr == addr {
			return i + 1
		}
	}
	return 0
}

// owner names who is at the other end of a descriptor.
func (s *Stepper) owner(pid, fd int) string {
	for i, c := range slices.Backward(s.clients) {
		if slices.Contains(c.at, place{pid, fd}) {
			return "client " + strconv.Itoa(i+1)
		}
	}
	link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)) // a child has it, and has made no call yet
	all, _ := sockets(s.addr.Port())
	for _, end := range all {
		if n := s.number(end.Remote); n > 0 && link == fmt.Sprintf("socket:[%d]", end.Inode) {
			return "client " + strconv.Itoa(n)
		}
	}
	if fd == s.server.fd {
		return "a client comes"
	}
	return "the operator"
}

// guests says what each client does. The kernel's table tells it.
func (s *Stepper) guests() (all []string) {
	sockets, err := sockets(s.addr.Port())
	if err != nil {
		return []string{"the clients cannot be seen: " + err.Error()}
	}
	for i, c := range s.clients {
		end := slices.IndexFunc(sockets, func(end proc.Socket) bool { return end.Remote == c.addr })
		name := "client " + strconv.Itoa(i+1)
		if len(c.at) > 0 {
			name += " (" + s.in(c.at[0].pid) + strconv.Itoa(c.at[0].fd) + ")"
		}
		switch {
		case end >= 0:
			all = append(all, name+" "+whatDoes(sockets[end]))
			sockets = slices.Delete(sockets, end, end+1)
		case len(c.at) > 0:
			all = append(all, name+" is gone, by a reset")
		}
	}
	for _, end := range sockets {
		if end.Inode != 0 {
			continue
		}
		waits := "a client waits in the queue"
		if end.Unread > 0 {
			waits += ", sent " + text.Count(end.Unread, "byte")
		}
		all = append(all, waits)
	}
	if len(all) == 0 {
		return []string{"no clients"}
	}
	return all
}

// in says which child or thread has a descriptor; "" means the server itself.
func (s *Stepper) in(pid int) string {
	for _, a := range s.actors {
		if a.pid == pid && pid != s.server.pid {
			return a.name + "'s "
		}
	}
	return ""
}

// queue shows the accept queue. The kernel keeps one connection more than
// listen(2) was asked for.
func (s *Stepper) queue() string {
	l := s.listener()
	if l.Room == 0 {
		return ""
	}
	return fmt.Sprintf("queue: %d of %d", l.Unread, l.Room)
}

// listener finds the listening socket in the kernel's table.
func (s *Stepper) listener() (found proc.Socket) {
	link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", s.server.pid, s.server.fd))
	all, _ := proc.Sockets(s.server.pid, s.addr.Port(), proc.Listen)
	if s.addr.Port() == 0 {
		all, _ = proc.Table(s.server.pid) // the port is not known yet
	}
	for _, socket := range all {
		if link == fmt.Sprintf("socket:[%d]", socket.Inode) {
			return socket
		}
	}
	return found
}

// sleeping asks the kernel whether the thread sleeps in its call:
// proc_pid_syscall(5). A Go thread that waits for the runtime sleeps in futex(2),
// and a thread that reports a call sleeps in sendto(2): both do not count. If the
// kernel does not answer, a call that takes more than 50 ms counts as asleep.
func (a *actor) sleeping() bool {
	if !a.call.Waits() {
		return false
	}
	call, err := proc.ThreadOf(a.call.Pid, a.call.Tid).Syscall()
	if err != nil {
		return time.Since(a.since) > 50*time.Millisecond
	}
	return call.Number >= 0 && call.Number != unix.SYS_FUTEX && call.Number != unix.SYS_SENDTO
}

// whatDoes says what the client at the other end of a connection does.
func whatDoes(s proc.Socket) string {
	switch {
	case s.State == proc.CloseWait && s.Unread > 0:
		return "sent " + text.Count(s.Unread, "byte") + " and FIN, unread"
	case s.State == proc.CloseWait:
		return "sent FIN"
	case s.State != proc.Established:
		return "is closing"
	case s.Unread > 0:
		return "sent " + text.Count(s.Unread, "byte") + ", unread"
	case s.Unsent > 0:
		return "does not read: " + strconv.Itoa(s.Unsent) + " bytes are under way"
	}
	return "idle"
}

// sockets are the server's ends of the connections of a port.
func sockets(port uint16) ([]proc.Socket, error) {
	all, err := proc.Sockets(os.Getpid(), port)
	return slices.DeleteFunc(all, func(s proc.Socket) bool {
		return s.State == proc.Listen || s.State == proc.TimeWait
	}), err
}
