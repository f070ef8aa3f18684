package verify

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/report"
)

// A Client is one connection to the server under observation. What is to be
// sent goes out on its own, in order, so that a client which reads late or
// never is as easy to write as one that takes turns.
type Client struct {
	t    *T
	name string // "client 1"
	conn *net.TCPConn

	mu      sync.Mutex // guards what follows
	changed *sync.Cond // tells of that
	queue   [][]byte   // to be sent, in segments; nil is FIN
	sent    int        // bytes that the kernel took
	failed  error      // why sending ended

}

// Dial connects one more client.
func (t *T) Dial() *Client { return t.dial(nil) }

// DialNarrow connects a client with a receive buffer as small as the kernel
// allows, so that the server's sending soon comes to a halt: tcp(7).
func (t *T) DialNarrow() *Client {
	return t.dial(func(_, _ string, conn syscall.RawConn) error {
		return conn.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
		})
	})
}

func (t *T) dial(control func(network, address string, c syscall.RawConn) error) *Client {
	dialer := net.Dialer{Timeout: t.Wait, Control: control}
	conn, err := dialer.DialContext(t.ctx, "tcp", t.Server.Addr().String())
	if err != nil {
		t.Fail("to be able to connect", err.Error())
	}
	c := &Client{t: t, conn: conn.(*net.TCPConn)}
	c.changed = sync.NewCond(&c.mu)
	t.mu.Lock()
	t.clients = append(t.clients, c)
	c.name = fmt.Sprintf("client %d", len(t.clients))
	t.mu.Unlock()
	t.Tell("%s connected from %s", c.name, conn.LocalAddr())
	go c.send()
	return c
}

// send is the only one that writes to the connection.
func (c *Client) send() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.failed == nil {
		if len(c.queue) == 0 {
			c.changed.Wait()
			continue
		}
		p := c.queue[0]
		c.mu.Unlock()
		var n int
		var err error
		if p == nil {
			err = c.conn.CloseWrite()
		} else {
			n, err = c.conn.Write(p)
		}
		c.mu.Lock()
		c.sent += n
		if c.failed == nil {
			c.failed = err
		}
		c.queue = c.queue[1:]
		c.changed.Broadcast()
	}
}

func (c *Client) enqueue(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, p)
	c.changed.Broadcast()
}

// Send sends bytes, without waiting until they have gone.
func (c *Client) Send(p []byte) {
	c.enqueue(p)
	c.t.Tell("%s sent %s", c.name, quantity(p))
}

// SendString is Send for text.
func (c *Client) SendString(s string) { c.Send([]byte(s)) }

// SendSegments sends each part as a segment of its own.
func (c *Client) SendSegments(parts ...[]byte) {
	for _, p := range parts {
		c.enqueue(p) // Go sets TCP_NODELAY, so each write is a segment
	}
	c.t.Tell("%s sent %s in %d segments", c.name, quantity(bytes.Join(parts, nil)), len(parts))
}

// HalfClose sends FIN after all that is still to be sent; reading goes on:
// shutdown(2) with SHUT_WR.
func (c *Client) HalfClose() {
	c.enqueue(nil)
	c.t.Tell("%s sent FIN (shutdown)", c.name)
}

// Flush waits until the kernel has taken everything.
func (c *Client) Flush() {
	deadline := time.AfterFunc(c.t.Wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.failed == nil {
			c.failed = fmt.Errorf("the server took nothing for %v", c.t.Wait)
		}
		c.changed.Broadcast()
	})
	defer deadline.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 && c.failed == nil {
		c.changed.Wait()
	}
	if c.failed != nil {
		c.fail(c.name+" to be able to send", c.failed.Error())
	}
}

// Pour sends bytes and waits until the kernel takes no more of them, because
// nobody reads: all of them, or until nothing has moved for a while. It returns
// how many went.
func (c *Client) Pour(p []byte) int {
	const still = 150 * time.Millisecond
	for piece := range slices.Chunk(p, 64<<10) {
		c.enqueue(piece)
	}
	last, since := -1, time.Now()
	for {
		c.mu.Lock()
		sent, left, failed := c.sent, len(c.queue), c.failed
		c.mu.Unlock()
		if failed != nil {
			c.fail(c.name+" to be able to send", failed.Error())
		}
		if sent != last {
			last, since = sent, time.Now()
		}
		if left == 0 || time.Since(since) > still {
			c.t.Tell("%s sent %s of %s without reading", c.name, thousands(sent), count(len(p)))
			return sent
		}
		c.t.pause(5 * time.Millisecond)
	}
}

// Close leaves: FIN, or RST if there is something unread.
func (c *Client) Close() {
	c.stop()
	c.conn.Close()
	c.t.Tell("%s closed", c.name)
}

// Reset leaves with RST, unread bytes or not: socket(7), SO_LINGER.
func (c *Client) Reset() {
	c.stop()
	c.conn.SetLinger(0)
	c.conn.Close()
	c.t.Tell("%s sent RST", c.name)
}

func (c *Client) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = net.ErrClosed
	}
	c.changed.Broadcast()
}

