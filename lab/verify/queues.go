package verify

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
	"socketlab/lab/text"
)

// Pour sends bytes and waits until the kernel takes no more of them: all of
// them, or until no more go, and there is something that the server could read.
// It returns how many went.
func (c *Client) Pour(p []byte) int {
	for piece := range slices.Chunk(p, 64<<10) {
		c.enqueue(piece)
	}
	for halt := (halt{t: c.t}); ; c.t.pause(5 * time.Millisecond) {
		c.mu.Lock()
		sent, left, failed := c.sent, len(c.queue), c.failed
		c.mu.Unlock()
		if failed != nil {
			c.broken(c.name+" to be able to send", "it sent "+text.Count(sent, "byte"), failed, nil, 0)
		}
		if left == 0 || halt.at(sent, c.atServer().Unread > 0) {
			c.t.Tell("%s sent %s of %s without reading", c.name, text.Number(sent), text.Count(len(p), "byte"))
			return sent
		}
	}
}

// Overfill sends without reading until the server itself keeps answers that its
// kernel does not take any more, or has no wish to read, or most bytes have
// gone. It returns what it sent.
func (c *Client) Overfill(most int) []byte {
	p := random(most)
	const first, step = mib, 256 << 10
	sent := 0
	for sent < most && !c.keeps(sent) {
		next := step
		if sent == 0 {
			next = first
		}
		c.enqueue(p[sent : sent+next])
		sent += next
		if !c.Heard() {
			break
		}
	}
	c.t.Tell("%s sent %s without reading", c.name, text.Count(sent, "byte"))
	return p[:sent]
}

// keeps reports whether some of what the server has read is neither in its
// kernel nor in ours, and stays so.
func (c *Client) keeps(sent int) bool {
	for halt := (halt{t: c.t}); ; c.t.pause(time.Millisecond) {
		kept := sent - c.atServer().Unsent - c.ours(unix.SIOCINQ)
		if kept <= 0 {
			return false
		}
		if halt.at(kept, true) {
			return true
		}
	}
}

// Heard waits until the server has read all that was sent. It may not want to.
func (c *Client) Heard() bool {
	for halt := (halt{t: c.t}); ; c.t.pause(time.Millisecond) {
		queued := c.queued() // this first: it becomes the kernel's
		server := c.atServer()
		left := c.ours(unix.SIOCOUTQ) + server.Unread
		if left == 0 && !queued {
			return true
		}
		if server == (proc.Socket{}) || halt.at(left, server.Unread > 0) {
			return false
		}
	}
}

// A halt is found where a figure does not change any more: the server sleeps
// over it, or has spent a second of CPU time without a change. A server that is
// ready to run, and gets no CPU, has not come to a halt.
type halt struct {
	t      *T
	figure int
	since  time.Time     // it has not changed
	cpu    time.Duration // what the server had used when it was first seen again
	nap    nap
}

// at reports whether it has come to a halt at this figure. To sleep says nothing
// while there is nothing to do.
func (h *halt) at(figure int, todo bool) bool {
	if figure != h.figure || h.since.IsZero() {
		*h = halt{t: h.t, figure: figure, since: time.Now()}
		return false
	}
	tree := h.t.Tree()
	h.cpu = cmp.Or(h.cpu, tree.CPU)
	return h.nap.goesOn(todo && asleep(tree)) || tree.CPU-h.cpu > time.Second || time.Since(h.since) > h.t.Wait
}

// A nap is how often in a row the server was found asleep. A moment's sleep
// says nothing, and on a busy machine a moment may be long.
type nap int

func (n *nap) goesOn(asleep bool) bool {
	const looks = 15
	if !asleep {
		*n = 0
		return false
	}
	*n++
	return *n >= looks
}

// queued reports whether something is still to be sent, FIN perhaps.
func (c *Client) queued() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0
}

// atServer is the server's end of the connection; zero if it has closed.
func (c *Client) atServer() proc.Socket {
	addr := c.conn.LocalAddr().(*net.TCPAddr).AddrPort()
	s, _, err := c.t.Server.Connection(netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()))
	if err != nil {
		c.t.Cannot("find a connection in the kernel's table of sockets", err)
	}
	return s
}

// unaccepted reports whether the connection is there, and in no program's hands.
func (c *Client) unaccepted() bool {
	s := c.atServer()
	return s.State == proc.Established && s.Inode == 0
}

// ours is how much our own kernel has: not yet sent and acknowledged, SIOCOUTQ,
// or not yet read, SIOCINQ: tcp(7). FIN counts as one.
func (c *Client) ours(request uint) (n int) {
	raw, err := c.conn.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), request) })
	}
	if err != nil {
		c.t.goOn() // or else it was closed because time is over
		c.t.Cannot("ask the kernel what it has", err)
	}
	return n
}

// letIn reports whether the connection is there at the server's end too. It may
// not be, though at ours it is: the last segment of the opening is dropped like
// SYN while the queue is full.
func (c *Client) letIn() bool {
	s := c.atServer()
	return s != (proc.Socket{}) && s.State != proc.SynReceived
}
