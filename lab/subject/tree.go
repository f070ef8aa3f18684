package subject

import (
	"errors"
	"io/fs"
	"net/netip"
	"time"

	"socketlab/lab/proc"
)

// Tree looks at the server and its descendants. A server that has ended has
// the empty tree, unless it left somebody behind.
//
// Orphans belong to it too. Those that have ended are collected by the
// supervisor, as by init(1), and are no zombies of the server's.
func (s *Subject) Tree() (proc.Tree, error) {
	members, err := family(s.supervisor.Process.Pid)
	if err != nil {
		return proc.Tree{}, err
	}
	t := proc.Sum(members)
	t.CPU += time.Duration(s.collected.Load())
	return t, nil
}

// Starved is how long the living threads of the server and its descendants were
// ready to run and waited for a CPU.
func (s *Subject) Starved() (total time.Duration) {
	members, _ := family(s.supervisor.Process.Pid)
	for _, p := range members {
		threads, _ := proc.Threads(p.Pid)
		for _, thread := range threads {
			total += thread.Schedule().Waited
		}
	}
	return total
}

// Sockets are the sockets on the server's own port: the listening one, and its
// end of each connection, accepted or not.
func (s *Subject) Sockets() ([]proc.Socket, error) { return proc.Sockets(s.Pid(), s.Spec.Port) }

// Connection is the server's end of one client's connection, if it has one.
func (s *Subject) Connection(client netip.AddrPort) (_ proc.Socket, ok bool, err error) {
	return proc.Connection(s.Pid(), s.Addr(), client)
}

// owns reports whether a process of the subject has the socket open. That is
// unknown if the kernel does not let us look: the server has other rights.
func (s *Subject) owns(inode uint64) (owned, known bool) {
	if fd, _ := proc.Descriptor(s.Pid(), inode); fd >= 0 {
		return true, true // as nearly always, and no need to look at all processes
	}
	members, err := family(s.supervisor.Process.Pid)
	known = err == nil
	for _, p := range members {
		fd, err := proc.Descriptor(p.Pid, inode)
		if fd >= 0 {
			return true, true
		}
		if errors.Is(err, fs.ErrPermission) && !p.Ended() {
			known = false
		}
	}
	return false, known
}
