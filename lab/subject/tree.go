package subject

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

// Tree looks at the server and its descendants. A server that has ended has
// the empty tree, unless it left somebody behind.
//
// Orphans belong to it too. Those that have ended came to this process, which
// collects them here as init(1) would; they are no zombies of the server's,
// also while they cannot be collected yet.
func (s *Subject) Tree() (proc.Tree, error) {
	members, err := s.members()
	if err != nil {
		return proc.Tree{}, err
	}
	t := proc.Sum(members)
	for _, p := range members {
		if p.Ended() && p.Parent == os.Getpid() {
			t.Zombies--
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.CPU += s.buried
	return t, nil
}

// Starved is how long the threads of the server and its descendants, as far as
// they are alive, were ready to run and waited for a CPU.
func (s *Subject) Starved() (total time.Duration) {
	members, _ := s.members()
	for _, p := range members {
		threads, _ := proc.Threads(p.Pid)
		for _, thread := range threads {
			total += thread.Schedule().Waited
		}
	}
	return total
}

// members finds the subject's processes.
func (s *Subject) members() ([]proc.Process, error) {
	all, err := proc.All()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var roots []proc.Process
	for _, p := range all {
		switch {
		case p.Parent != os.Getpid():
		case p.Pid == s.Pid() && p.Born == s.born:
			roots = append(roots, p)
		case !s.adopted(p) && !stray(p):
		case p.Ended() && s.bury(p):
		default:
			roots = append(roots, p)
		}
	}
	found := proc.Family(all, roots...)
	s.seen = map[int]uint64{}
	for _, p := range found {
		s.seen[p.Pid] = p.Born
	}
	return found, nil
}

// adopted reports whether a child of this process is an orphan of the
// subject's: we saw it there, or it is in its process group, or has its port in
// the environment, which it has no more when it has ended.
func (s *Subject) adopted(p proc.Process) bool {
	if p.Pid == s.Pid() {
		return false // the number was given to somebody else since
	}
	if s.seen[p.Pid] == p.Born || p.Group == s.Pid() {
		return true
	}
	environ, _ := os.ReadFile("/proc/" + strconv.Itoa(p.Pid) + "/environ")
	return slices.ContainsFunc(bytes.Split(environ, []byte{0}), func(entry []byte) bool {
		return string(entry) == s.mark()
	})
}

// stray reports whether a child of this process is an orphan that ended before
// its subject could recognise it: one that made itself a daemon, and got
// SIGTERM in that very moment, for instance. It is whoever's sees it first. We
// start nobody in a session of its own.
func stray(p proc.Process) bool {
	session, err := unix.Getsid(0)
	return err == nil && p.Ended() && p.Session != session
}

// bury collects an orphan that has ended. That cannot be done while threads of
// its are still ending, though the first one is a zombie already.
func (s *Subject) bury(p proc.Process) bool {
	var used unix.Rusage
	pid, err := unix.Wait4(p.Pid, nil, unix.WNOHANG, &used)
	if pid == p.Pid {
		s.buried += time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return pid == p.Pid || err != nil
}

// Sockets are the sockets on the server's own port: the listening one, and its
// end of each connection, accepted or not.
func (s *Subject) Sockets() ([]proc.Socket, error) { return proc.Sockets(s.Pid(), s.Spec.Port) }

// owns reports whether a process of the subject has the socket open. It is not
// known where the kernel does not let us look: a server with other rights.
func (s *Subject) owns(inode uint64) (owned, known bool) {
	if has, _ := proc.HasSocket(s.Pid(), inode); has {
		return true, true // as nearly always, and no need to look at all processes
	}
	members, err := s.members()
	known = err == nil
	for _, p := range members {
		has, err := proc.HasSocket(p.Pid, inode)
		if has {
			return true, true
		}
		if errors.Is(err, fs.ErrPermission) && !p.Ended() {
			known = false
		}
	}
	return false, known
}
