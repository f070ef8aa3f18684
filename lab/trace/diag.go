package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"socketlab/lab/subject"
)

// A diagnosis asks the kernel for one socket at a time: sock_diag(7). To list
// the table instead, /proc/net/tcp, makes it walk through hundreds of thousands
// of empty places.
type diagnosis struct{ fd int }

func openDiagnosis() (*diagnosis, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("sock_diag: %w", err)
	}
	d := &diagnosis{fd}
	if err := d.try(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// try asks for a socket that is there: a kernel without the module says of
// every socket that there is none.
func (d *diagnosis) try() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	if _, ok, err := d.find(addr, addr); err != nil || !ok {
		return errors.Join(errors.New("sock_diag: this kernel does not answer (CONFIG_INET_DIAG)"), err)
	}
	return nil
}

func (d *diagnosis) close() { unix.Close(d.fd) }

// find is the socket between two addresses, or where there is none, one that
// listens at local. For that one, Unread is the length of the accept queue, and
// Unsent its limit: tcp_diag in the kernel says so, sock_diag(7) does not.
func (d *diagnosis) find(local, remote netip.AddrPort) (s subject.Socket, ok bool, err error) {
	if err := unix.Send(d.fd, diagRequest(local, remote), 0); err != nil {
		return s, false, fmt.Errorf("sock_diag: %w", err)
	}
	var buf [4096]byte
	n, err := unix.Read(d.fd, buf[:])
	for err == unix.EINTR {
		n, err = unix.Read(d.fd, buf[:])
	}
	if err != nil {
		return s, false, fmt.Errorf("sock_diag: %w", err)
	}
	return parseDiag(buf[:n])
}

// diagRequest is a struct nlmsghdr and a struct inet_diag_req_v2.
func diagRequest(local, remote netip.AddrPort) []byte {
	family := byte(unix.AF_INET6)
	if local.Addr().Is4() {
		family = unix.AF_INET
	}
	native, network := binary.NativeEndian, binary.BigEndian
	b := native.AppendUint32(nil, 16+56)
	b = native.AppendUint16(b, unix.SOCK_DIAG_BY_FAMILY)
	b = native.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, make([]byte, 8)...)
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = native.AppendUint32(b, ^uint32(0)) // in any state
	b = network.AppendUint16(b, local.Port())
	b = network.AppendUint16(b, remote.Port())
	for _, addr := range []netip.Addr{local.Addr(), remote.Addr()} {
		b = append(b, addr.AsSlice()...)
		b = append(b, make([]byte, 16-addr.BitLen()/8)...)
	}
	b = native.AppendUint32(b, 0)             // on any interface
	return native.AppendUint64(b, ^uint64(0)) // whatever its cookie
}

// parseDiag reads a struct nlmsghdr and what follows it: an error, or a struct
// inet_diag_msg.
func parseDiag(b []byte) (s subject.Socket, ok bool, err error) {
	const header, message = 16, 72
	native := binary.NativeEndian
	switch {
	case len(b) >= header+4 && native.Uint16(b[4:]) == unix.NLMSG_ERROR:
		errno := unix.Errno(-int32(native.Uint32(b[header:])))
		if errno == unix.ENOENT {
			return s, false, nil
		}
		return s, false, fmt.Errorf("sock_diag: %w", errno)
	case len(b) < header+message:
		return s, false, fmt.Errorf("sock_diag: an answer of %d bytes", len(b))
	}
	b = b[header:]
	size := 4
	if b[0] == unix.AF_INET6 {
		size = 16
	}
	address := func(ip, port []byte) netip.AddrPort {
		addr, _ := netip.AddrFromSlice(ip[:size])
		return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(port))
	}
	return subject.Socket{
		Local:  address(b[8:], b[4:]),
		Remote: address(b[24:], b[6:]),
		State:  subject.State(b[1]),
		Unread: int(native.Uint32(b[56:])),
		Unsent: int(native.Uint32(b[60:])),
		Inode:  uint64(native.Uint32(b[68:])),
	}, true, nil
}
