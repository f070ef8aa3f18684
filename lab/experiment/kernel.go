package experiment

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"socketlab/lab/proc"
)

// queueOf is how many wait to be accepted at a port, and how many connections
// are ESTABLISHED there.
func queueOf(r *Run, port uint16) (queue, established int) {
	all, err := proc.Sockets(os.Getpid(), port)
	r.Check(err)
	for _, s := range all {
		switch s.State {
		case proc.Listen:
			queue = s.Unread
		case proc.Established:
			established++
		}
	}
	return queue, established
}

// overflows is how often an accept queue of this network namespace was full:
// ListenOverflows in /proc/net/netstat, proc_net(5).
func overflows(r *Run) int {
	self, err := procfs.Self()
	r.Check(err)
	all, err := self.Netstat()
	r.Check(err)
	if all.ListenOverflows == nil {
		r.Lacks("the kernel has no counter ListenOverflows")
	}
	return int(*all.ListenOverflows)
}

// unread is how many bytes lie in the receive queues of a port's connections.
func unread(port uint16) (bytes int) {
	all, _ := proc.Sockets(os.Getpid(), port)
	for _, s := range all {
		if s.State != proc.Listen {
			bytes += s.Unread
		}
	}
	return bytes
}

// timer is how long a connection's timer will still run, such as that of
// TIME-WAIT: the column tm->when of /proc/net/tcp, proc_net(5).
func timer(r *Run, s proc.Socket) time.Duration {
	text, err := os.ReadFile("/proc/self/net/tcp")
	r.Check(err)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		var port, other, kind, ticks int
		if len(fields) < 6 {
			continue
		}
		fmt.Sscanf(fields[1][strings.IndexByte(fields[1], ':')+1:], "%x", &port)
		fmt.Sscanf(fields[2][strings.IndexByte(fields[2], ':')+1:], "%x", &other)
		if port == int(s.Local.Port()) && other == int(s.Remote.Port()) {
			fmt.Sscanf(fields[5], "%x:%x", &kind, &ticks)
			return time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return 0
}
