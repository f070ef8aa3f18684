// Package proc asks the kernel about processes, their threads and their
// sockets: proc(5) and sock_diag(7). The kernel answers the same questions about
// our own models and about a stranger's program.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is what /proc/PID/stat says of one: proc_pid_stat(5).
type Process struct {
	Pid, Parent    int
	Group, Session int
	Name           string
	State          byte // 'R' running, 'S' sleeping, 'T' stopped, 'Z' zombie …
	Threads        int
	Born           uint64        // clock ticks since boot: tells it from a later process with its pid
	CPU            time.Duration // what it has used; to 10 ms, and to the nanosecond in a Tree
	ChildrenCPU    time.Duration // what its children had used that ended and were waited for, to 10 ms
	User, System   time.Duration // the two together, as the kernel divides them
	RSS            int64         // bytes in memory; the kernel counts loosely, by tens of pages
	Files          int           // open descriptors, in a Tree; -1: we may not look
}

// Ended reports whether it is a zombie: it has ended, and its parent has not
// waited for it.
func (p Process) Ended() bool { return p.State == 'Z' || p.State == 'X' }

// A Tree is a server with all its descendants.
type Tree struct {
	Processes []Process // by pid
	Threads   int
	Files     int
	Zombies   int // those who Ended; in Processes too
	RSS       int64

	// CPU is all that was used since the start. Processes that have ended count
	// if their parent waited for them; if the parent ignores SIGCHLD, the kernel
	// drops their time: getrusage(2).
	CPU time.Duration
}

// Sum looks at each of the processes once more, and adds up.
func Sum(processes []Process) (t Tree) {
	for _, p := range processes {
		if p.Ended() {
			t.Zombies++
		} else {
			files, _, err := descriptors(p.Pid)
			if p.Files = len(files); err != nil {
				p.Files = -1
			}
		}
		if exact, err := Clock(p.Pid); err == nil {
			p.CPU = exact
		}
		t.Processes = append(t.Processes, p)
		t.Threads += p.Threads
		t.Files += max(0, p.Files)
		t.RSS += p.RSS
		t.CPU += p.CPU + p.ChildrenCPU
	}
	return t
}

// Family are the roots and, of all processes, those that descend from a root,
// by pid.
func Family(all []Process, roots ...Process) []Process {
	children := map[int][]Process{}
	for _, p := range all {
		children[p.Parent] = append(children[p.Parent], p)
	}
	found := slices.Clone(roots)
	for i := 0; i < len(found); i++ { // found grows meanwhile
		found = append(found, children[found[i].Pid]...)
	}
	slices.SortFunc(found, func(a, b Process) int { return a.Pid - b.Pid })
	return found
}

// All reads the stat files of all processes by increasing pid, as /proc lists
// them: a child that is born meanwhile is found after its parent. One pass over
// all is the only sure way to find descendants:
// /proc/PID/task/TID/children leaves some out while others end,
// proc_tid_children(5).
func All() ([]Process, error) {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []Process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue // not a process
		}
		p, err := Read(pid)
		switch {
		case err == nil:
			all = append(all, p)
		case errors.Is(err, errStat):
			return nil, err
		} // else it has ended
	}
	return all, nil
}

// Read reads /proc/PID/stat. If the first thread has ended, the process looks
// like a zombie there while other threads go on: pthread_exit(3). Read then
// takes the state from one of the others.
func Read(pid int) (Process, error) {
	p, err := readStat("/proc/" + strconv.Itoa(pid))
	if err == nil && p.State == 'Z' && p.Threads > 1 {
		if other, err := readStat(living(pid)); err == nil {
			p.State, p.RSS = other.State, other.RSS
		}
	}
	return p, err
}

// living is the folder of a thread of the process that goes on.
func living(pid int) string {
	threads, _ := Threads(pid)
	for _, t := range threads {
		if state := t.State(); state != 0 && state != 'Z' && state != 'X' {
			return t.folder
		}
	}
	return "/proc/" + strconv.Itoa(pid)
}

