package proc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Diagnosis asks the kernel about TCP sockets: sock_diag(7). The kernel
// chooses them, so it costs little even while the whole table is long, as it is
// after a few thousand connections: each of them stays in TIME-WAIT for a
// minute.
type Diagnosis struct{ fd int }

// OpenDiagnosis fails where the kernel does not answer.
func OpenDiagnosis() (*Diagnosis, error) {
	d, err := openDiagnosis()
	if err != nil {
		return nil, err
	}
	if err := d.try(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func openDiagnosis() (*Diagnosis, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("sock_diag: %w", err)
	}
	return &Diagnosis{fd}, nil
}

// try asks for a socket that exists: a kernel without the module answers that
// there is no such socket.
func (d *Diagnosis) try() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	if _, ok, err := d.Find(addr, addr); err != nil || !ok {
		return errors.Join(errors.New("sock_diag: this kernel does not answer (CONFIG_INET_DIAG)"), err)
	}
	return nil
}

func (d *Diagnosis) Close() { unix.Close(d.fd) }

// Find is the socket between two addresses; if there is none, the socket that
// listens at local.
func (d *Diagnosis) Find(local, remote netip.AddrPort) (s Socket, ok bool, err error) {
	found, err := d.ask(diagRequest{family: family(local), states: ^uint32(0), local: local, remote: remote})
	if errors.Is(err, unix.ENOENT) {
		return s, false, nil
	}
	if err != nil || len(found) == 0 {
		return s, false, err
	}
	return found[0], true, nil
}

// list is the sockets with a local port, in some states.
func (d *Diagnosis) list(port uint16, states ...State) (all []Socket, err error) {
	q := diagRequest{flags: unix.NLM_F_DUMP, local: netip.AddrPortFrom(netip.Addr{}, port)}
	for _, state := range states {
		q.states |= 1 << state
	}
	for _, q.family = range []byte{unix.AF_INET, unix.AF_INET6} {
		some, err := d.ask(q)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func diag(port uint16, states ...State) ([]Socket, error) {
	d, err := openDiagnosis()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.list(port, states...)
}

func find(local, remote netip.AddrPort) (Socket, error) {
	d, err := openDiagnosis()
	if err != nil {
		return Socket{}, err
	}
	defer d.Close()
	s, _, err := d.Find(local, remote)
	return s, err
}

func family(addr netip.AddrPort) byte {
	if addr.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// A diagRequest is for one socket, or with NLM_F_DUMP for all that match.
type diagRequest struct {
	family        byte
	flags         uint16
	states        uint32 // a bit for each
	local, remote netip.AddrPort
}

// bytes is a struct nlmsghdr and a struct inet_diag_req_v2: sock_diag(7).
func (q diagRequest) bytes() []byte {
	native, network := binary.NativeEndian, binary.BigEndian
	b := make([]byte, 0, 72)
	b = native.AppendUint32(b, uint32(cap(b)))
	b = native.AppendUint16(b, unix.SOCK_DIAG_BY_FAMILY)
	b = native.AppendUint16(b, unix.NLM_F_REQUEST|q.flags)
	b = append(b, make([]byte, 8)...) // sequence number, port id
	b = append(b, q.family, unix.IPPROTO_TCP, 0, 0)
	b = native.AppendUint32(b, q.states)
	b = network.AppendUint16(b, q.local.Port())
	b = network.AppendUint16(b, q.remote.Port())
	for _, addr := range []netip.Addr{q.local.Addr(), q.remote.Addr()} {
		b = append(b, addr.AsSlice()...)
		b = append(b, make([]byte, 16-addr.BitLen()/8)...)
	}
	b = native.AppendUint32(b, 0)             // on any interface
	return native.AppendUint64(b, ^uint64(0)) // whatever its cookie
}

// ask returns the sockets of the answer, which may come in parts.
func (d *Diagnosis) ask(q diagRequest) (all []Socket, err error) {
	if err := unix.Send(d.fd, q.bytes(), 0); err != nil {
		return nil, fmt.Errorf("sock_diag: %w", err)
	}
	buf := make([]byte, 64<<10)
	for over := false; !over; {
		n, _, err := unix.Recvfrom(d.fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		var some []Socket
		if err == nil {
			some, over, err = diagAnswer(buf[:n])
		}
		if err != nil {
			return nil, fmt.Errorf("sock_diag: %w", err)
		}
		all = append(all, some...)
		over = over || q.flags&unix.NLM_F_DUMP == 0
	}
	return all, nil
}

// diagAnswer reads a part of an answer, which may be the last.
func diagAnswer(b []byte) (all []Socket, over bool, err error) {
	const size = 72 // of a struct inet_diag_msg
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return nil, false, err
	}
	for _, m := range messages {
		switch {
		case m.Header.Type == unix.NLMSG_DONE:
			return all, true, nil
		case m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4:
			return nil, true, unix.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
		case len(m.Data) < size:
			return nil, true, unix.EBADMSG
		}
		all = append(all, diagSocket(m.Data))
	}
	return all, false, nil
}

// diagSocket reads a struct inet_diag_msg. For a listening socket the field of
// the unsent bytes holds the limit of the queue: tcp_diag in the kernel does
// this, sock_diag(7) does not say it.
func diagSocket(b []byte) Socket {
	addr := func(port, ip []byte) netip.AddrPort {
		if b[0] == unix.AF_INET {
			ip = ip[:4]
		}
		a, _ := netip.AddrFromSlice(ip)
		return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port))
	}
	s := Socket{
		Local:  addr(b[4:6], b[8:24]),
		Remote: addr(b[6:8], b[24:40]),
		State:  State(b[1]),
		Unread: int(binary.NativeEndian.Uint32(b[56:60])),
		Unsent: int(binary.NativeEndian.Uint32(b[60:64])),
		Inode:  uint64(binary.NativeEndian.Uint32(b[68:72])),
	}
	if s.State == Listen {
		s.Room, s.Unsent = s.Unsent+1, 0 // one more than asked for: listen(2)
	}
	return s
}
