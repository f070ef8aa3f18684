package trace

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// socket has it make a socket, and is the server's address for that.
func (c *client) socket() unix.Sockaddr {
	sa, family := unix.Sockaddr(&unix.SockaddrInet6{Port: int(c.addr.Port()), Addr: c.addr.Addr().As16()}), unix.AF_INET6
	if ip := c.addr.Addr(); ip.Is4() {
		sa, family = &unix.SockaddrInet4{Port: int(c.addr.Port()), Addr: ip.As4()}, unix.AF_INET
	}
	c.makes("socket", "", func(int) (string, []byte, error) {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.fd = fd
		return strconv.Itoa(fd), nil, err
	})
	return sa
}

// connect opens the connection. The numbers of descriptors are high, since all
// clients live in this process.
func (c *client) connect() {
	c.then(func() {
		sa := c.socket()
		if c.bound { // its port is its own after a failure, too
			from := unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
			c.makes("bind", "127.0.0.1:0", func(fd int) (string, []byte, error) { return "0", nil, unix.Bind(fd, from) })
			c.address()
		}
		if c.room > 0 {
			c.makes("setsockopt", fmt.Sprintf("SO_RCVBUF, %d", c.room), func(fd int) (string, []byte, error) {
				return "0", nil, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, c.room)
			})
		}
		c.makes("connect", c.addr.String(), func(fd int) (string, []byte, error) { return "0", nil, unix.Connect(fd, sa) })
		c.address()
	})
}

// serve begins to be a server at the address, without SO_REUSEADDR and then with it.
func (c *client) serve() {
	c.then(func() {
		sa := c.socket()
		bind := func() {
			c.makes("bind", c.addr.String(), func(fd int) (string, []byte, error) { return "0", nil, unix.Bind(fd, sa) })
		}
		bind()
		c.makes("setsockopt", "SO_REUSEADDR, 1", func(fd int) (string, []byte, error) {
			return "0", nil, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		})
		bind()
		c.makes("listen", "20", func(fd int) (string, []byte, error) { return "0", nil, unix.Listen(fd, 20) })
	})
}

// send sends a text.
func (c *client) send(text string) {
	c.then(func() {
		c.makes("send", strconv.Quote(text), func(fd int) (string, []byte, error) {
			n, err := unix.SendmsgN(fd, []byte(text), nil, nil, unix.MSG_NOSIGNAL)
			return bytesText(n), []byte(text)[:max(n, 0)], err
		})
	})
}

// sendMany sends so many bytes, all alike.
func (c *client) sendMany(n int) {
	c.then(func() {
		c.makes("send", bytesText(n), func(fd int) (string, []byte, error) {
			data := bytes.Repeat([]byte("x"), n)
			sent, err := unix.SendmsgN(fd, data, nil, nil, unix.MSG_NOSIGNAL)
			return bytesText(sent), data[:max(sent, 0)], err
		})
	})
}

// recv receives until it has n bytes, or there will be no more.
func (c *client) recv(n int) {
	c.then(func() {
		for got := 0; got < n; {
			received := c.receive(4096)
			if len(received) == 0 {
				return
			}
			got += len(received)
		}
	})
}

// end receives once more, to find that there is nothing to come.
func (c *client) end() { c.recv(1) }

// recvAtMost receives once, with so little room.
func (c *client) recvAtMost(n int) {
	c.then(func() { c.receiveAs(strconv.Itoa(n), n) })
}

func (c *client) receive(most int) []byte { return c.receiveAs("", most) }

func (c *client) receiveAs(args string, most int) []byte {
	return c.makes("recv", args, func(fd int) (string, []byte, error) {
		buf := make([]byte, most)
		n, _, err := unix.Recvfrom(fd, buf, 0)
		return bytesText(n), buf[:max(n, 0)], err
	})
}

func bytesText(n int) string {
	switch n {
	case 0:
		return "0"
	case 1:
		return "1 byte"
	}
	return strconv.Itoa(n) + " bytes"
}

// halfClose finishes sending: shutdown(2).
func (c *client) halfClose() {
	c.then(func() {
		c.flush()
		c.makes("shutdown", "SHUT_WR", func(fd int) (string, []byte, error) {
			return "0", nil, unix.Shutdown(fd, unix.SHUT_WR)
		})
	})
}

func (c *client) close() {
	c.then(func() {
		c.makes("close", "", func(fd int) (string, []byte, error) {
			c.mu.Lock()
			c.fd = -1 // nobody is to shut down another one with its number
			c.mu.Unlock()
			return "0", nil, unix.Close(fd)
		})
	})
}

// reset closes with RST instead of FIN: socket(7), SO_LINGER.
func (c *client) reset() {
	c.then(func() {
		c.makes("setsockopt", "SO_LINGER, 0 s", func(fd int) (string, []byte, error) {
			return "0", nil, unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		})
	})
	c.close()
}

// noDelay switches Nagle's algorithm off: tcp(7), TCP_NODELAY.
func (c *client) noDelay() {
	c.then(func() {
		c.makes("setsockopt", "TCP_NODELAY, 1", func(fd int) (string, []byte, error) {
			return "0", nil, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		})
	})
}
