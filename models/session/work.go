package session

import "time"

// busy is the one session that waits, and it does so on purpose: it shows what
// a slow handler does to each model. For every message, that is for all that
// one read brought, it burns CPU or sleeps before the conversation goes on.
type busy struct {
	Session
	work, sleep time.Duration
}

func (b *busy) Feed(p []byte) {
	for start := time.Now(); time.Since(start) < b.work; {
	}
	if b.sleep > 0 {
		time.Sleep(b.sleep) // this goroutine, and in an event loop all clients
	}
	b.Session.Feed(p)
}
