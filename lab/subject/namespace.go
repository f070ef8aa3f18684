package subject

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// InNamespaces has a process start in a user and a network namespace of its
// own, where it keeps its user id: user_namespaces(7).
func InNamespaces(a *syscall.SysProcAttr) {
	a.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWNET
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	a.AmbientCaps = []uintptr{unix.CAP_NET_RAW, unix.CAP_NET_ADMIN}
}

// EnterNamespaces is called there first: it switches on the loopback,
// netdevice(7), and keeps the rights for this process and not for those whom it
// starts: capabilities(7), ambient set. With cgo that cannot be said to all
// threads. Then servers have them too, where there is nothing else to be had.
func EnterNamespaces() error {
	syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("loopback up: %w", err)
	}
	return nil
}

// Control is for a net.Dialer: it leads a new connection to the server's
// network namespace, if that is not ours. A socket belongs to the namespace in
// which it was made, so the supervisor makes one and sends it: unix(7),
// SCM_RIGHTS. It takes the place of the dialer's own.
func (s *Subject) Control(_, _ string, dialer syscall.RawConn) error {
	if !s.Spec.Namespace {
		return nil
	}
	var result error
	err := dialer.Control(func(fd uintptr) {
		domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			result = err
			return
		}
		var made int
		if made, result = s.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0); result == nil {
			result = unix.Dup3(made, int(fd), unix.O_CLOEXEC)
			unix.Close(made)
		}
	})
	if err != nil {
		return err
	}
	return result
}

// Socket is a socket in the server's network namespace, as socket(2) makes it.
func (s *Subject) Socket(domain, kind, protocol int) (fd int, err error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	s.say(fmt.Sprintf("%s %d %d %d", saySocket, domain, kind, protocol))
	select {
	case fd = <-s.sockets:
	case <-s.gone:
		return -1, os.ErrProcessDone
	}
	if fd < 0 {
		return -1, os.NewSyscallError("socket", syscall.Errno(-fd))
	}
	return fd, nil
}

// socket makes one and sends it.
func (s *supervisor) socket(request string) {
	var domain, kind, protocol int
	fmt.Sscanf(request, saySocket+" %d %d %d", &domain, &kind, &protocol)
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		s.say(fmt.Sprintf("socket %d", err))
		return
	}
	s.say("socket 0", fd)
	unix.Close(fd)
}
