package sys

import (
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Listen opens a listening TCP socket: socket(2), bind(2), listen(2). Port 0
// lets the kernel choose one. The kernel keeps up to backlog+1 finished
// connections waiting for accept (and no more than net.core.somaxconn).
//
// Two options are set before, and the connected sockets inherit the second:
// SO_REUSEADDR, so that a server can be started again while its old
// connections are in TIME-WAIT, and TCP_NODELAY, so that a short answer does
// not wait for the acknowledgement of the one before (Nagle, RFC 896). More of
// socket(7) can be asked for, such as unix.SO_REUSEPORT.
func Listen(addr netip.AddrPort, backlog int, options ...int) (lfd int, err error) {
	family, sa := sockaddr(addr)
	call := watch("socket", -1)
	lfd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return call.done(-1, failed("socket", -1, err))
	}
	call.done(lfd, nil)
	if err := listen(lfd, sa, backlog, options); err != nil {
		Close(lfd)
		return -1, err
	}
	return lfd, nil
}

func listen(lfd int, sa unix.Sockaddr, backlog int, options []int) error {
	for _, option := range append(options, unix.SO_REUSEADDR) {
		if err := unix.SetsockoptInt(lfd, unix.SOL_SOCKET, option, 1); err != nil {
			return failed("setsockopt", lfd, err)
		}
	}
	if err := unix.SetsockoptInt(lfd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return failed("setsockopt", lfd, err)
	}
	call := watchBind(lfd, sa)
	if _, err := call.done(0, failed("bind", lfd, unix.Bind(lfd, sa))); err != nil {
		return err
	}
	call = watchArgs("listen", lfd, strconv.Itoa(backlog))
	_, err := call.done(0, failed("listen", lfd, unix.Listen(lfd, backlog)))
	return err
}

// Connect opens a connection to addr and waits until it is established:
// socket(2), connect(2).
func Connect(addr netip.AddrPort) (cfd int, err error) {
	family, sa := sockaddr(addr)
	cfd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, failed("socket", -1, err)
	}
	if err := unix.Connect(cfd, sa); err != nil {
		Close(cfd)
		return -1, failed("connect", cfd, err)
	}
	return cfd, nil
}

// LocalAddr is the address that a socket is bound to: getsockname(2).
func LocalAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, failed("getsockname", fd, err)
	}
	if addr := addrPort(sa); addr.IsValid() {
		return addr, nil
	}
	return netip.AddrPort{}, failed("getsockname", fd, unix.EAFNOSUPPORT)
}

// Shutdown ends listening on lfd, or sending on a connected socket:
// shutdown(2). how is unix.SHUT_RDWR or unix.SHUT_WR.
func Shutdown(fd, how int) error {
	call := watchArgs("shutdown", fd, shutdowns[how])
	_, err := call.done(0, failed("shutdown", fd, unix.Shutdown(fd, how)))
	return err
}

var shutdowns = [...]string{unix.SHUT_RD: "SHUT_RD", unix.SHUT_WR: "SHUT_WR", unix.SHUT_RDWR: "SHUT_RDWR"}

// SetNonblock makes a call on fd that would have to wait fail with EAGAIN
// instead: fcntl(2), O_NONBLOCK. It holds for every copy of the descriptor.
func SetNonblock(fd int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return failed("fcntl", fd, err)
	}
	return nil
}

// NetListener gives lfd to Go's net package. The listener works on a copy of
// the descriptor (dup(2)): the caller still owns lfd, and shutting lfd down
// stops the listener too. Both become non-blocking: fcntl(2), O_NONBLOCK.
func NetListener(lfd int) (net.Listener, error) {
	copied, err := unix.FcntlInt(uintptr(lfd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, failed("dup", lfd, err)
	}
	file := os.NewFile(uintptr(copied), "listener")
	defer file.Close()
	listener, err := net.FileListener(file)
	if tcp, ok := listener.(*net.TCPListener); ok && probe != nil {
		return watchListener(tcp)
	}
	return listener, err
}

// FitSet makes the kernel hand out only descriptors that fit into an fd_set,
// by lowering this process's RLIMIT_NOFILE to FD_SETSIZE, 1024: getrlimit(2).
// From then on a client too many is EMFILE, like any other lack of
// descriptors. It fails if one of fds is too large already.
func FitSet(fds ...int) error {
	for _, fd := range fds {
		if fd >= unix.FD_SETSIZE {
			return &Error{"select", fd, unix.EBADF}
		}
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return failed("getrlimit", -1, err)
	}
	limit.Cur = min(limit.Cur, unix.FD_SETSIZE)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return failed("setrlimit", -1, err)
	}
	return nil
}

func sockaddr(addr netip.AddrPort) (family int, sa unix.Sockaddr) {
	ip := addr.Addr().Unmap()
	if ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()}
	}
	zone := uint32(0)
	if ifc, err := net.InterfaceByName(ip.Zone()); err == nil {
		zone = uint32(ifc.Index)
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16(), ZoneId: zone}
}

// addrPort is sockaddr read backwards; invalid if it is no TCP address.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
