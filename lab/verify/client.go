package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/report"
	"socketlab/lab/subject"
)

// A Client is one connection to the server under observation. What is to be
// sent goes out on its own, in order, so that a client which reads late or
// never is as easy to write as one that takes turns.
type Client struct {
	t    *T
	name string // "client 1"
	conn told

	mu      sync.Mutex // guards what follows
	changed *sync.Cond // tells of that
	queue   [][]byte   // to be sent, in segments; nil is FIN
	sent    int        // bytes that the kernel took
	failed  error      // why sending ended

}

// Dial connects one more client.
func (t *T) Dial() *Client { return t.dial(nil) }

// DialNarrow connects a client whose receive buffer does not grow, so that the
// server's sending soon comes to a halt: tcp(7), tcp_rmem. It is not tiny: into
// 2 KiB not even a segment fits that the window allows. It is dropped, and what
// follows crawls from timer to timer, 564 bytes in 0.2 s.
func (t *T) DialNarrow() *Client {
	return t.dial(func(_, _ string, conn syscall.RawConn) error {
		return conn.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 64<<10)
		})
	})
}

// Knock connects one more client, or returns nil if the kernel does not let it
// in: it drops SYN while the queue of those who wait for accept is full,
// listen(2). How many fit is the server's choice.
func (t *T) Knock() *Client {
	patience := 100*time.Millisecond + rand.N(200*time.Millisecond) // not all at once again
	conn, err := t.connect(net.Dialer{Timeout: patience})
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return nil
	}
	return t.welcome(conn, err)
}

func (t *T) dial(control func(network, address string, c syscall.RawConn) error) *Client {
	return t.welcome(t.connect(net.Dialer{Timeout: t.Wait, Control: control}))
}

func (t *T) connect(dialer net.Dialer) (net.Conn, error) {
	begin := time.Now()
	conn, err := dialer.DialContext(t.ctx, "tcp", t.Server.Addr().String())
	t.connected(conn, begin, err)
	return conn, err
}

func (t *T) welcome(conn net.Conn, err error) *Client {
	if err != nil {
		t.Fail("to be able to connect", err.Error())
	}
	c := &Client{t: t}
	c.conn = told{conn.(*net.TCPConn), c}
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

// SendApart sends each part when the server has read the one before, so that
// no two of them come together.
func (c *Client) SendApart(parts ...[]byte) {
	for _, p := range parts {
		c.enqueue(p)
		c.Flush()
		c.t.Until("the server to read what "+c.name+" sent", func() (string, bool) {
			unread := c.atServer().Unread
			return count(unread) + " unread", unread == 0
		})
	}
	c.t.Tell("%s sent %s in %d parts, each when the one before was read", c.name, quantity(bytes.Join(parts, nil)), len(parts))
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

// Pour sends bytes and waits until the kernel takes no more of them: all of
// them, or until nothing has moved for a while, and the server sleeps though
// there is something to read. It returns how many went.
func (c *Client) Pour(p []byte) int {
	const still, long = 150 * time.Millisecond, time.Second
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
		waited := time.Since(since)
		if left == 0 || waited > long || waited > still && c.t.asleep() && c.atServer().Unread > 0 {
			c.t.Tell("%s sent %s of %s without reading", c.name, thousands(sent), count(len(p)))
			return sent
		}
		c.t.pause(5 * time.Millisecond)
	}
}

// Overfill sends without reading until the server itself keeps answers that its
// kernel does not take any more, or has no wish to read, or most bytes have
// gone. It returns what it sent.
func (c *Client) Overfill(most int) []byte {
	p := random(most)
	const first, step = mib, 64 << 10
	sent := 0
	for sent < most && !c.keeps(sent) {
		next := step
		if sent == 0 {
			next = first
		}
		c.enqueue(p[sent : sent+next])
		sent += next
		if !c.Heard(200 * time.Millisecond) {
			break
		}
	}
	c.t.Tell("%s sent %s without reading", c.name, count(sent))
	return p[:sent]
}

// keeps reports whether some of what the server has read is neither in its
// kernel nor in ours, also when it has slept over it for a while.
func (c *Client) keeps(sent int) bool {
	asleep := 0
	for deadline := time.Now().Add(200 * time.Millisecond); asleep < 3 && time.Now().Before(deadline); {
		if sent-c.atServer().Unsent-c.ours(unix.SIOCINQ) <= 0 {
			return false
		}
		if c.t.asleep() {
			asleep++
		} else {
			asleep = 0
		}
		c.t.pause(5 * time.Millisecond)
	}
	return true
}

// Heard waits for a while, until the server has read all that was sent. It may
// not want to.
func (c *Client) Heard(patience time.Duration) bool {
	deadline := time.Now().Add(patience)
	for c.queued() || c.ours(unix.SIOCOUTQ)+c.atServer().Unread > 0 {
		if time.Now().After(deadline) {
			return false
		}
		c.t.pause(time.Millisecond)
	}
	return true
}

// queued reports whether something is still to be sent, FIN perhaps.
func (c *Client) queued() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0
}

