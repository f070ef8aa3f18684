package trace

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

// sampling is the callSource of last resort: it looks in /proc again and again in
// which call each of the server's threads sleeps. A call that does not sleep is
// never seen, what a call returned is not known, and a sleep shorter than the
// pause between two looks may be missed.
type sampling struct {
	server  *subject.Subject
	stop    chan struct{}
	stopped sync.WaitGroup

	// What follows is the sampling goroutine's until it has stopped.
	account
	pids    map[int]*sampled // the main threads of the processes
	threads map[int]*sampled // by tid
	names   map[string]int   // how many have a name with this word
	peers   map[string]netip.AddrPort
	denied  error // we may not look
}

// A sampled thread is one of the server's.
type sampled struct {
	id       string // "": it has no column
	pid      int
	parent   *sampled // nil: not known
	born     time.Time
	syscall  proc.Syscall
	switches int64       // how often it has slept so far
	call     *systemCall // nil: it is in none
	zombie   bool        // it has ended, and was not collected
}

const sampleEvery = 500 * time.Microsecond

func sampleProc() callSource {
	return &sampling{
		stop: make(chan struct{}), pids: map[int]*sampled{}, threads: map[int]*sampled{}, names: map[string]int{},
	}
}

func (s *sampling) Prepare(*subject.Spec) error { return nil }

func (s *sampling) Attach(server *subject.Subject) error {
	s.server = server
	s.pids[server.Pid()] = nil
	s.look()
	if s.denied != nil {
		return s.denied
	}
	s.stopped.Go(s.sample)
	return nil
}

func (s *sampling) log() *account { return &s.account }

func (s *sampling) catchUp() {}
func (s *sampling) finish()  {}

func (s *sampling) Close() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	s.stopped.Wait()
}

func (s *sampling) sample() {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.look()
		case <-s.stop:
			return
		}
	}
}

// look looks at each thread once, and for new ones.
func (s *sampling) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, seen := time.Now().Round(0), map[int]bool{} // by the clock of the packets
	for pid, parent := range maps.Clone(s.pids) {
		threads, err := proc.Threads(pid)
		if err != nil {
			delete(s.pids, pid)
		}
		for _, thread := range threads {
			t := s.threads[thread.Tid]
			if t == nil {
				t = &sampled{pid: pid, parent: parent, born: now, syscall: proc.Syscall{Number: -1}}
				s.threads[thread.Tid] = t
			}
			alone := len(threads) == 1 // the first thread of a process may end before the others
			zombie := thread.State() == 'Z'
			seen[thread.Tid] = !zombie || alone
			if zombie && alone && !t.zombie {
				t.zombie = true
				s.ends(t, now)
			}
			s.lookAt(t, thread, now)
		}
	}
	for tid, t := range s.threads {
		if seen[tid] {
			continue
		}
		if !t.zombie {
			s.ends(t, now)
		}
		if t.id != "" && t.pid == tid && t.parent != nil {
			s.life(now, diagram.Life{Actor: t.id, Event: "reaped", By: t.parent.id})
		}
		delete(s.threads, tid)
	}
}

// lookAt notices when a thread falls asleep, when it has woken since, and whom
// it has started: proc_tid_children(5).
func (s *sampling) lookAt(t *sampled, thread proc.Thread, now time.Time) {
	for _, pid := range thread.Children() {
		s.pids[pid] = t
	}
	call, err := thread.Syscall()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		s.denied = fmt.Errorf("calls cannot be sampled: %w; run lab as the server's user, or as root", err)
	}
	switches, _ := thread.Switches()
	if call == t.syscall && switches == t.switches {
		return
	}
	s.returned(t, now)
	t.syscall, t.switches = call, switches
	name, fd, ok := waitsIn(call)
	if !ok {
		return
	}
	s.enters(t, thread.Tid)
	args, client := "", netip.AddrPort{}
	if fd >= 0 {
		args, client = strconv.Itoa(fd), s.peer(t.pid, fd)
	}
	t.call = s.begins(&systemCall{
		Call:  diagram.Call{Actor: t.id, Name: name, Args: args, Slept: true},
		begin: now, asleep: now, client: client, tid: thread.Tid,
	})
}

func (s *sampling) ends(t *sampled, now time.Time) {
	s.returned(t, now)
	if t.id != "" {
		s.life(now, diagram.Life{Actor: t.id, Event: "ends"})
	}
}

func (s *sampling) returned(t *sampled, now time.Time) {
	if t.call != nil {
		s.returns(t.call, now.Add(-time.Nanosecond), "?", false)
		t.call = nil
	}
}

// enters gives a thread a column when it first waits for somebody.
func (s *sampling) enters(t *sampled, tid int) {
	switch {
	case t.id != "":
		return
	case len(s.actors) == 0:
		t.id = "server"
		s.account.enters(t.id, s.server.Spec.Name)
		return
	}
	word := "thread"
	if t.pid == tid {
		word = "child"
	}
	s.names[word]++
	t.id = fmt.Sprint(word, " ", s.names[word])
	s.account.enters(t.id, t.id)
	begins := diagram.Life{Actor: t.id, Event: "begins"}
	if t.parent != nil {
		begins.By = t.parent.id
	}
	s.life(t.born, begins)
}

// peer is the other end of a descriptor, by way of the number of its socket.
func (s *sampling) peer(pid, fd int) netip.AddrPort {
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	if err != nil || !strings.HasPrefix(link, "socket:") {
		return netip.AddrPort{}
	}
	if peer, known := s.peers[link]; known {
		return peer
	}
	s.peers = map[string]netip.AddrPort{}
	sockets, _ := s.server.Sockets()
	for _, socket := range sockets {
		if socket.State != proc.Listen {
			s.peers[fmt.Sprintf("socket:[%d]", socket.Inode)] = socket.Remote
		}
	}
	return s.peers[link]
}

// waitsIn reports whether a server waits for somebody in a call, and at which
// descriptor: -1 for a call that waits at many.
func waitsIn(call proc.Syscall) (name string, fd int, ok bool) {
	name = waitingCalls[call.Number]
	switch waitFamily(name) {
	case "", "wait": // for its children
		return "", -1, false
	case "select", "poll":
		return name, -1, true
	}
	return name, int(int32(call.Args[0])), true
}
