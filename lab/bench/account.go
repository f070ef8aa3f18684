package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"socketlab/lab/subject"
)

// An account is what the kernel has counted of a server, its descendants and
// those who have ended, since it was started.
type account struct {
	at           time.Time
	cpu          time.Duration // to the nanosecond for who lives, to 10 ms for who has ended
	user, system time.Duration // as they share it: sampled by the kernel, in steps of 10 ms
	threads      map[int]task  // those that live, by tid
	tree         subject.Tree
}

// A task is one kernel thread.
type task struct {
	schedule
	voluntary, involuntary int64 // context switches: it waited; it was sent away
}

// lookAt takes the account of a server. It takes longer the more threads there
// are, so the server should have nothing to do meanwhile.
func lookAt(s *subject.Subject) (a account, err error) {
	if a.tree, err = s.Tree(); err != nil {
		return a, err
	}
	a.at, a.cpu, a.threads = time.Now(), a.tree.CPU, map[int]task{}
	for _, p := range a.tree.Processes {
		folder := "/proc/" + strconv.Itoa(p.Pid)
		user, system := readTimes(folder)
		a.user += user
		a.system += system
		tasks, _ := os.ReadDir(folder + "/task")
		for _, entry := range tasks {
			if tid, err := strconv.Atoi(entry.Name()); err == nil {
				a.threads[tid] = readTask(folder + "/task/" + entry.Name())
			}
		}
	}
	return a, nil
}

// readTimes are the user and the system time of a process and its children
// that have ended: fields 14 to 17 of proc_pid_stat(5), counted from behind the
// name, which may have spaces.
func readTimes(folder string) (user, system time.Duration) {
	text, _ := os.ReadFile(folder + "/stat")
	_, text, _ = bytes.Cut(text[bytes.LastIndexByte(text, ')')+1:], []byte(" "))
	fields := bytes.Fields(text)
	if len(fields) < 15 {
		return 0, 0 // it has ended
	}
	ticks := func(field int) time.Duration {
		n, _ := strconv.Atoi(string(fields[field-3]))
		return time.Duration(n) * time.Second / 100
	}
	return ticks(14) + ticks(16), ticks(15) + ticks(17)
}

func readTask(folder string) (t task) {
	t.schedule = readSchedule(folder + "/schedstat")
	text, _ := os.ReadFile(folder + "/status")
	t.voluntary = number(text, "\nvoluntary_ctxt_switches:")
	t.involuntary = number(text, "\nnonvoluntary_ctxt_switches:")
	return t
}

// number is the number behind a word in a file of /proc; 0 if there is none.
func number(text []byte, word string) (n int64) {
	if _, rest, found := bytes.Cut(text, []byte(word)); found {
		fmt.Sscan(string(rest), &n)
	}
	return n
}

// A spending is the difference of two accounts.
type spending struct {
	took         time.Duration
	cpu          time.Duration
	user, system time.Duration
	busiest      time.Duration // CPU time of the thread that used most

	// What follows is known of threads that lived at the end only: the kernel
	// does not hand it down. It is whole if those had nearly all the CPU time.
	whole                  bool
	starved                time.Duration // ready to run, and waiting for a CPU
	voluntary, involuntary int64
}

func (a account) since(before account) spending {
	s := spending{
		took: a.at.Sub(before.at), cpu: a.cpu - before.cpu,
		user: a.user - before.user, system: a.system - before.system,
	}
	var seen time.Duration
	for tid, t := range a.threads {
		b := before.threads[tid]
		ran, waited := t.since(b.schedule)
		seen += ran
		s.busiest = max(s.busiest, ran)
		s.starved += waited
		s.voluntary += t.voluntary - b.voluntary
		s.involuntary += t.involuntary - b.involuntary
	}
	s.whole = seen >= s.cpu*95/100
	return s
}

// A memory is what a server has in memory, in bytes.
type memory struct {
	pss int64 // pages that it shares count in part: proc_pid_smaps(5)
	rss int64 // they count in whole, for each process
}

// weigh adds up the memory of a server's processes. The kernel walks through
// their page tables for it.
func weigh(tree subject.Tree) (m memory) {
	for _, p := range tree.Processes {
		text, _ := os.ReadFile("/proc/" + strconv.Itoa(p.Pid) + "/smaps_rollup")
		m.pss += number(text, "\nPss:") << 10
		m.rss += number(text, "\nRss:") << 10
	}
	return m
}

// queued is what is in the kernel's queues at the server's end: received and
// not yet read, sent and not yet acknowledged.
func queued(s *subject.Subject) (bytes int) {
	sockets, _ := s.Sockets()
	for _, socket := range sockets {
		if socket.State != subject.Listen {
			bytes += socket.Unread + socket.Unsent
		}
	}
	return bytes
}