// readStat reads the stat file of a process or thread with nothing but open,
// read and close: the pass over all processes is made often.
func readStat(folder string) (Process, error) {
	fd, err := unix.Open(folder+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Process{}, err
	}
	defer unix.Close(fd)
	var line [2048]byte // 52 numbers and a name
	n, err := unix.Read(fd, line[:])
	if err != nil {
		return Process{}, err
	}
	return parseStat(line[:n])
}

var errStat = errors.New("not a line of /proc/PID/stat")

// parseStat reads the line: proc_pid_stat(5). The name is in parentheses, and
// may have spaces and parentheses in it. Field numbers are the man page's.
func parseStat(line []byte) (Process, error) {
	open, shut := bytes.Index(line, []byte(" (")), bytes.LastIndex(line, []byte(") "))
	if open < 0 || shut < open+2 {
		return Process{}, fmt.Errorf("%w: %q", errStat, line)
	}
	fields := bytes.Fields(line[shut+2:])
	if len(fields) < 22 || len(fields[0]) != 1 {
		return Process{}, fmt.Errorf("%w: %q", errStat, line)
	}
	var bad error
	number := func(text []byte) int64 {
		n, err := strconv.ParseInt(string(text), 10, 64)
		bad = errors.Join(bad, err)
		return n
	}
	field := func(n int) int64 { return number(fields[n-3]) }
	ticks := func(n int) time.Duration {
		return time.Duration(field(n)) * time.Second / 100 // USER_HZ is 100 wherever Go runs
	}
	p := Process{
		Pid:         int(number(line[:open])),
		Name:        string(line[open+2 : shut]),
		State:       fields[0][0],
		Parent:      int(field(4)),
		Group:       int(field(5)),
		Session:     int(field(6)),
		CPU:         ticks(14) + ticks(15),
		ChildrenCPU: ticks(16) + ticks(17),
		User:        ticks(14) + ticks(16),
		System:      ticks(15) + ticks(17),
		Threads:     int(field(20)),
		Born:        uint64(field(22)),
		RSS:         field(24) * int64(os.Getpagesize()),
	}
	if bad != nil {
		return Process{}, fmt.Errorf("%w: %q: %w", errStat, line, bad)
	}
	return p, nil
}

// Clock is the CPU time of a process, to the nanosecond: the number of its
// clock is made of its pid, and 2 for "as the scheduler counted":
// clock_getcpuclockid(3).
func Clock(pid int) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|2, &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}

// descriptors are the entries of /proc/PID/fd, and their folder. A process
// whose first thread has ended has none there.
func descriptors(pid int) (files []os.DirEntry, folder string, err error) {
	folder = "/proc/" + strconv.Itoa(pid) + "/fd"
	if files, err = os.ReadDir(folder); len(files) == 0 {
		folder = living(pid) + "/fd"
		files, err = os.ReadDir(folder)
	}
	return files, folder, err
}

// Descriptor is the number under which a process has the socket with this inode
// open; -1 if it has not.
func Descriptor(pid int, inode uint64) (fd int, err error) {
	files, folder, err := descriptors(pid)
	link := fmt.Sprintf("socket:[%d]", inode)
	for _, file := range files {
		if target, _ := os.Readlink(folder + "/" + file.Name()); target == link {
			return strconv.Atoi(file.Name())
		}
	}
	return -1, err
}

// Number is the number behind a word such as "VmRSS:" at the beginning of a
// line in a file of /proc/PID, 0 if there is none: proc_pid_status(5),
// proc_pid_smaps(5).
func Number(pid int, file, word string) int64 {
	return number("/proc/"+strconv.Itoa(pid)+"/"+file, word)[0]
}

func number(path string, words ...string) []int64 {
	text, _ := os.ReadFile(path)
	numbers := make([]int64, len(words))
	for i, word := range words {
		_, rest, _ := bytes.Cut(text, []byte("\n"+word))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if fields := bytes.Fields(line); len(fields) > 0 {
			numbers[i], _ = strconv.ParseInt(string(fields[0]), 10, 64)
		}
	}
	return numbers
}
