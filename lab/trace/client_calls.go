package trace

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// connect opens the connection. The numbers of descriptors are high, since all
// clients live in this process.
func (c *client) connect() {
	c.then(func() {
		ip, family := c.addr.Addr(), unix.AF_INET
		var sa unix.Sockaddr = &unix.SockaddrInet6{Port: int(c.addr.Port()), Addr: ip.As16()}
		if ip.Is4() {
			sa = &unix.SockaddrInet4{Port: int(c.addr.Port()), Addr: ip.As4()}
		} else {
			family = unix.AF_INET6
		}
		c.makes("socket", "", func(int) (string, []byte, error) {
			fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.fd = fd
			return strconv.Itoa(fd), nil, err
		})
		c.makes("connect", c.addr.String(), func(fd int) (string, []byte, error) { return "0", nil, unix.Connect(fd, sa) })
		c.address()
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

// recv receives until it has n bytes, or there will be no more.
func (c *client) recv(n int) {
	c.then(func() {
		for got := 0; got < n; {
			received := c.receive()
			if len(received) == 0 {
				return
			}
			got += len(received)
		}
	})
}

// end receives once more, to find that there is nothing to come.
func (c *client) end() { c.recv(1) }

func (c *client) receive() []byte {
	return c.makes("recv", "", func(fd int) (string, []byte, error) {
		buf := make([]byte, 4096)
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
