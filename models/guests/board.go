package guests

import "sync/atomic"

// A Board says who is here, for a server whose processes share only memory:
// sys.Share. Each process has a place on it, and serves one client at a time.
// The zero Board has nobody on it.
type Board struct {
	served atomic.Int32     // how many clients have come so far
	client [64]atomic.Int32 // the number of the one in each place; 0: nobody
}

// Come puts the next client in a place, and gives it its number.
func (b *Board) Come(place int) (id int) {
	n := b.served.Add(1)
	b.client[place].Store(n)
	return int(n)
}

// Leave empties a place.
func (b *Board) Leave(place int) { b.client[place].Store(0) }

// Relay passes on what the operator types, through the pipe of each place. It does
// the same as the Relay of a List.
func (b *Board) Relay(keyboard, screen int, pipes []Pipe) {
	start(keyboard, screen, func(yield func(int, Tell) bool) {
		for place, pipe := range pipes {
			id := int(b.client[place].Load())
			if id > 0 && !yield(id, pipe.Tell) {
				return
			}
		}
	})
}
