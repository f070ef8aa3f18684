package step

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// A client is one that was accepted.
type client struct {
	addr netip.AddrPort
	at   []place // who has it open
}

type place struct{ pid, fd int }

// meets learns from a call which descriptor is whose.
func (s *Stepper) meets(c sys.Call) {
	at := place{c.Pid, c.FD}
	switch {
	case c.Name == "listen":
		s.lfd = c.FD
		s.addr, _ = sys.LocalAddr(c.FD)
	case c.Name == "accept" && !c.End.IsZero() && c.Errno == 0:
		at.fd = c.N
		s.clients = append(s.clients, &client{addr: c.Client, at: []place{at}})
	case c.Name != "accept" && c.Client.IsValid():
		if n := s.number(c.Client); n > 0 && !slices.Contains(s.clients[n-1].at, at) {
			s.clients[n-1].at = append(s.clients[n-1].at, at)
		}
	}
}

// closes forgets the places where a client is no more.
func (s *Stepper) closes(gone func(place) bool) {
	for _, c := range s.clients {
		c.at = slices.DeleteFunc(c.at, gone)
	}
}

// number is the client's at an address: the latest, an address may come again.
// 0 is nobody's.
func (s *Stepper) number(addr netip.AddrPort) int {
	for i, c := range slices.Backward(s.clients) {
		if c.addr == addr {
			return i + 1
		}
	}
	return 0
}

// owner is who is at the other end of a descriptor.
func (s *Stepper) owner(pid, fd int) string {
	for i, c := range slices.Backward(s.clients) {
		if slices.Contains(c.at, place{pid, fd}) {
			return "client " + strconv.Itoa(i+1)
		}
	}
	link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)) // a child's, before its first call
	all, _ := sockets(s.addr.Port())
	for _, end := range all {
		if n := s.number(end.remote); n > 0 && link == "socket:["+end.inode+"]" {
			return "client " + strconv.Itoa(n)
		}
	}
	if fd == s.lfd {
		return "a client comes"
	}
	return "the operator"
}

// guests is what each client does, as the kernel's table has it.
func (s *Stepper) guests() (all []string) {
	sockets, err := sockets(s.addr.Port())
	if err != nil {
		return []string{"the clients cannot be seen: " + err.Error()}
	}
	for i, c := range s.clients {
		end := slices.IndexFunc(sockets, func(end socket) bool { return end.remote == c.addr })
		name := "client " + strconv.Itoa(i+1)
		if len(c.at) > 0 {
			name += " (" + s.in(c.at[0].pid) + strconv.Itoa(c.at[0].fd) + ")"
		}
		switch {
		case end >= 0:
			all = append(all, name+" "+sockets[end].doing())
			sockets = slices.Delete(sockets, end, end+1)
		case len(c.at) > 0:
			all = append(all, name+" is gone, by a reset")
		}
	}
	for _, end := range sockets {
		if end.inode != "0" {
			continue
		}
		text := "a client waits in the queue"
		if end.unread > 0 {
			text += ", " + bytesSent(end.unread)
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return []string{"no clients"}
	}
	return all
}

// in says whose a descriptor is, if not the server's own.
func (s *Stepper) in(pid int) string {
	for _, a := range s.actors {
		if a.pid == pid && pid != os.Getpid() {
			return a.name + "'s "
		}
	}
	return ""
}

// queue is the accept queue: on a listening socket, the kernel answers with its
// length and limit in fields of TCP_INFO that have another name. It keeps one
// connection more than the limit: listen(2).
func (s *Stepper) queue() string {
	info, err := unix.GetsockoptTCPInfo(s.lfd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("queue: %d of %d", info.Unacked, info.Sacked+1)
}

// sleeping asks the kernel whether the thread sleeps in its call:
// proc_pid_syscall(5). A Go thread that waits for the runtime does so in
// futex(2). Where the kernel does not answer, who takes long sleeps.
func (a *actor) sleeping() bool {
	if !a.call.Waits() {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", a.call.Pid, a.call.Tid))
	if err != nil {
		return time.Since(a.since) > 50*time.Millisecond
	}
	number, _, _ := bytes.Cut(text, []byte(" "))
	n, bad := strconv.Atoi(string(number)) // or "running"
	return bad == nil && n >= 0 && n != unix.SYS_FUTEX
}

// A socket is the server's end of a connection.
type socket struct {
	remote         netip.AddrPort
	state          byte // as in subject.State
	unsent, unread int
	inode          string // "0": nobody has accepted it
}

const (
	established = 1
	timeWait    = 6
	closeWait   = 8
	listening   = 10
)

func (s socket) doing() string {
	switch {
	case s.state == closeWait && s.unread > 0:
		return bytesSent(s.unread) + " and FIN, unread"
	case s.state == closeWait:
		return "sent FIN"
	case s.state != established:
		return "is closing"
	case s.unread > 0:
		return bytesSent(s.unread) + ", unread"
	case s.unsent > 0:
		return "does not read: " + strconv.Itoa(s.unsent) + " bytes are under way"
	}
	return "idle"
}

func bytesSent(n int) string {
	if n == 1 {
		return "sent 1 byte"
	}
	return "sent " + strconv.Itoa(n) + " bytes"
}

// sockets are the connections of a port, from /proc/net/tcp: proc_net(5).
func sockets(port uint16) (all []socket, err error) {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if os.IsNotExist(err) {
			continue // no IPv6 here
		}
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(text) {
			f := bytes.Fields(line)
			if len(f) < 10 || address(f[1]).Port() != port {
				continue // or the heading
			}
			state, _ := strconv.ParseUint(string(f[3]), 16, 8)
			unsent, unread, _ := bytes.Cut(f[4], []byte(":"))
			if state != listening && state != timeWait {
				all = append(all, socket{address(f[2]), byte(state), hexadecimal(unsent), hexadecimal(unread), string(f[9])})
			}
		}
	}
	return all, nil
}

func hexadecimal(digits []byte) int {
	n, _ := strconv.ParseUint(string(digits), 16, 32)
	return int(n)
}

// address reads "0100007F:1B58", 127.0.0.1 and port 7000: words of 32 bits, in
// the byte order of this machine.
func address(text []byte) netip.AddrPort {
	digits, port, _ := bytes.Cut(text, []byte(":"))
	ip, _ := hex.DecodeString(string(digits))
	for word := range slices.Chunk(ip, 4) {
		if len(word) == 4 {
			binary.BigEndian.PutUint32(word, binary.NativeEndian.Uint32(word))
		}
	}
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), uint16(hexadecimal(port)))
}
