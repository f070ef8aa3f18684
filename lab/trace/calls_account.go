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
)

// An account is what a source tells of the server, with its own names.
type account struct {
	mu      sync.Mutex // guards what follows while it grows
	actors  []diagram.Actor
	calls   []serverCall
	lives   []Happening
	reapers map[string]int // by who was reaped: the call in calls
	missing []string
}

// A serverCall is a system call of the server's.
type serverCall struct {
	diagram.Call
	begin, end time.Time      // end is zero until it returns
	client     netip.AddrPort // whose connection it is about; invalid: nobody's
	hidden     bool           // it is not told
}

// enters has an actor appear, if it is new.
func (a *account) enters(id, name string) {
	known := func(actor diagram.Actor) bool { return actor.ID == id }
	if !slices.ContainsFunc(a.actors, known) {
		a.actors = append(a.actors, diagram.Actor{ID: id, Name: name, Kind: diagram.ServerThread})
	}
}

func (a *account) life(at time.Time, l diagram.Life) {
	a.lives = append(a.lives, Happening{at, diagram.Event{Life: &l}})
}

// tell is the account when the scene is over. A call that has not returned lasts
// until now.
func (a *account) tell(number func(client netip.AddrPort) int) Calls {
	a.beginsBeforeCalls()
	a.endsBeforeReaped()
	told := Calls{Actors: a.actors, Missing: a.missing, Events: slices.Clone(a.lives)} // who begins, calls then
	for _, c := range a.calls {
		if c.hidden {
			continue
		}
		if c.end.IsZero() {
			c.end, c.Slept = time.Now().Round(0), mayWait(c.Name)
		}
		c.Conn = number(c.client)
		c.Took = c.end.Sub(c.begin)
		told.Events = append(told.Events, Happening{c.begin, diagram.Event{Call: &c.Call}})
	}
	slices.SortStableFunc(told.Events, func(x, y Happening) int { return x.At.Compare(y.At) })
	return told
}

// reaped takes down that a call has collected somebody.
func (a *account) reaped(call int, l diagram.Life) {
	if a.reapers == nil {
		a.reapers = map[string]int{}
	}
	a.reapers[l.Actor] = call
	l.Event = "reaped"
	a.life(a.calls[call].end, l)
}

// beginsBeforeCalls corrects the time of a beginning that was noticed late: who
// makes a call was there before.
func (a *account) beginsBeforeCalls() {
	first := map[string]time.Time{}
	for _, c := range a.calls {
		if first[c.Actor].IsZero() {
			first[c.Actor] = c.begin
		}
	}
	for i, h := range a.lives {
		at := first[h.Life.Actor]
		if h.Life.Event == "begins" && !at.IsZero() && !h.At.Before(at) {
			a.lives[i].At = at.Add(-time.Nanosecond)
		}
	}
}

// endsBeforeReaped corrects the time of an end that was noticed late: whoever
// was collected had ended before, and before the call if that did not wait.
func (a *account) endsBeforeReaped() {
	for i, h := range a.lives {
		reaper, known := a.reapers[h.Life.Actor]
		if !known || h.Life.Event != "ends" {
			continue
		}
		latest := a.calls[reaper].begin
		if a.calls[reaper].Slept {
			latest = a.calls[reaper].end
		}
		if !h.At.Before(latest) {
			a.lives[i].At = latest.Add(-time.Nanosecond)
		}
	}
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
