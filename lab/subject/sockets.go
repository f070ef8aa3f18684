package subject

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
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
	Room          int    // when listening, how many may wait to be accepted; 0: not told
	Inode         uint64 // 0: in no program's hands; ESTABLISHED means not accepted yet then
}

// Sockets are the sockets on the server's own port: the listening one, and its
// end of each connection, accepted or not. They outlive the server, in
// TIME_WAIT for example. The table is not one moment's: the kernel goes on
// while we read it.
func (s *Subject) Sockets() ([]Socket, error) {
	return s.sockets(anyState...)
}

var anyState = []State{
	Established, SynSent, SynReceived, FinWait1, FinWait2, TimeWait,
	CloseWait, LastAck, Listen, Closing, NewSynReceived,
}

// sockets are those in one of these states.
func (s *Subject) sockets(states ...State) ([]Socket, error) {
	if !s.away() {
		if ours, err := diag(s.Spec.Port, states...); err == nil {
			return ours, nil
		} // else this kernel is not able to
	}
	all, err := s.table()
	return slices.DeleteFunc(all, func(socket Socket) bool {
		return socket.Local.Port() != s.Spec.Port || !slices.Contains(states, socket.State)
	}), err
}

// Sockets are the sockets on a local port of this network namespace.
func Sockets(port uint16) ([]Socket, error) {
	if all, err := diag(port, anyState...); err == nil {
		return all, nil
	}
	all, err := table("/proc/self")
	return slices.DeleteFunc(all, func(socket Socket) bool { return socket.Local.Port() != port }), err
}

// away reports whether the server is in another network namespace than we are,
// or may be.
func (s *Subject) away() bool {
	ours, _ := os.Readlink("/proc/self/ns/net")
	theirs, err := os.Readlink("/proc/" + strconv.Itoa(s.Pid()) + "/ns/net")
	if err != nil {
		return errors.Is(err, fs.ErrPermission) // else it has ended
	}
	return ours != theirs
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
// folder in /proc it is given, IPv4 first. It is read by hand: the library for
// it, procfs, compiles regular expressions when a program starts, and our
// process model starts this program once for each client.
func table(proc string) ([]Socket, error) {
	v4, err := readTable(proc + "/net/tcp")
	v6, err6 := readTable(proc + "/net/tcp6")
	if errors.Is(err6, fs.ErrNotExist) {
		err6 = nil // a machine without IPv6
	}
	return append(v4, v6...), errors.Join(err, err6)
}

func readTable(path string) ([]Socket, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("table of sockets: %w", err)
	}
	var all []Socket
	_, text, _ = bytes.Cut(text, []byte("\n")) // the heading
	for line := range bytes.Lines(text) {
		socket, err := parseSocket(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, socket)
	}
	return all, nil
}

// parseSocket takes a line of the table apart: proc_net(5), /proc/net/tcp.
func parseSocket(line []byte) (Socket, error) {
	fields := bytes.Fields(line)
	if len(fields) < 10 {
		return Socket{}, fmt.Errorf("not a socket: %q", line)
	}
	unsent, unread, _ := bytes.Cut(fields[4], []byte(":"))
	var bad error
	number := func(digits []byte, base int) uint64 {
		n, err := strconv.ParseUint(string(digits), base, 64)
		bad = errors.Join(bad, err)
		return n
	}
	addr := func(text []byte) netip.AddrPort {
		ip, err := parseIP(text)
		bad = errors.Join(bad, err)
		return ip
	}
	socket := Socket{
		Local:  addr(fields[1]),
		Remote: addr(fields[2]),
		State:  State(number(fields[3], 16)),
		Unsent: int(number(unsent, 16)),
		Unread: int(number(unread, 16)),
		Inode:  number(fields[9], 10),
	}
	if bad != nil {
		return Socket{}, fmt.Errorf("not a socket: %q: %w", line, bad)
	}
	return socket, nil
}

// parseIP reads "0100007F:1B58", 127.0.0.1 and port 7000: an address is printed
// as words of 32 bits, each in the byte order of this machine.
func parseIP(text []byte) (netip.AddrPort, error) {
	digits, port, _ := bytes.Cut(text, []byte(":"))
	ip, err := hex.AppendDecode(nil, digits)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for word := range slices.Chunk(ip, 4) {
		if len(word) == 4 {
			binary.BigEndian.PutUint32(word, binary.NativeEndian.Uint32(word))
		}
	}
	addr, ok := netip.AddrFromSlice(ip)
	number, err := strconv.ParseUint(string(port), 16, 16)
	if err != nil || !ok {
		return netip.AddrPort{}, fmt.Errorf("not an address: %q", text)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), nil
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
	if has, _ := hasSocket(s.Pid(), inode); has {
		return true, true // as nearly always, and no need to look at all processes
	}
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
	folder := "/proc/" + strconv.Itoa(pid) + "/fd"
	files, err := os.ReadDir(folder)
	link := fmt.Sprintf("socket:[%d]", inode)
	for _, file := range files {
		if target, _ := os.Readlink(folder + "/" + file.Name()); target == link {
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
