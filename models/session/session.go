// Package session holds what is said on one connection, and nothing else.
//
// A session is sans-IO: bytes go in, bytes come out, and it never waits. It
// knows nothing of sockets, so that the same conversation can be served by
// every model. All calls that can wait are on the model's own page. (The one
// deliberate exception is in work.go.)
package session

// A Session is the conversation with one client.
//
// Every model drives it with the same few steps: while WantRead, read and
// Feed; while something is Pending, write it and say how much was Sent; close
// when Done. In between, and always,
//
//	Done() == !WantRead() && len(Pending()) == 0
//
// so a model never waits for nothing, and never spins.
type Session interface {
	// Feed takes what the client sent. It never fails. The bytes are only
	// lent: the session may refer to them until the next call of Sent, which
	// must come before the caller uses its buffer again.
	Feed(p []byte)

	// FeedEOF tells the session that the client has finished sending.
	FeedEOF()

	// Say takes one line of the operator, "hello\n" or "@3 hello\n". mine is
	// false if the line is only for other clients.
	Say(line []byte) (mine bool)

	// Pending is what is to be sent to the client, valid until the next call.
	Pending() []byte

	// Heard is text for the operator's screen. It is returned only once, and is
	// valid until the next call.
	Heard() []byte

	// Sent reports that the kernel took the first n bytes of Pending; n may
	// be 0. The session copies the bytes that it did not take.
	Sent(n int)

	// WantRead is false once the client has finished, and while more than
	// HighWater bytes are pending: then the client does not read, and the server
	// reads no more from it.
	WantRead() bool

	// Done reports that nothing is left to read or to send.
	Done() bool
}

// Abandon ends the session of a client that is gone: nothing more is sent to it.
func Abandon(s Session) {
	s.Sent(len(s.Pending()))
	s.FeedEOF()
}

// HighWater is the number of pending bytes above which a session stops wanting
// input. Its memory is bounded by HighWater and one read more.
const HighWater = 64 << 10

// BufferSize is the size of the buffer that models read into: one for each
// client where a client has a thread of its own, one for all in an event loop.
const BufferSize = 64 << 10
