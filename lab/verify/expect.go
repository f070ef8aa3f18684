package verify

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/report"
	"socketlab/lab/text"
)

// Expect receives exactly these bytes next.
func (c *Client) Expect(want []byte) {
	buf := make([]byte, min(len(want), 64<<10))
	for got := 0; got < len(want); {
		n, err := c.read(buf[:min(len(buf), len(want)-got)])
		if p := buf[:n]; !bytes.Equal(p, want[got:got+n]) {
			c.differ(want, got, p)
		}
		got += n
		c.right += n
		if err != nil {
			c.t.Tell("%s received %s, then %s", c.name, text.Count(got, "byte"), c.ending(err))
			c.broken(quantity(want), text.Count(got, "byte"), err, want, got)
		}
	}
	c.t.Tell("%s received %s", c.name, quantity(want))
}

// read waits with patience. A large answer may take long, as long as it keeps
// coming.
func (c *Client) read(p []byte) (n int, err error) {
	switch {
	case c.t.tls != nil, c.t.witness != nil: // what has come may be in the program; the wait is to be seen
		c.conn.SetReadDeadline(time.Now().Add(c.t.Wait))
	case !c.await():
		c.conn.SetReadDeadline(time.Now()) // the call is to be seen
	default:
		c.conn.SetReadDeadline(time.Now().Add(c.t.Wait))
	}
	return c.conn.Read(p)
}

// ExpectString is Expect for text.
func (c *Client) ExpectString(want string) { c.Expect([]byte(want)) }

// Echo sends bytes and receives them back.
func (c *Client) Echo(p []byte) {
	c.Send(p)
	c.Expect(p)
}

// EchoBytes sends bytes one by one, each when the one before has come back.
func (c *Client) EchoBytes(p []byte) {
	c.t.Tell("%s sends %s byte by byte, each when the one before has come back", c.name, quantity(p))
	for b := range slices.Chunk(p, 1) {
		c.enqueue(b)
		c.expectQuietly(b)
	}
}

// ExpectFIN receives the end of the conversation, and nothing before it.
func (c *Client) ExpectFIN() {
	extra := make([]byte, 64)
	n, err := c.read(extra)
	if n > 0 {
		c.t.Tell("%s received %s too many", c.name, quantity(extra[:n]))
		v := verdict{
			status:   report.Fail,
			client:   c.name,
			expected: "FIN, and nothing more",
			actual:   quantity(extra[:n]) + " too many",
			diff:     difference(nil, 0, extra[:n]),
			facts:    facts{symptom: tooMany, got: extra[:n]},
		}
		c.t.trace(c, &v.facts)
		panic(v)
	}
	c.t.Tell("%s received %s", c.name, c.ending(err))
	switch {
	case isTimeout(err):
		c.failAs(lingers, "FIN", c.ending(err))
	case err != io.EOF:
		c.failAs(reset, "FIN", c.ending(err))
	}
}

// ExpectNothing looks whether something has come already that should not have.
func (c *Client) ExpectNothing(expected string) {
	c.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	p := make([]byte, 64)
	n, err := c.conn.Read(p)
	switch {
	case n > 0:
		c.fail(expected, c.name+" received "+quantity(p[:n]))
	case !isTimeout(err):
		c.fail(expected, c.name+" received "+c.ending(err))
	}
}

// Arrives waits for a while, and says whether something has come by then. It
// takes none of it.
func (c *Client) Arrives(patience time.Duration) bool {
	raw, err := c.conn.SyscallConn()
	if err != nil {
		c.t.Cannot("look at a connection", err)
	}
	c.conn.SetReadDeadline(time.Now().Add(patience))
	if s, ok := c.conn.(*secured); ok {
		if err := s.await(); err != nil {
			return !isTimeout(err) // the handshake has failed, or is not over
		}
	}
	return raw.Read(readable) == nil
}

// readable reports whether a read need not wait. It does not try: that would
// take away the error of a connection that was reset.
func readable(fd uintptr) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n > 0 && err == nil
}

// differ ends the check at the first byte that is not as it should be.
func (c *Client) differ(want []byte, at int, got []byte) {
	i := 0
	for got[i] == want[at+i] {
		i++
	}
	c.right += i
	c.t.Tell("%s received a wrong byte after %s", c.name, text.Count(at+i, "byte"))
	v := verdict{
		status:   report.Fail,
		client:   c.name,
		expected: quantity(want),
		actual:   fmt.Sprintf("a difference at byte %s", text.Number(at+i+1)),
		diff:     difference(want[at:], i, got),
		facts:    facts{symptom: differs, at: at + i, of: len(want), want: want[at+i:], got: got[i:], before: want[:at+i]},
	}
	c.t.trace(c, &v.facts)
	panic(v)
}

// fail ends the check because of what happened to this client.
func (c *Client) fail(expected, actual string) { c.failAs(0, expected, actual) }

func (c *Client) failAs(s symptom, expected, actual string) {
	f := facts{symptom: s, mark: "end", sure: c.sure}
	if s == lingers {
		f.unread = c.atServer().Unread
	}
	panic(verdict{status: report.Fail, client: c.name, expected: expected, actual: actual, facts: f})
}

// broken ends the check because the conversation has come to a halt: of what was
// wanted so much was got.
func (c *Client) broken(expected, actual string, err error, want []byte, got int) {
	v := verdict{status: report.Fail, client: c.name, expected: expected}
	v.facts = facts{at: got, of: len(want), want: want[got:], before: want[:got]}
	v.actual = fmt.Sprintf("%s, then %s", actual, c.ending(err))
	switch {
	case err == io.EOF:
		v.symptom = hungUp
	case isReset(err):
		v.symptom = reset
	case isTimeout(err):
		v.symptom, v.sure = silent, c.sure
		v.unread = c.atServer().Unread
		if c.unaccepted() {
			v.actual += ": the server has not accepted " + c.name
			v.symptom = unaccepted
		}
	}
	panic(v)
}

// ending says in the words of the wire how reading ended.
func (c *Client) ending(err error) string {
	switch {
	case err == io.EOF:
		return "FIN"
	case isReset(err):
		return "RST"
	case errors.Is(err, net.ErrClosed):
		return "the end of the check"
	case isTimeout(err):
		return "nothing for " + cmp.Or(c.waited, c.t.Wait.String())
	}
	return err.Error()
}

// expectQuietly is Expect without a line in the story.
func (c *Client) expectQuietly(want []byte) {
	story := c.t.story
	c.Expect(want)
	c.t.story = story
}

// expectWholeLines reads to the end what the server kept for a client that did
// not read: lines may be missing, but none of them is torn or out of order.
func (c *Client) expectWholeLines(fill string) {
	c.HalfClose()
	c.conn.SetReadDeadline(time.Now().Add(c.t.Wait))
	all, err := io.ReadAll(c.conn)
	if err != nil {
		c.broken("all that is owed, then FIN", text.Count(len(all), "byte"), err, nil, 0)
	}
	last, lines := -1, 0
	for line := range strings.Lines(string(all)) {
		var number int
		if _, err := fmt.Sscan(line, &number); err != nil || number <= last || line != fmt.Sprintf("%d %s\n", number, fill) {
			c.fail("whole lines in order", fmt.Sprintf("after line %d came %.40q", last, line))
		}
		last = number
		lines++
	}
	c.t.Tell("%s then read %s whole lines", c.name, text.Number(lines))
}

// errors of sockets, in the words of the wire

func isReset(err error) bool   { return errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) }
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
