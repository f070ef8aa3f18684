package trace

import "golang.org/x/sys/unix"

// An interactive client waits for three things at once, as a chat program does:
// for what it is told to do, for what comes, and for room to send. So it can be
// told anything at any time.

// interactive makes a client one that reads what comes.
func (c *client) interactive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake, _ = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	c.reading = true
	c.more.Signal()
}

// owe has it send something, as soon as there is room.
func (c *client) owe(data []byte) {
	c.then(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.owed = append(c.owed, data...)
	})
}

// reads has it read on, or stop.
func (c *client) reads(on bool) {
	c.then(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reading = on
	})
}

// flush sends what it owes, unless it is told to do something else.
func (c *client) flush() {
	for {
		c.mu.Lock()
		done := len(c.owed) == 0 || len(c.todo) > 1 || c.over
		c.mu.Unlock()
		if done {
			return
		}
		c.attend()
	}
}

// attend waits for one of the three, and does what can be done.
func (c *client) attend() {
	c.mu.Lock()
	fds := []unix.PollFd{{Fd: int32(c.wake), Events: unix.POLLIN}}
	if c.fd >= 0 && c.local.IsValid() {
		p := unix.PollFd{Fd: int32(c.fd)}
		if c.reading {
			p.Events |= unix.POLLIN
		}
		if len(c.owed) > 0 {
			p.Events |= unix.POLLOUT
		}
		if p.Events != 0 { // else a hang-up would wake it for ever
			fds = append(fds, p)
		}
	}
	c.mu.Unlock()
	unix.Poll(fds, -1) // sleeps
	if fds[0].Revents != 0 {
		unix.Read(c.wake, make([]byte, 8))
	}
	if len(fds) < 2 {
		return
	}
	if fds[1].Revents&unix.POLLOUT != 0 && len(c.owed) > 0 {
		c.sendOwed()
	}
	if fds[1].Revents&^unix.POLLOUT != 0 && c.reading {
		if len(c.receive(4096)) == 0 { // FIN, or an error
			c.mu.Lock()
			c.reading = false
			c.mu.Unlock()
		}
	}
}

func (c *client) sendOwed() {
	sent := c.makes("send", quoted(c.owed), func(fd int) (string, []byte, error) {
		n, err := unix.SendmsgN(fd, c.owed, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		return bytesText(n), c.owed[:max(n, 0)], err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owed = c.owed[len(sent):]
	if len(sent) == 0 { // it failed: there will never be room
		c.owed = nil
	}
}
