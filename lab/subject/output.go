package subject

import (
	"bytes"
	"fmt"
	"sync"
)

// output keeps what a server printed: the beginning and the end of it, up to
// keep bytes and up to twice as much.
type output struct {
	keep int

	mu      sync.Mutex
	head    []byte
	tail    []byte
	lost    int           // bytes between head and tail
	changed chan struct{} // closed by the next Write; nil: nobody waits
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	room := min(len(p), o.keep-len(o.head))
	o.head = append(o.head, p[:room]...)
	o.tail = append(o.tail, p[room:]...)
	if over := len(o.tail) - o.keep; over > o.keep { // not at every byte
		o.lost += over
		o.tail = append(o.tail[:0], o.tail[over:]...)
	}
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return len(p), nil
}

// more is closed when more was written.
func (o *output) more() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.changed
}

// Bytes is what was kept, with a note where something is left out.
func (o *output) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := bytes.Clone(o.head)
	if o.lost > 0 {
		text = fmt.Appendf(text, "\n... %d bytes left out ...\n", o.lost)
	}
	return append(text, o.tail...)
}
