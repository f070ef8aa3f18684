package session

// echo returns every byte, whatever it is: no banner, no framing.
//
// While the kernel takes all it is offered, nothing is copied and nothing is
// allocated: Pending is the caller's own read buffer. Only what the kernel
// left behind is kept, and a client that is owed nothing holds no buffer.
type echo struct {
	lent  []byte // fed and not yet Sent: still in the caller's buffer
	kept  []byte // what the kernel did not take
	ended bool   // the client has finished sending
}

func (e *echo) Feed(p []byte) {
	if len(e.kept) == 0 {
		e.lent = p
	} else {
		e.kept = append(e.kept, p...)
	}
}

func (e *echo) FeedEOF()        { e.ended = true }
func (e *echo) Say([]byte) bool { return true } // and is silent about it
func (e *echo) Heard() []byte   { return nil }

func (e *echo) Pending() []byte {
	if len(e.kept) > 0 {
		return e.kept
	}
	return e.lent
}

func (e *echo) Sent(n int) {
	if len(e.kept) == 0 {
		e.kept = append(e.kept, e.lent[n:]...)
	} else {
		e.kept = e.kept[n:]
	}
	e.lent = nil
	if len(e.kept) == 0 {
		e.kept = nil // a client that is owed nothing holds no buffer
	}
}

func (e *echo) WantRead() bool {
	return !e.ended && len(e.Pending()) <= HighWater
}

func (e *echo) Done() bool {
	return e.ended && len(e.Pending()) == 0
}
