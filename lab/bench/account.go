package bench

import (
	"time"

	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

// An account is what the kernel has counted for a server and all its
// descendants, also those that have ended, since the server was started.
type account struct {
	at           time.Time
	cpu          time.Duration // exact to the nanosecond; for processes that have ended, to 10 ms
	user, system time.Duration // as they share it: sampled by the kernel, in steps of 10 ms
	threads      map[int]task  // those that live, by tid
	tree         proc.Tree
}

// A task is one kernel thread.
type task struct {
	proc.Schedule
	voluntary, involuntary int64 // context switches: the thread waited; the kernel took its CPU
}

// lookAt takes the account of a server. It takes longer the more threads there
// are, so the server should have nothing to do meanwhile.
func lookAt(s *subject.Subject) (a account, err error) {
	if a.tree, err = s.Tree(); err != nil {
		return a, err
	}
	a.at, a.cpu, a.threads = time.Now(), a.tree.CPU, map[int]task{}
	for _, p := range a.tree.Processes {
		a.user += p.User
		a.system += p.System
		threads, _ := proc.Threads(p.Pid)
		for _, thread := range threads {
			t := task{Schedule: thread.Schedule()}
			t.voluntary, t.involuntary = thread.Switches()
			a.threads[thread.Tid] = t
		}
	}
	return a, nil
}

// A spending is the difference of two accounts.
type spending struct {
	took         time.Duration
	cpu          time.Duration
	user, system time.Duration
	busiest      time.Duration // CPU time of the thread that used most

	// What follows is known only for threads that lived at the end: the kernel
	// does not pass it on to a parent. It is whole if these threads had nearly
	// all the CPU time.
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
		more := t.Since(b.Schedule)
		seen += more.Ran
		s.busiest = max(s.busiest, more.Ran)
		s.starved += more.Waited
		s.voluntary += t.voluntary - b.voluntary
		s.involuntary += t.involuntary - b.involuntary
	}
	s.whole = seen >= s.cpu*95/100
	return s
}

// weigh adds up the memory of a server's processes, in bytes: pages that they
// share count in part in pss, proc_pid_smaps(5), and for each process in rss. The
// kernel walks through their page tables for it.
func weigh(tree proc.Tree) (pss, rss int64) {
	for _, p := range tree.Processes {
		pss += proc.Number(p.Pid, "smaps_rollup", "Pss:") << 10
		rss += proc.Number(p.Pid, "smaps_rollup", "Rss:") << 10
	}
	return pss, rss
}

// queued is what is in the kernel's queues at the server's end: received and
// not yet read, sent and not yet acknowledged.
func queued(s *subject.Subject) (bytes int) {
	sockets, _ := s.Sockets()
	for _, socket := range sockets {
		if socket.State != proc.Listen {
			bytes += socket.Unread + socket.Unsent
		}
	}
	return bytes
}
