package trace

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
)

// An account is what a source tells of the server, with its own names.
type account struct {
	actors  []diagram.Actor
	calls   []serverCall
	lives   []Happening
	missing []string
}

// A serverCall is a system call of the server's.
type serverCall struct {
	diagram.Call
	begin, end time.Time      // end is zero until it returns
	client     netip.AddrPort // whose connection it is about; invalid: nobody's
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
	a.endsBeforeReaped()
	told := Calls{Actors: a.actors, Missing: a.missing, Events: slices.Clone(a.lives)} // who begins, calls then
	for _, c := range a.calls {
		if c.end.IsZero() {
			c.end, c.Slept = time.Now(), mayWait(c.Name)
		}
		c.Conn = number(c.client)
		c.Took = c.end.Sub(c.begin)
		told.Events = append(told.Events, Happening{c.begin, diagram.Event{Call: &c.Call}})
	}
	slices.SortStableFunc(told.Events, func(x, y Happening) int { return x.At.Compare(y.At) })
	return told
}

// endsBeforeReaped corrects the time of an end that was noticed late: whoever
// was collected had ended before.
func (a *account) endsBeforeReaped() {
	reaped := map[string]time.Time{}
	for _, h := range a.lives {
		if h.Life.Event == "reaped" {
			reaped[h.Life.Actor] = h.At
		}
	}
	for i, h := range a.lives {
		if at, known := reaped[h.Life.Actor]; known && h.Life.Event == "ends" && !h.At.Before(at) {
			a.lives[i].At = at.Add(-time.Nanosecond)
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
	case slices.Contains(makeNumbers, name):
		return strconv.Itoa(n)
	case n == 0:
		return "ok"
	}
	return strconv.Itoa(n)
}

var (
	moveBytes = []string{
		"read", "readv", "recv", "recvfrom", "recvmsg",
		"write", "writev", "send", "sendto", "sendmsg", "sendfile",
	}
	makeNumbers = []string{"accept", "accept4", "socket", "select", "pselect6", "poll", "ppoll", "epoll_wait", "epoll_pwait"}
)