// Expect receives exactly these bytes next.
func (c *Client) Expect(want []byte) {
	c.conn.SetReadDeadline(time.Now().Add(c.t.Wait))
	buf := make([]byte, min(len(want), 64<<10))
	for got := 0; got < len(want); {
		n, err := c.conn.Read(buf[:min(len(buf), len(want)-got)])
		if p := buf[:n]; !bytes.Equal(p, want[got:got+n]) {
			c.differ(want, got, p)
		}
		got += n
		if err != nil {
			c.t.Tell("%s received %s, then %s", c.name, count(got), c.ending(err))
			c.fail(quantity(want), fmt.Sprintf("%s, then %s", count(got), c.ending(err)))
		}
		if n > 0 { // a large answer may take long, as long as it keeps coming
			c.conn.SetReadDeadline(time.Now().Add(c.t.Wait))
		}
	}
	c.t.Tell("%s received %s", c.name, quantity(want))
}

// ExpectString is Expect for text.
func (c *Client) ExpectString(want string) { c.Expect([]byte(want)) }

// Echo sends bytes and receives them back.
func (c *Client) Echo(p []byte) {
	c.Send(p)
	c.Expect(p)
}

// ExpectFIN receives the end of the conversation, and nothing before it.
func (c *Client) ExpectFIN() {
	c.conn.SetReadDeadline(time.Now().Add(c.t.Wait))
	extra := make([]byte, 64)
	n, err := c.conn.Read(extra)
	if n > 0 {
		c.t.Tell("%s received %s too many", c.name, quantity(extra[:n]))
		panic(verdict{
			status:   report.Fail,
			client:   c.name,
			expected: "FIN, and nothing more",
			actual:   quantity(extra[:n]) + " too many",
			diff:     difference(nil, 0, extra[:n]),
		})
	}
	c.t.Tell("%s received %s", c.name, c.ending(err))
	if err != io.EOF {
		c.fail("FIN", c.ending(err))
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
	return raw.Read(func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK)
		return err != unix.EAGAIN
	}) == nil
}

// differ ends the check at the first byte that is not as it should be.
func (c *Client) differ(want []byte, at int, got []byte) {
	i := 0
	for got[i] == want[at+i] {
		i++
	}
	c.t.Tell("%s received a wrong byte after %s", c.name, count(at+i))
	panic(verdict{
		status:   report.Fail,
		client:   c.name,
		expected: quantity(want),
		actual:   fmt.Sprintf("a difference at byte %s", thousands(at+i+1)),
		diff:     difference(want[at:], i, got),
	})
}

// fail ends the check because of what happened to this client.
func (c *Client) fail(expected, actual string) {
	panic(verdict{status: report.Fail, client: c.name, expected: expected, actual: actual})
}

// ending says in the words of the wire how reading ended.
func (c *Client) ending(err error) string {
	switch {
	case err == io.EOF:
		return "FIN"
	case isReset(err):
		return "RST"
	case isTimeout(err):
		return fmt.Sprintf("nothing for %v", c.t.Wait)
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
		c.fail("all that is owed, then FIN", fmt.Sprintf("%s, then %s", count(len(all)), c.ending(err)))
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
	c.t.Tell("%s then read %s whole lines", c.name, thousands(lines))
}

// Flood sends without a pause, and reads and compares what comes back, until it
// is stopped. Stopping waits until everything has come back.
func (c *Client) Flood() (stop func()) {
	const period = 251 // no divisor of any buffer size
	pattern := make([]byte, 64<<10+period)
	for i := range pattern {
		pattern[i] = byte(i % period)
	}
	c.t.Tell("%s sends without a pause", c.name)
	enough := make(chan struct{})
	sent := make(chan int, 1)
	go func() {
		total := 0
		for {
			select {
			case <-enough:
				c.conn.CloseWrite()
				sent <- total
				return
			default:
			}
			n, err := c.conn.Write(pattern[total%period:][:64<<10])
			total += n
			if err != nil {
				sent <- total
				return
			}
		}
	}()
	received := make(chan any, 1)
	go func() {
		defer func() { received <- recover() }()
		buf := make([]byte, 64<<10)
		for total := 0; ; {
			c.conn.SetReadDeadline(time.Now().Add(c.t.Wait))
			n, err := c.conn.Read(buf)
			if want := pattern[total%period:][:n]; !bytes.Equal(buf[:n], want) {
				c.differ(want, 0, buf[:n])
			}
			total += n
			if err == io.EOF {
				if all := <-sent; total != all {
					c.fail(count(all)+", then FIN", count(total)+", then FIN")
				}
				c.t.Tell("%s received all of its %s", c.name, count(total))
				return
			}
			if err != nil {
				c.fail("what was sent", fmt.Sprintf("%s, then %s", count(total), c.ending(err)))
			}
		}
	}()
	return func() {
		close(enough)
		if end := <-received; end != nil {
			panic(end)
		}
	}
}

// visit is a client that comes, says a word and leaves, and is not worth a line
// in the story.
func (t *T) visit() {
	word := []byte("hello and goodbye\n")
	conn, err := net.DialTimeout("tcp", t.Server.Addr().String(), t.Wait)
	if err != nil {
		t.Fail("to be able to connect", err.Error())
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(t.Wait))
	conn.Write(word)
	answer := make([]byte, len(word))
	if _, err := io.ReadFull(conn, answer); err != nil || !bytes.Equal(answer, word) {
		t.Fail(quantity(word), fmt.Sprintf("%q (%v)", answer, err))
	}
}
