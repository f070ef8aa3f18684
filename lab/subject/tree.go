package subject

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is one process of a subject, as the kernel has it.
type Process struct {
	Pid, Parent int
	Name        string
	State       byte // 'R' running, 'S' sleeping, 'T' stopped, 'Z' zombie …: proc_pid_stat(5)
	Threads     int
	Files       int           // open descriptors; -1: we may not look
	CPU         time.Duration // what it has used, to the nanosecond
	ChildrenCPU time.Duration // what its children had used that ended and were waited for, to 10 ms
	RSS         int64         // bytes in memory; the kernel counts loosely, by tens of pages
}

// A Tree is a server with all its descendants.
type Tree struct {
	Processes []Process // by pid
	Threads   int
	Files     int
	Zombies   int // ended, and not waited for by their parents; in Processes too
	RSS       int64

	// CPU is all that was used since the start, by those too who have ended
	// since, if their parent waited for them: a parent that ignores SIGCHLD
	// makes it forgotten, getrusage(2).
	CPU time.Duration
}

// Tree looks at the server and its descendants. A server that has ended has
// the empty tree, unless it left somebody behind.
//
// Orphans belong to it too. Those that have ended came to this process, which
// collects them here as init(1) would; they are no zombies of the server's,
// also while they cannot be collected yet.
func (s *Subject) Tree() (Tree, error) {
	members, err := s.members()
	if err != nil {
		return Tree{}, err
	}
	s.mu.Lock()
	t := Tree{CPU: s.buried}
	s.mu.Unlock()
	for _, m := range members {
		p := m.look()
		t.Processes = append(t.Processes, p)
		t.Threads += p.Threads
		t.Files += max(0, p.Files)
		t.RSS += p.RSS
		t.CPU += p.CPU + p.ChildrenCPU
		if p.State == 'Z' && p.Parent != os.Getpid() {
			t.Zombies++
		}
	}
	return t, nil
}

// Starved is how long the threads of the server and its descendants, as far as
// they are alive, were ready to run and waited for a CPU: the second number in
// /proc/PID/task/TID/schedstat, Documentation/scheduler/sched-stats.rst. It is
// 0 where the kernel does not count that.
func (s *Subject) Starved() (total time.Duration) {
	members, _ := s.members()
	for _, p := range members {
		threads, _ := filepath.Glob("/proc/" + strconv.Itoa(p.pid) + "/task/*/schedstat")
		for _, thread := range threads {
			var ran, waited time.Duration
			text, _ := os.ReadFile(thread)
			fmt.Sscan(string(text), &ran, &waited)
			total += waited
		}
	}
	return total
}

// members finds the subject's processes, in one pass over the stat files of all
// processes. /proc/PID/task/TID/children looks cheaper, and leaves children out
// while others end: proc_tid_children(5).
func (s *Subject) members() ([]stat, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	children := map[int][]stat{}
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []stat
	for _, p := range children[os.Getpid()] {
		switch {
		case p.pid == s.Pid() && p.born == s.born:
			found = append(found, p)
		case !s.adopted(p) && !stray(p):
		case p.state == 'Z' && s.bury(p):
		default:
			found = append(found, p)
		}
	}
	for i := 0; i < len(found); i++ { // found grows meanwhile
		found = append(found, children[found[i].pid]...)
	}
	s.seen = map[int]uint64{}
	for _, p := range found {
		s.seen[p.pid] = p.born
	}
	slices.SortFunc(found, func(a, b stat) int { return a.pid - b.pid })
	return found, nil
}

// adopted reports whether a child of this process is an orphan of the
// subject's: we saw it there, or it is in its process group, or has its port in
// the environment, which it has no more when it has ended.
func (s *Subject) adopted(p stat) bool {
	if p.pid == s.Pid() {
		return false // the number was given to somebody else since
	}
	if s.seen[p.pid] == p.born || p.group == s.Pid() {
		return true
	}
	environ, _ := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ")
	return slices.ContainsFunc(bytes.Split(environ, []byte{0}), func(entry []byte) bool {
		return string(entry) == s.mark()
	})
}

