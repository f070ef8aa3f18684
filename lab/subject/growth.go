package subject

import (
	"time"

	"golang.org/x/sys/unix"
)

// watchGrowth kills the server when it has more processes or threads than it
// may. A server that forks without looking at the error of accept, and never
// collects its children, soon uses every pid of the machine. Then no program
// can be started, and Go programs crash.
func (s *Subject) watchGrowth(most int) {
	const often = 20 * time.Millisecond
	for pause := often; ; {
		select {
		case <-s.stopped:
			return
		case <-time.After(pause):
		}
		start := time.Now()
		if n := s.size(most); n > most {
			s.outgrew.Store(int32(n))
			s.say(sayKill)
			return
		}
		pause = max(often, 5*time.Since(start)) // among many processes a look takes long
	}
}

// size is how many processes the server has, or how many threads one of them
// has, if that is more. It is 0 while the whole machine has no more than the
// server may: sysinfo(2) counts its threads.
func (s *Subject) size(most int) int {
	var machine unix.Sysinfo_t
	if unix.Sysinfo(&machine) == nil && int(machine.Procs) <= most {
		return 0
	}
	members, _ := family(s.supervisor.Process.Pid)
	n := len(members)
	for _, p := range members {
		n = max(n, p.Threads)
	}
	return n
}
