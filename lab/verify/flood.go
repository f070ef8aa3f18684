package verify

import (
	"bytes"
	"io"
	"sync"
	"time"

	"socketlab/lab/text"
)

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
	c.t.flooded(+1)
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
					c.broken(text.Count(all, "byte")+", then FIN", text.Count(total, "byte"), err, make([]byte, all), total)
				}
				c.t.Tell("%s received all of its %s", c.name, text.Count(total, "byte"))
				return
			}
			if err != nil {
				c.broken("what was sent", text.Count(total, "byte"), err, nil, 0)
			}
		}
	}()
	select {
	case <-flowing:
	case end := <-received:
		if end == nil {
			c.broken("an answer to all it sends", "less than 1 MiB", io.EOF, nil, 0)
		}
		panic(end)
	}
	return func() {
		c.t.flooded(-1)
		close(enough)
		if end := <-received; end != nil {
			panic(end)
		}
	}
}