// stray reports whether a child of this process is an orphan that ended before
// its subject could recognise it: one that made itself a daemon, and got
// SIGTERM in that very moment, for instance. It is whoever's sees it first. We
// start nobody in a session of its own.
func stray(p stat) bool {
	session, err := unix.Getsid(0)
	return err == nil && p.state == 'Z' && p.session != session
}

// bury collects an orphan that has ended. That cannot be done while threads of
// its are still ending, though the first one is a zombie already.
func (s *Subject) bury(p stat) bool {
	var used unix.Rusage
	pid, err := unix.Wait4(p.pid, nil, unix.WNOHANG, &used)
	if pid == p.pid {
		s.buried += time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return pid == p.pid || err != nil
}

// A stat is what we take from /proc/PID/stat.
type stat struct {
	pid, parent      int
	group, session   int
	name             string
	state            byte
	cpu, childrenCPU time.Duration
	threads          int
	born             uint64 // clock ticks since boot
	rss              int64  // bytes
}

// processes reads the stat files of all processes. By increasing pid, as /proc
// lists them, so that a child that is born meanwhile is found after its parent.
func processes() ([]stat, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []stat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue // not a process
		}
		p, err := readStat(pid)
		switch {
		case err == nil:
			all = append(all, p)
		case errors.Is(err, errStat):
			return nil, err
		} // else it has ended
	}
	return all, nil
}

// readStat reads /proc/PID/stat with nothing but open, read and close: the
// pass over all processes is made often.
func readStat(pid int) (stat, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return stat{}, err
	}
	defer unix.Close(fd)
	var line [2048]byte // 52 numbers and a name
	n, err := unix.Read(fd, line[:])
	if err != nil {
		return stat{}, err
	}
	return parseStat(line[:n])
}

var errStat = errors.New("not a line of /proc/PID/stat")

// parseStat reads the line: proc_pid_stat(5). The name is in parentheses, and
// may have spaces and parentheses in it. Field numbers are the man page's.
func parseStat(line []byte) (stat, error) {
	open, shut := bytes.Index(line, []byte(" (")), bytes.LastIndex(line, []byte(") "))
	if open < 0 || shut < open+2 {
		return stat{}, fmt.Errorf("%w: %q", errStat, line)
	}
	fields := bytes.Fields(line[shut+2:])
	if len(fields) < 22 || len(fields[0]) != 1 {
		return stat{}, fmt.Errorf("%w: %q", errStat, line)
	}
	var bad error
	number := func(text []byte) int64 {
		n, err := strconv.ParseInt(string(text), 10, 64)
		bad = errors.Join(bad, err)
		return n
	}
	field := func(n int) int64 { return number(fields[n-3]) }
	const tick = time.Second / 100 // USER_HZ is 100 wherever Go runs
	p := stat{
		pid:         int(number(line[:open])),
		name:        string(line[open+2 : shut]),
		state:       fields[0][0],
		parent:      int(field(4)),
		group:       int(field(5)),
		session:     int(field(6)),
		cpu:         time.Duration(field(14)+field(15)) * tick,
		childrenCPU: time.Duration(field(16)+field(17)) * tick,
		threads:     int(field(20)),
		born:        uint64(field(22)),
		rss:         field(24) * int64(os.Getpagesize()),
	}
	if bad != nil {
		return stat{}, fmt.Errorf("%w: %q: %w", errStat, line, bad)
	}
	return p, nil
}

// look completes what stat says with what stands elsewhere.
func (p stat) look() Process {
	files := 0
	if p.state != 'Z' {
		files = descriptors(p.pid)
	}
	cpu := p.cpu
	if exact, err := cpuClock(p.pid); err == nil {
		cpu = exact
	}
	return Process{p.pid, p.parent, p.name, p.state, p.threads, files, cpu, p.childrenCPU, p.rss}
}

// cpuClock is the CPU time of a process, to the nanosecond: the number of its
// clock is made of its pid, and 2 for "as the scheduler counted":
// clock_getcpuclockid(3).
func cpuClock(pid int) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|2, &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}

// descriptors counts the open descriptors of a process; -1 if we may not look.
func descriptors(pid int) int {
	files, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return -1
	}
	return len(files)
}
