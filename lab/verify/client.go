package verify

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/report"
	"socketlab/lab/text"
)

// A Client is one connection to the server under observation. What is to be
// sent goes out on its own, in order, so that a client which reads late or
// never is as easy to write as one that takes turns.
type Client struct {
	t      *T
	name   string // "client 1"
	conn   connection
	right  int    // bytes that came back as they should
	waited string // how long for what did not come
	sure   bool   // it will not come

	mu      sync.Mutex // guards what follows
	changed *sync.Cond // tells of that
	said    [][]byte   // all that was to be sent so far
	queue   [][]byte   // to be sent, in segments; nil is FIN
	sent    int        // bytes that the kernel took
	failed  error      // why sending ended
}

// Dial connects one more client.
func (t *T) Dial() *Client { return t.dialAs("") }

func (t *T) dialAs(name string) *Client { return t.dial(name, nil) }

// DialNarrow connects a client whose receive buffer does not grow, so that the
// server's sending soon comes to a halt: tcp(7), tcp_rmem. It is not tiny: into
// 2 KiB not even a segment fits that the window allows. It is dropped, and what
// follows crawls from timer to timer, 564 bytes in 0.2 s.
func (t *T) DialNarrow() *Client {
	return t.dial("", func(_, _ string, conn syscall.RawConn) error {
		return conn.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 64<<10)
		})
	})
}

// Knock connects one more client, or returns nil if the kernel does not let it
// in: it drops SYN while the queue of those who wait for accept is full,
// listen(2). How many fit is the server's choice.
func (t *T) Knock() *Client { return t.knockAs("") }

func (t *T) knockAs(name string) *Client {
	patience := 100*time.Millisecond + rand.N(200*time.Millisecond) // not all at once again
	conn, err := t.connect(net.Dialer{Timeout: patience})
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return nil
	}
	return t.welcome(name, conn, err)
}

func (t *T) dial(name string, control func(network, address string, c syscall.RawConn) error) *Client {
	conn, err := t.connect(net.Dialer{Timeout: t.Wait, Control: control})
	return t.welcome(name, conn, err)
}

func (t *T) connect(dialer net.Dialer) (net.Conn, error) {
	begin := time.Now()
	conn, err := dialer.DialContext(t.ctx, "tcp", t.Server.Addr().String())
	t.connected(conn, begin, err)
	return conn, err
}

// welcome gives a client that has no name the next one.
func (t *T) welcome(called string, conn net.Conn, err error) *Client {
	if err != nil {
		t.cannotConnect(err)
	}
	c := &Client{t: t}
	c.conn = t.secure(told{conn.(*net.TCPConn), c})
	c.changed = sync.NewCond(&c.mu)
	t.mu.Lock()
	t.clients = append(t.clients, c)
	t.came++
	c.name = cmp.Or(called, name(t.came))
	t.mu.Unlock()
	t.Tell("%s connected from %s", c.name, conn.LocalAddr())
	go c.send()
	return c
}

func name(number int) string { return fmt.Sprintf("client %d", number) }

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
	c.said = append(c.said, p)
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
			return text.Count(unread, "byte") + " unread", unread == 0
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
		c.broken(c.name+" to be able to send", "it sent "+text.Count(c.sent, "byte"), c.failed, nil, 0)
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

// visit is a client that comes, says a word and leaves, with FIN or with RST,
// and is not worth a line in the story.
func (t *T) visit(fin bool) {
	word := []byte("hello and goodbye\n")
	conn, err := t.connect(net.Dialer{Timeout: t.Wait})
	if err != nil {
		t.cannotConnect(err)
	}
	c := &Client{t: t, name: "one of them", said: [][]byte{word}}
	c.conn = t.secure(told{conn.(*net.TCPConn), c})
	if t.tls != nil {
		conn = c.conn
	}
	defer conn.Close()
	if !fin {
		c.conn.SetLinger(0)
	}
	conn.SetDeadline(time.Now().Add(t.Wait))
	conn.Write(word)
	answer := make([]byte, len(word))
	n, err := io.ReadFull(conn, answer)
	switch {
	case !bytes.HasPrefix(word, answer[:n]):
		c.differ(word, 0, answer[:n])
	case err == io.ErrUnexpectedEOF:
		err = io.EOF
		fallthrough
	case err != nil:
		c.broken(quantity(word), text.Count(n, "byte"), err, word, n)
	}
}

// comeAndGo has n clients visit, several at a time; fin says who leaves with FIN.
// A quarter of them is enough where each costs the server a millisecond.
func (t *T) comeAndGo(n, together int, fin func(i int) bool) (came int) {
	const dear = time.Millisecond
	quarter := n / 4 / together
	before := t.Tree().CPU
	visit := func(n int) {
		t.Each(together, func(int) {
			for i := range n {
				t.visit(fin(i))
			}
		})
		came += n * together
	}
	visit(quarter)
	if t.Tree().CPU-before < dear*time.Duration(came) {
		visit(n/together - quarter)
	}
	return came
}

// cannotConnect ends the check, and says why, without the addresses.
func (t *T) cannotConnect(err error) {
	why := err.Error()
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENOBUFS) {
		t.Cannot("connect one more client", err) // that is our lack
	}
	if cause, ok := errors.AsType[unix.Errno](err); ok {
		why = cause.Error()
	}
	panic(verdict{status: report.Fail, expected: "to be able to connect", actual: why, facts: facts{symptom: refused}})
}
