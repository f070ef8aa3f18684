// Package guests has what a server of any model needs to know about its clients:
// who is here, when somebody leaves, which clients a line of the operator is for,
// and who missed it.
package guests

import (
	"sync"

	"socketlab/models/sys"
)

// A List is who is here. Any number of threads may use it.
type List struct {
	mu      sync.Mutex    // guards what follows
	here    map[int]guest // by the client's number
	left    bool          // one has left since SomeoneLeaves was last asked
	leaving sync.Cond     // tells of that
}

type guest struct {
	tell        Tell
	descriptors []int
}

// NewList is a list with nobody on it.
func NewList() *List {
	l := &List{here: map[int]guest{}}
	l.leaving.L = &l.mu
	return l
}

// Come puts client number id on the list. tell passes the operator's lines on to
// it; the descriptors are its own.
func (l *List) Come(id int, tell Tell, descriptors ...int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.here[id] = guest{tell, descriptors}
}

// Leave takes a client off the list, and closes its descriptors. Whoever waits for
// room finds it. Nobody calls the client's Tell any more.
func (l *List) Leave(id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fd := range l.here[id].descriptors {
		sys.Close(fd)
	}
	delete(l.here, id)
	l.left = true
	l.leaving.Signal()
}

// Count is how many are here.
func (l *List) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.here)
}

// SomeoneLeaves sleeps until a client has left since it was last asked. It is
// false if nobody is there to leave.
func (l *List) SomeoneLeaves() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.left {
		if len(l.here) == 0 {
			return false
		}
		l.leaving.Wait()
	}
	l.left = false
	return true
}

// AllLeave sleeps until nobody is here.
func (l *List) AllLeave() {
	for l.SomeoneLeaves() {
	}
}

// all locks the list while it is walked: a client whose Tell is called is here.
func (l *List) all(yield func(int, Tell) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, g := range l.here {
		if !yield(id, g.tell) {
			return
		}
	}
}
