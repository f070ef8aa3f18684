package session

import (
	"bytes"
	"fmt"
)

// reporter is what *testing.T and *rapid.T have in common.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

// A page drives a session as the models do: it reads only while WantRead, into
// one buffer that is lent to Feed and overwritten as soon as Sent has been
// called, and sends what the kernel happens to take.
type page struct {
	t reporter
	Session
	buf   [BufferSize]byte
	lent  int    // how much of buf the session may refer to
	sent  []byte // what the client has got
	heard []byte // what is on the operator's screen
}

func newPage(t reporter, s Service, id int) *page {
	p := &page{t: t, Session: s.New(id)}
	p.check("New")
	return p
}

// read lets one read bring chunk, of which the kernel takes up to room bytes
// of the answer at once. It returns what was not read, because the session
// wants no more.
func (p *page) read(chunk []byte, room int) (rest []byte) {
	if len(chunk) == 0 || !p.WantRead() {
		return chunk
	}
	p.lent = copy(p.buf[:], chunk)
	p.Feed(p.buf[:p.lent])
	p.check("Feed")
	p.write(room)
	return chunk[p.lent:]
}

// write lets the kernel take up to room bytes of what is pending.
func (p *page) write(room int) {
	if pending := p.Pending(); len(pending) > 0 {
		n := min(room, len(pending))
		p.sent = append(p.sent, pending[:n]...)
		p.Sent(n)
		p.check("Sent")
	}
	clear(p.buf[:p.lent]) // the buffer is another client's now
	p.show()
}

func (p *page) eof() {
	p.FeedEOF()
	p.check("FeedEOF")
	p.show()
}

func (p *page) say(line string) {
	p.Say([]byte(line))
	p.check("Say")
	p.show()
}

func (p *page) show() {
	p.heard = append(p.heard, p.Heard()...)
	p.check("Heard")
	if again := p.Heard(); len(again) > 0 {
		p.t.Fatalf("Heard handed out %q twice", again)
	}
}

// finish ends the client's side and takes everything that is still owed.
func (p *page) finish() {
	p.t.Helper()
	p.eof()
	for !p.Done() {
		before := len(p.sent)
		if p.write(BufferSize); len(p.sent) == before {
			p.t.Fatalf("after FeedEOF nothing is pending, and yet it is not Done")
		}
	}
}

// check holds the session to its invariant, and to its bounds.
func (p *page) check(after string) {
	p.t.Helper()
	pending := len(p.Pending())
	if p.Done() != (!p.WantRead() && pending == 0) {
		p.t.Fatalf("after %s: Done is %v, WantRead %v, and %d bytes are pending",
			after, p.Done(), p.WantRead(), pending)
	}
	if pending > HighWater+BufferSize {
		p.t.Fatalf("after %s: %d bytes are pending, more than HighWater and one read",
			after, pending)
	}
	if held := footprint(p.Session); held > 2*(HighWater+BufferSize) { // append doubles
		p.t.Fatalf("after %s: the session holds %d bytes", after, held)
	}
}

// footprint is how many bytes of buffer a session holds for itself, apart from
// what it hands to the screen.
func footprint(s Session) int {
	switch s := s.(type) {
	case *echo:
		return cap(s.kept)
	case *talk:
		return cap(s.out) + cap(s.lines.part)
	case *busy:
		return footprint(s.Session)
	}
	panic(fmt.Sprintf("say how to measure a %T", s))
}

// splits are the places at which n bytes are cut in two: everywhere, except that
// of a long input only the beginning, the end and the bounds matter.
func splits(n int) (at []int) {
	for i := range n + 1 {
		if i < 64 || i > n-64 || i%(MaxLine-1) < 3 || i%(MaxLine-1) > MaxLine-4 {
			at = append(at, i)
		}
	}
	return at
}

// many is input so many times over, so that the fuzzer can think small.
func many(input []byte, times uint16) []byte {
	const most = 4 * HighWater
	if len(input)*int(times) > most {
		times = uint16(max(1, most/len(input)))
	}
	return bytes.Repeat(input, int(times))
}

// schedule decides from random bytes how much each read brings and how much
// each write takes. The zero value reads and writes as much as possible.
type schedule struct{ bytes []byte }

// sizes are what the kernel may do: nothing, a little, or around the bounds.
var sizes = []int{
	BufferSize, 0, 1, 2, 3, 5, 64, MaxLine - 1, MaxLine, MaxLine + 1,
	HighWater - 1, HighWater, HighWater + 1,
}

func (s *schedule) next() int {
	if len(s.bytes) == 0 {
		return BufferSize
	}
	b := s.bytes[0]
	s.bytes = s.bytes[1:]
	return sizes[int(b)%len(sizes)]
}

// run sends input through the session by the schedule, until all is read or the
// session ends.
func (p *page) run(input, steps []byte) {
	p.t.Helper()
	rounds := len(steps) + 3*len(input) + 10
	for s := (schedule{steps}); len(input) > 0 && !p.Done(); rounds-- {
		if rounds == 0 {
			p.t.Fatalf("it neither reads nor ends: %d bytes are unread, %d are sent", len(input), len(p.sent))
		}
		n := min(s.next(), len(input))
		unread := p.read(input[:n], s.next())
		input = input[n-len(unread):]
		if !p.WantRead() {
			p.write(max(1, s.next())) // the client reads at last
		}
	}
	p.finish()
}
