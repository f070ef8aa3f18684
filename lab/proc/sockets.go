package proc

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
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
	Established: "ESTABLISHED", SynSent: "SYN-SENT", SynReceived: "SYN-RECEIVED",
	FinWait1: "FIN-WAIT-1", FinWait2: "FIN-WAIT-2", TimeWait: "TIME-WAIT",
	Closed: "CLOSED", CloseWait: "CLOSE-WAIT", LastAck: "LAST-ACK",
	Listen: "LISTEN", Closing: "CLOSING", NewSynReceived: "SYN-RECEIVED",
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
	Room          int    // when listening, how many may wait to be accepted; 0: not told
	Inode         uint64 // 0: in no program's hands; ESTABLISHED means not accepted yet then
}

var anyState = []State{
	Established, SynSent, SynReceived, FinWait1, FinWait2, TimeWait,
	CloseWait, LastAck, Listen, Closing, NewSynReceived,
}

// Sockets are the sockets on a local port, in some states; in any if none is
// named: a listening one, and the near end of each connection, accepted or not.
// They are of the network namespace of a process, or of ours if it has ended.
// They outlive their server, in TIME-WAIT for example. The answer is not one
// moment's: the kernel goes on meanwhile.
func Sockets(pid int, port uint16, states ...State) ([]Socket, error) {
	if len(states) == 0 {
		states = anyState
	}
	if !away(pid) {
		if ours, err := diag(port, states...); err == nil {
			return ours, nil
		} // else this kernel is not able to
	}
	all, err := Table(pid)
	return slices.DeleteFunc(all, func(s Socket) bool {
		return s.Local.Port() != port || !slices.Contains(states, s.State)
	}), err
}

// Connection is the near end of one connection, in the network namespace of a
// process; ok is false if it has none. To look for one is much cheaper than to
// list all.
func Connection(pid int, local, remote netip.AddrPort) (s Socket, ok bool, err error) {
	if !away(pid) {
		if s, err = find(local, remote); err == nil {
			if s.Remote != remote || s.State == TimeWait {
				return Socket{}, false, nil
			}
			return s, true, nil
		} // else this kernel is not able to
	}
	all, err := Table(pid)
	i := slices.IndexFunc(all, func(s Socket) bool {
		return s.Local.Port() == local.Port() && s.Remote == remote && s.State != TimeWait
	})
	if i < 0 {
		return Socket{}, false, err
	}
	return all[i], true, err
}

// away reports whether a process is in another network namespace than we are,
// or may be.
func away(pid int) bool {
	ours, _ := os.Readlink("/proc/self/ns/net")
	theirs, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return errors.Is(err, fs.ErrPermission) // else it has ended
	}
	return ours != theirs
}

// Table is all TCP sockets in the network namespace of a process, IPv4 first;
// if the process has ended, those in our namespace.
func Table(pid int) ([]Socket, error) {
	proc := network(pid)
	//lint:ignore SA1019 sock_diag, which should serve instead, has been asked before: diag.go
	v4, err := proc.NetTCP()
	//lint:ignore SA1019 as above
	v6, err6 := proc.NetTCP6()
	return table(procfs.NetIPSocket(v4), err, procfs.NetIPSocket(v6), err6)
}

// UDP is Table of UDP sockets. Their state is Closed, which here means nothing.
func UDP(pid int) ([]Socket, error) {
	proc := network(pid)
	v4, err := proc.NetUDP()
	v6, err6 := proc.NetUDP6()
	return table(procfs.NetIPSocket(v4), err, procfs.NetIPSocket(v6), err6)
}

func network(pid int) procfs.FS {
	proc, err := procfs.NewFS("/proc/" + strconv.Itoa(pid))
	if err != nil { // it has ended
		proc, _ = procfs.NewFS("/proc/self")
	}
	return proc
}

func table(v4 procfs.NetIPSocket, err error, v6 procfs.NetIPSocket, err6 error) (all []Socket, _ error) {
	if errors.Is(err6, fs.ErrNotExist) {
		err6 = nil // a machine without IPv6
	}
	if err := cmp.Or(err, err6); err != nil {
		return nil, fmt.Errorf("table of sockets: %w", err)
	}
	for _, lines := range []procfs.NetIPSocket{v4, v6} {
		for _, line := range lines {
			all = append(all, Socket{
				Local:  address(line.LocalAddr, line.LocalPort),
				Remote: address(line.RemAddr, line.RemPort),
				State:  State(line.St),
				Unsent: int(line.TxQueue),
				Unread: int(line.RxQueue),
				Inode:  line.Inode,
			})
		}
	}
	return all, nil
}

func address(ip net.IP, port uint64) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), uint16(port))
}

// Listener is the process that listens at addr, or at an address with which a
// bind to addr would collide. Its pid is 0 if there is none, or if the kernel
// does not tell: without root it shows only our own processes' descriptors.
// taken reports whether anybody listens at all.
func Listener(addr netip.AddrPort) (pid int, name string, taken bool) {
	sockets, _ := Sockets(os.Getpid(), addr.Port(), Listen)
	for _, socket := range sockets {
		if !collide(socket.Local, addr) {
			continue
		}
		all, _ := All()
		for _, p := range all {
			if fd, _ := Descriptor(p.Pid, socket.Inode); fd >= 0 {
				return p.Pid, p.Name, true
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
