package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A client is one connection, and the request that it waits for.
type client struct {
	fd     int
	state  state
	at     int  // where in the pattern its message begins
	unsent int  // bytes of it that the kernel has not taken
	owed   int  // bytes of it that have not come back
	full   bool // epoll is to tell when there is room for more

	intended, sent int64 // when its request was meant to begin, and did; ns

	due, done int // of an open loop's plan: how many should have begun, and have
}

type state uint8

const (
	absent state = iota
	connecting
	silent // connected, and waiting for nothing
	waiting
)

// A message is a piece of one pattern of random bytes. Each client and each
// request starts at another place. So a byte that belongs to another client, or
// to an earlier request, is found to be wrong.
const (
	places = 64 << 10
	stride = 61  // from one request's place to the next
	apart  = 977 // from one client's to the next
)

func newPattern(size int) []byte {
	pattern := make([]byte, places+size)
	random := rand.NewChaCha8([32]byte([]byte("every byte that returns is known")))
	random.Read(pattern)
	return pattern
}

// A ServerError says what the server did wrong. Figures of such a server would
// mean nothing.
type ServerError struct{ Says string }

func (e *ServerError) Error() string { return e.Says }

func (t *thread) blame(i int, format string, args ...any) error {
	number := i*t.of + t.number + 1 // as they would be counted if there was one thread
	return &ServerError{fmt.Sprintf("client %d ", number) + fmt.Sprintf(format, args...)}
}

// dial begins to connect client i. Source addresses take turns, so that the
// ports of none run out: a port is not given again for a minute after its
// connection ended, tcp(7).
func (t *thread) dial(i int) error {
	c := &t.clients[i]
	fd, err := t.socket()
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	*c = client{fd: fd, state: connecting, at: ((i*t.of + t.number) * apart) % places}
	c.intended = t.now()
	c.sent = c.intended
	event := unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(i)}
	if err := unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	t.busy++
	err = unix.Connect(fd, t.to)
	if err != nil && err != unix.EINPROGRESS {
		return t.blame(i, "could not connect: %v", err)
	}
	return nil
}

// socket is one that is bound to the next source address, where there are
// several: loopback's IPv4 has 16 million.
func (t *thread) socket() (fd int, err error) {
	const flags = unix.SOCK_STREAM | unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	if _, six := t.to.(*unix.SockaddrInet6); six {
		return unix.Socket(unix.AF_INET6, flags, 0)
	}
	if fd, err = unix.Socket(unix.AF_INET, flags, 0); err != nil {
		return -1, err
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // connect chooses it
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	t.source = t.source%250 + 1
	from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, byte(t.number), byte(t.source)}}
	if err := unix.Bind(fd, from); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// sockaddr is an address as the kernel wants it.
func sockaddr(addr netip.AddrPort) unix.Sockaddr {
	if addr.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
}

// begin sends the next message of client i. It was meant to go at the moment
// intended.
func (t *thread) begin(i int, intended, now int64) error {
	c := &t.clients[i]
	c.intended, c.sent = intended, now
	if c.at += stride; c.at >= places {
		c.at -= places
	}
	c.owed, c.unsent = t.size, t.size
	c.state = waiting
	t.busy++
	return t.send(i)
}

// send gives the kernel what it takes of the message.
func (t *thread) send(i int) error {
	c := &t.clients[i]
	from := c.at + t.size - c.unsent
	n, errno := write(c.fd, t.pattern[from:from+c.unsent])
	switch errno {
	case 0:
	case unix.EAGAIN:
		n = 0
	default:
		return t.blame(i, "could not send: %v; the server ended its connection", errno)
	}
	c.unsent -= n
	if full := c.unsent > 0; full != c.full {
		c.full = full
		return t.listen(i)
	}
	return nil
}

// listen has epoll tell when client i can read, and write if it waits for that.
func (t *thread) listen(i int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
	if t.clients[i].full {
		event.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(t.epoll, unix.EPOLL_CTL_MOD, t.clients[i].fd, &event)
}

// receive reads what has come for client i, and holds every byte to what was
// sent. It reports whether the whole message is back.
func (t *thread) receive(i int) (whole bool, err error) {
	c := &t.clients[i]
	n, errno := read(c.fd, t.buf)
	switch {
	case errno == unix.EAGAIN:
		return false, nil
	case errno != 0:
		return false, t.blame(i, "was cut off: %v, with %d bytes owed", errno, c.owed)
	case n == 0:
		return false, t.blame(i, "was left: the server closed the connection (FIN), with %d bytes owed", c.owed)
	case n > c.owed-c.unsent:
		return false, t.blame(i, "received %d bytes, and had sent only %d that were not back", n, c.owed-c.unsent)
	}
	from := c.at + t.size - c.owed
	if want := t.pattern[from : from+n]; !bytes.Equal(t.buf[:n], want) {
		k := 0
		for t.buf[k] == want[k] {
			k++
		}
		return false, t.blame(i, "received a wrong byte: byte %d of %d is 0x%02x, and 0x%02x was sent",
			t.size-c.owed+k+1, t.size, t.buf[k], want[k])
	}
	c.owed -= n
	return c.owed == 0, nil
}
