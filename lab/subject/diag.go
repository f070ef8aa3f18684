package subject

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// diag asks the kernel for the TCP sockets with a local port, in some states:
// sock_diag(7). The kernel chooses them, so it costs little even while the whole
// table is long, as it is after a few thousand connections: each of them stays
// in TIME_WAIT for a minute.
func diag(port uint16, states ...State) ([]Socket, error) {
	var mask uint32
	for _, state := range states {
		mask |= 1 << state
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("sock_diag: %w", err)
	}
	defer unix.Close(fd)
	var all []Socket
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := unix.Send(fd, diagRequest(family, port, mask), 0); err != nil {
			return nil, fmt.Errorf("sock_diag: %w", err)
		}
		if all, err = diagAnswers(fd, all); err != nil {
			return nil, fmt.Errorf("sock_diag: %w", err)
		}
	}
	return all, nil
}

const (
	sockDiagByFamily = 20 // linux/sock_diag.h
	diagMessage      = 72 // the size of a struct inet_diag_msg
)

// diagRequest is a struct nlmsghdr and a struct inet_diag_req_v2: sock_diag(7).
func diagRequest(family byte, port uint16, mask uint32) []byte {
	b := make([]byte, 0, 72)
	b = binary.NativeEndian.AppendUint32(b, uint32(cap(b)))
	b = binary.NativeEndian.AppendUint16(b, sockDiagByFamily)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b = append(b, make([]byte, 8)...) // sequence number, port id
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, mask)
	b = binary.BigEndian.AppendUint16(b, port)
	return b[:cap(b)] // any peer, any address
}

// diagAnswers appends the sockets of one answer, which may come in parts.
func diagAnswers(fd int, all []Socket) ([]Socket, error) {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch {
			case m.Header.Type == unix.NLMSG_DONE:
				return all, nil
			case m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4:
				return nil, unix.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
			case len(m.Data) < diagMessage:
				return nil, unix.EBADMSG
			}
			all = append(all, diagSocket(m.Data))
		}
	}
}

// diagSocket reads a struct inet_diag_msg.
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
		s.Unsent = 0 // the backlog, which the table does not tell
	}
	return s
}
