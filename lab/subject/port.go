package subject

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

// A Port is a port of this machine that no other lab will choose.
type Port struct {
	Number uint16
	claim  net.Listener
}

// FreePort chooses a port that nobody has, and claims it. It is tried with
// bind(2) without SO_REUSEADDR: a server that does not set it either must not
// trip over an old connection in TIME-WAIT.
func FreePort() (Port, error) {
	low, high := portRange()
	for range 1000 {
		p, err := claimPort(uint16(low + rand.IntN(high-low)))
		if _, taken := errors.AsType[*PortError](err); taken {
			continue
		}
		if err != nil {
			return Port{}, err
		}
		any4 := bindable(netip.AddrPortFrom(netip.IPv4Unspecified(), p.Number))
		any6 := bindable(netip.AddrPortFrom(netip.IPv6Unspecified(), p.Number))
		if any4 && any6 {
			return p, nil
		}
		p.Release()
	}
	return Port{}, errors.New("no free port was found; stop other servers")
}

// Release lets others choose the port.
func (p Port) Release() {
	if p.claim != nil {
		p.claim.Close()
	}
}

// claimPort claims a port among labs. The claim is a socket in the abstract
// namespace, unix(7): it leaves no file, ends with its process, and belongs to
// a network namespace as the port does.
func claimPort(number uint16) (Port, error) {
	claim, err := net.Listen("unix", "@socketlab/port/"+strconv.Itoa(int(number)))
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return Port{}, &PortError{Port: number}
	case err != nil:
		return Port{}, fmt.Errorf("cannot claim port %d: %w%s", number, reason(err), cure(err))
	}
	return Port{number, claim}, nil
}

// takePort claims the port of a server, or a free one if that is 0. Nobody may
// listen on it, but old connections are the server's own affair. In a namespace
// of its own all ports are free.
func takePort(spec Spec) (Port, error) {
	number := spec.Port
	switch {
	case number == 0:
		return FreePort()
	case spec.Namespace:
		return Port{Number: number}, nil
	}
	if err := inUse(number); err != nil {
		return Port{}, err
	}
	return claimPort(number)
}

// inUse is a *PortError if somebody listens on the port, on loopback or on all
// addresses.
func inUse(number uint16) error {
	pid, name, taken := proc.Listener(netip.AddrPortFrom(loopback4, number))
	if !taken {
		return nil
	}
	return &PortError{number, pid, name}
}

// portRange is where to look for a port: outside the range from which the
// kernel takes the ports of outgoing connections, if that leaves any.
func portRange() (low, high int) {
	low, high = 20000, 32768
	var first, last int
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, err = fmt.Sscan(string(text), &first, &last)
	}
	const enough, unprivileged = 2000, 1024
	switch {
	case err != nil:
	case first >= unprivileged+enough:
		return max(unprivileged, first-12000), first
	case last <= 65535-enough:
		return last + 1, 65536
	}
	return low, high // all ports are ephemeral: bind has the last word
}

// bindable asks the kernel whether a new server could have this address.
func bindable(addr netip.AddrPort) bool {
	ip, port := addr.Addr(), int(addr.Port())
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: port, Addr: ip.As16()})
	if ip.Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		err = unix.Bind(fd, sa)
	}
	switch err {
	case nil, unix.EAFNOSUPPORT, unix.EADDRNOTAVAIL: // no IPv6 here: nobody has it
		return true
	}
	return false
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