// atServer is the server's end of the connection; zero if it has closed.
func (c *Client) atServer() subject.Socket {
	us := uint16(c.conn.LocalAddr().(*net.TCPAddr).Port)
	for _, s := range c.t.sockets() {
		if s.Remote.Port() == us && s.State != subject.TimeWait {
			return s
		}
	}
	return subject.Socket{}
}

// ours is how much our own kernel has: not yet sent and acknowledged, SIOCOUTQ,
// or not yet read, SIOCINQ: tcp(7). FIN counts as one.
func (c *Client) ours(request uint) (n int) {
	raw, err := c.conn.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), request) })
	}
	if err != nil {
		c.t.Cannot("ask the kernel what it has", err)
	}
	return n
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

// EchoBytes sends bytes one by one, each when the one before has come back.
func (c *Client) EchoBytes(p []byte) {
	for b := range slices.Chunk(p, 1) {
		c.enqueue(b)
		c.expectQuietly(b)
	}
	c.t.Tell("%s sent %s byte by byte, and received each at once", c.name, quantity(p))
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

// letIn reports whether the connection is there at the server's end too. It may
// not be, though at ours it is: the last segment of the opening is dropped like
// SYN while the queue is full.
func (c *Client) letIn() bool {
	addr := c.conn.LocalAddr().(*net.TCPAddr).AddrPort()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	return slices.ContainsFunc(c.t.sockets(), func(s subject.Socket) bool {
		return s.Remote == addr && s.State != subject.SynReceived
	})
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
// is stopped. It returns when the first MiB has come back; stopping waits for
// everything.
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
	flowing := make(chan struct{})
	received := make(chan any, 1)
	go func() {
		defer func() { received <- recover() }()
		flows := sync.OnceFunc(func() { close(flowing) })
		buf := make([]byte, 64<<10)
		for total := 0; ; {
			c.conn.SetReadDeadline(time.Now().Add(c.t.Wait))
			n, err := c.conn.Read(buf)
			if want := pattern[total%period:][:n]; !bytes.Equal(buf[:n], want) {
				c.differ(want, 0, buf[:n])
			}
			total += n
			if total > mib {
				flows()
			}
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
	select {
	case <-flowing:
	case end := <-received:
		if end == nil {
			c.fail("an answer to all it sends", "FIN")
		}
		panic(end)
	}
	return func() {
		close(enough)
		if end := <-received; end != nil {
			panic(end)
		}
	}
}

// visit is a client that comes, says a word and leaves, with FIN or with RST,
// and is not worth a line in the story.
func (t *T) visit(fin bool) {
	word := []byte("hello and goodbye\n")
	conn, err := t.connect(net.Dialer{Timeout: t.Wait})
	if err != nil {
		t.Fail("to be able to connect", err.Error())
	}
	defer conn.Close()
	if !fin {
		conn.(*net.TCPConn).SetLinger(0)
	}
	conn.SetDeadline(time.Now().Add(t.Wait))
	conn.Write(word)
	answer := make([]byte, len(word))
	if _, err := io.ReadFull(conn, answer); err != nil || !bytes.Equal(answer, word) {
		t.Fail(quantity(word), fmt.Sprintf("%q (%v)", answer, err))
	}
}
