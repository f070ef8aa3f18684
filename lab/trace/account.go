package trace

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/subject"
)

// A callSource tells which system calls the server's threads make. Its methods
// are called in this order, each once.
type callSource interface {
	// Prepare may change how the server is started: its command, its
	// environment.
	Prepare(*subject.Spec) error

	// Attach is told that the server listens.
	Attach(*subject.Subject) error

	// log is where the source puts down what it sees.
	log() *account

	// catchUp puts down what has happened until now, and finish too, for the
	// last time.
	catchUp()
	finish()

	// Close gives back what it holds, whatever happened.
	Close()
}

// sources are the kinds of callSource there are, by their names.
var sources = map[string]func() callSource{"probes": watchProbes, "strace": watchStrace, "proc": sampleProc}

// An account is what was seen of some threads, and was not told yet.
type account struct {
	mu       sync.Mutex // guards what follows
	actors   []diagram.Actor
	known    map[string]bool // actors, by id
	calls    []*systemCall   // those whose return was not told, in the order in which they were noticed
	lives    []*life
	reapers  map[string]*systemCall // by the actor that was reaped
	count    int64                  // of calls
	lost     int                    // calls for which there was no room
	unseen   map[int]*systemCall    // by thread: calls that may sleep, and were not seen asleep
	sleepers chan struct{}          // tells watchSleepers of a new one; nil: nobody looks
}

// room is how many calls are kept before they are told. A recording keeps all
// until its end.
const room = 1 << 20

// A systemCall is a system call, as a source tells of it.
type systemCall struct {
	diagram.Call
	begin, end time.Time      // end is zero until it returns
	asleep     time.Time      // when its thread was asleep in it; zero: it was not, as far as is known
	client     netip.AddrPort // whose connection it is about; invalid: nobody's
	tid        int            // the thread that makes it; 0: not known
	page       string         // where it stands in the source
	held       bool           // it is about to be made
	hidden     bool           // it is not told

	of      *client    // that makes it; nil: the server does
	data    []byte     // of a client's call: sent or received
	errno   unix.Errno // of a client's call
	guessed bool       // guess knows of its return

	id    int64
	told  Phase // how far
	since time.Duration
}

// A life is a beginning or an end of an actor.
type life struct {
	diagram.Life
	at   time.Time
	told bool
}

// enters has an actor appear, if it is new.
func (a *account) enters(id, name string) {
	if a.known == nil {
		a.known = map[string]bool{}
	}
	if !a.known[id] {
		a.known[id] = true
		a.actors = append(a.actors, diagram.Actor{ID: id, Name: name, Kind: diagram.ServerThread})
	}
}

// begins takes down that a call begins.
func (a *account) begins(c *systemCall) *systemCall {
	a.count++
	c.id = a.count
	if len(a.calls) >= room {
		a.lost++
		return c
	}
	a.calls = append(a.calls, c)
	if c.tid > 0 && c.end.IsZero() && a.sleepers != nil && waitFamily(c.Name) != "" {
		a.unseen[c.tid] = c
		select {
		case a.sleepers <- struct{}{}:
		default:
		}
	}
	return c
}

// returns takes down that it has returned. A thread that counts how often it
// gave up its processor says so with gaveUp.
func (a *account) returns(c *systemCall, at time.Time, result string, gaveUp bool) {
	c.end, c.Result = at, result
	if c.asleep.IsZero() && gaveUp && waitsForInput(c.Name) && result != "EAGAIN" {
		c.asleep = c.begin
	}
	c.Slept = !c.asleep.IsZero()
	if a.unseen[c.tid] == c {
		delete(a.unseen, c.tid)
	}
}

func (a *account) life(at time.Time, l diagram.Life) {
	a.lives = append(a.lives, &life{Life: l, at: at})
}

// reaped takes down that a call has collected somebody.
func (a *account) reaped(by *systemCall, l diagram.Life) {
	if a.reapers == nil {
		a.reapers = map[string]*systemCall{}
	}
	a.reapers[l.Actor] = by
	l.Event = "reaped"
	a.life(by.end, l)
}

// beginsBeforeCalls corrects the time of a beginning that was noticed late: an
// actor that makes a call was there before.
func (a *account) beginsBeforeCalls() {
	first := map[string]time.Time{}
	for _, c := range a.calls {
		if first[c.Actor].IsZero() {
			first[c.Actor] = c.begin
		}
	}
	for _, l := range a.lives {
		at := first[l.Actor]
		if l.Event == "begins" && !at.IsZero() && l.at.UnixNano() >= at.UnixNano() {
			l.at = at.Add(-time.Nanosecond)
		}
	}
}

// endsBeforeReaped corrects the time of an end that was noticed late: an actor
// that was collected had ended before, and before the call if that did not
// sleep.
func (a *account) endsBeforeReaped() {
	for _, l := range a.lives {
		reaper := a.reapers[l.Actor]
		if reaper == nil || l.Event != "ends" {
			continue
		}
		latest := reaper.begin
		if reaper.Slept {
			latest = reaper.end
		}
		if l.at.UnixNano() >= latest.UnixNano() {
			l.at = latest.Add(-time.Nanosecond)
		}
	}
}

// forget leaves out what was told to its end.
func (a *account) forget() {
	a.calls = slices.DeleteFunc(a.calls, func(c *systemCall) bool { return c.told == Returns || c.hidden && !c.end.IsZero() })
	a.lives = slices.DeleteFunc(a.lives, func(l *life) bool {
		if l.told && l.Event == "reaped" {
			delete(a.reapers, l.Actor)
		}
		return l.told
	})
}

// resultText is what a call returned, in the words of a diagram.
func resultText(name string, n int, errno unix.Errno) string {
	switch {
	case errno != 0:
		return unix.ErrnoName(errno)
	case slices.Contains(moveBytes, name):
		return bytesText(n)
	}
	return strconv.Itoa(n)
}

func receiving(name string) bool {
	return strings.HasPrefix(name, "re") && slices.Contains(moveBytes, name)
}

var moveBytes = []string{
	"read", "readv", "recv", "recvfrom", "recvmsg",
	"write", "writev", "send", "sendto", "sendmsg", "sendfile",
}

// isWait are the calls that wait for many descriptors.
func isWait(name string) bool {
	switch waitFamily(name) {
	case "select", "poll", "epoll", "ring":
		return true
	}
	return false
}
