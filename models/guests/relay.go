package guests

import (
	"iter"
	"slices"
	"time"

	"socketlab/models/session"
	"socketlab/models/sys"
)

// A Tell passes a line of the operator's on to one client. It never waits: it
// is false, and nothing has happened, if there is no room for the line now.
type Tell func(line []byte) bool

// Patience is how long the operator waits for a client that has no room for a
// line. A client that reads makes room in that time. A client that does not read
// misses the line, and the operator does not wait for it again until it has taken
// one.
const Patience = time.Second

// Relay starts a goroutine that passes on what the operator types to those on
// the list, until the operator's input ends. -1: there is no operator.
func (l *List) Relay(keyboard, screen int) { start(keyboard, screen, l.all) }

func start(keyboard, screen int, here iter.Seq2[int, Tell]) {
	if keyboard >= 0 {
		go relay(keyboard, screen, here)
	}
}

// relay is the goroutine. A trace shows it by this name.
func relay(keyboard, screen int, here iter.Seq2[int, Tell]) {
	Pass(keyboard, screen, here)
}

// Pass passes on what the operator types, until their input ends. here yields the
// clients; it may hold a lock meanwhile.
func Pass(keyboard, screen int, here iter.Seq2[int, Tell]) {
	o := &operator{here: here, screen: screen, behind: map[int]bool{}}
	for line := range Typed(keyboard) { // sleeps until it is typed
		o.pass(line)
	}
}

type operator struct {
	here   iter.Seq2[int, Tell]
	screen int
	behind map[int]bool // who has missed a line, and has taken none since
}

// pass sends a line to the clients that it is for. While it waits for a client that
// has no room, it reads no more from the operator. So a long text that is pasted
// goes no faster than the clients read.
func (o *operator) pass(line []byte) {
	heard := false
	behind := o.behind
	o.behind = map[int]bool{} // without those who have left
	full := o.offer(line, func(id int) bool {
		if behind[id] {
			o.behind[id] = true
		}
		_, mine := session.Addressed(line, id)
		heard = heard || mine
		return mine
	})
	for start := time.Now(); o.waitsFor(full) && time.Since(start) < Patience; {
		time.Sleep(time.Millisecond)
		full = o.offer(line, func(id int) bool { return slices.Contains(full, id) })
	}
	for _, id := range full {
		o.behind[id] = true
		sys.Show(o.screen, session.Missed(id))
	}
	sys.Show(o.screen, session.Remark(line, heard))
}

// offer offers the line to some clients, and returns those that have no room.
func (o *operator) offer(line []byte, to func(id int) bool) (full []int) {
	for id, tell := range o.here {
		switch {
		case !to(id):
		case tell(line):
			delete(o.behind, id)
		default:
			full = append(full, id)
		}
	}
	return full
}

// waitsFor reports whether one of them may still read.
func (o *operator) waitsFor(full []int) bool {
	return slices.ContainsFunc(full, func(id int) bool { return !o.behind[id] })
}
