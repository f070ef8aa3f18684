package subject

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"

	"github.com/prometheus/procfs"
)

// A State is a state of a TCP connection: RFC 9293, section 3.3.2, with the
// kernel's numbers.
type State uint8

const (
	Established State = 1 + iota
	SynSent
	SynReceived
	FinWait1
	FinWait2
	TimeWait
	Closed
	CloseWait
	LastAck
	Listen
	Closing
	NewSynReceived
)

var stateNames = [...]string{
	Established: "ESTABLISHED", SynSent: "SYN_SENT", SynReceived: "SYN_RECEIVED",
	FinWait1: "FIN_WAIT1", FinWait2: "FIN_WAIT2", TimeWait: "TIME_WAIT",
	Closed: "CLOSED", CloseWait: "CLOSE_WAIT", LastAck: "LAST_ACK",
	Listen: "LISTEN", Closing: "CLOSING", NewSynReceived: "SYN_RECEIVED",
}

func (s State) String() string {
	if int(s) < len(stateNames) && stateNames[s] != "" {
		return stateNames[s]
	}
	return "state " + strconv.Itoa(int(s))
}

// A Socket is a line of the kernel's table, /proc/net/tcp: proc_net(5).
type Socket struct {
	Local, Remote netip.AddrPort
	State         State
	Unsent        int    // bytes sent and not yet acknowledged, or waiting to be sent
	Unread        int    // bytes the program has not read; when listening, connections not accepted
	Inode         uint64 // 0: in no program's hands; ESTABLISHED means not accepted yet then
}

// Sockets are the sockets on the server's own port: the listening one, and its
// end of each connection, accepted or not. They outlive the server, in
// TIME_WAIT for example. The table is not one moment's: the kernel goes on
// while we read it.
func (s *Subject) Sockets() ([]Socket, error) {
	all, err := s.table()
	var ours []Socket
	for _, socket := range all {
		if socket.Local.Port() == s.Spec.Port {
			ours = append(ours, socket)
		}
	}
	return ours, err
}

// table is what the server sees, which may be in a network namespace of its
// own; when it has ended, what we see.
func (s *Subject) table() ([]Socket, error) {
	if all, err := table("/proc/" + strconv.Itoa(s.Pid())); err == nil {
		return all, nil
	}
	return table("/proc/self")
}

// table reads the TCP sockets of the network namespace of the process whose
// folder in /proc it is given, IPv4 first. procfs would rather have us use
// netlink, but that needs a module which may not be loaded.
func table(proc string) ([]Socket, error) {
	kernel, err := procfs.NewFS(proc)
	if err != nil {
		return nil, err
	}
	v4, err := kernel.NetTCP()
	v6, err6 := kernel.NetTCP6()
	if errors.Is(err6, fs.ErrNotExist) {
		err6 = nil // a machine without IPv6
	}
	var all []Socket
	for _, line := range append(v4, v6...) {
		all = append(all, Socket{
			Local:  addrPort(line.LocalAddr, line.LocalPort),
			Remote: addrPort(line.RemAddr, line.RemPort),
			State:  State(line.St),
			Unsent: int(line.TxQueue),
			Unread: int(line.RxQueue),
			Inode:  line.Inode,
		})
	}
	if err := errors.Join(err, err6); err != nil {
		return nil, fmt.Errorf("table of sockets: %w", err)
	}
	return all, nil
}

func addrPort(ip net.IP, port uint64) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), uint16(port))
}

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// reach is the loopback address that leads to a listening socket, if one does.
func reach(local netip.AddrPort) (addr netip.AddrPort, ok bool) {
	v4 := netip.AddrPortFrom(loopback4, local.Port())
	v6 := netip.AddrPortFrom(loopback6, local.Port())
	switch local.Addr() {
	case loopback4, netip.IPv4Unspecified():
		return v4, true
	case loopback6:
		return v6, true
	case netip.IPv6Unspecified():
		// It takes IPv4 as well, unless IPV6_V6ONLY is set: ipv6(7). The
		// table does not say, but then the IPv4 address would be free.
		if bindable(v4) {
			return v6, true
		}
		return v4, true
	}
	return addr, false
}

// owns reports whether a process of the subject has the socket open. It is not
// known where the kernel does not let us look: a server with other rights.
func (s *Subject) owns(inode uint64) (owned, known bool) {
	members, err := s.members()
	known = err == nil
	for _, p := range members {
		has, err := hasSocket(p.pid, inode)
		if has {
			return true, true
		}
		if errors.Is(err, fs.ErrPermission) && p.state != 'Z' {
			known = false
		}
	}
	return false, known
}

func hasSocket(pid int, inode uint64) (bool, error) {
	kernel, err := procfs.NewDefaultFS()
	if err != nil {
		return false, err
	}
	p, err := kernel.Proc(pid)
	if err != nil {
		return false, err
	}
	files, err := p.FileDescriptorTargets()
	link := fmt.Sprintf("socket:[%d]", inode)
	for _, file := range files {
		if file == link {
			return true, nil
		}
	}
	return false, err
}

// Holder is who listens at addr, or where a bind to addr would collide with it.
// It is not ok if nobody does, or the kernel does not tell us who: to others
// than root it shows only their own processes' descriptors.
func Holder(addr netip.AddrPort) (pid int, name string, ok bool) {
	pid, name, _ = listener(addr)
	return pid, name, pid > 0
}

// listener is Holder that also tells whether anybody listens at all.
func listener(addr netip.AddrPort) (pid int, name string, taken bool) {
	sockets, _ := table("/proc/self")
	for _, socket := range sockets {
		if socket.State != Listen || !collide(socket.Local, addr) {
			continue
		}
		all, _ := processes()
		for _, p := range all {
			if has, _ := hasSocket(p.pid, socket.Inode); has {
				return p.pid, p.name, true
			}
		}
		taken = true
	}
	return 0, "", taken
}

// collide reports whether two sockets cannot listen at both addresses.
func collide(a, b netip.AddrPort) bool {
	ip, other := a.Addr().Unmap(), b.Addr().Unmap()
	anyone := func(ip, other netip.Addr) bool {
		return ip == netip.IPv6Unspecified() || ip == netip.IPv4Unspecified() && other.Is4()
	}
	return a.Port() == b.Port() && (ip == other || anyone(ip, other) || anyone(other, ip))
}
