package bench

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/text"
)

// connect does the part of load.connect. Only a few clients connect at a time, so
// that every accept queue has room.
func (t *thread) connect(n int) error {
	const together = 8
	first := len(t.clients)
	t.clients = append(t.clients, make([]client, n)...)
	next := first
	// Even if each client is in time, all of them together could take hours.
	most := 2*t.patience + time.Duration(n)*10*time.Millisecond
	end := t.now() + int64(most)
	return t.turn(turns{
		wake: func(now int64) (int64, error) {
			if now > end {
				return 0, &ServerError{fmt.Sprintf("the server was too slow: after %v %s of %s had their first answer; take fewer --clients, or raise --timeout",
					most.Round(time.Second), text.Number(next-first-t.busy), text.Count(n, "client"))}
			}
			for next < len(t.clients) && t.busy < together {
				if err := t.dial(next); err != nil {
					return 0, err
				}
				next++
			}
			return forever, nil
		},
		answered: func(int, int64) error { return nil },
		over:     func(int64) bool { return next == len(t.clients) },
	})
}

// closedLoop does the part of load.closedLoop.
func (t *thread) closedLoop(n int, d time.Duration) error {
	now := t.now()
	end := now + int64(d)
	for i := range n {
		if err := t.begin(i, now, now); err != nil {
			return err
		}
	}
	return t.turn(turns{
		wake: func(int64) (int64, error) { return forever, nil },
		answered: func(i int, now int64) error {
			t.requests++
			record(t.latency, now-t.clients[i].sent)
			if now >= end {
				return nil
			}
			return t.begin(i, now, now)
		},
		over: func(now int64) bool { return now >= end },
	})
}

// openLoop does the part of load.openLoop. When the time is over, the requests
// that are late are still made, for the same time again. Those that remain then
// count as if they had been answered at that moment: it is the least they took.
func (t *thread) openLoop(n int, p plan, d time.Duration) error {
	t.naive = newHistogram()
	t.planned = int64(p.count(d))
	for i := range t.clients {
		t.clients[i].due, t.clients[i].done = 0, 0
	}
	began := t.now()
	end, giveUp := began+int64(d), began+2*int64(d)
	started := 0 // requests of the plan whose moment has come
	next := func(i int, now int64) error {
		c := &t.clients[i]
		if c.done == c.due || now >= giveUp {
			return nil
		}
		c.done++
		return t.begin(i, began+p.of(i, c.done-1), now)
	}
	err := t.turn(turns{
		wake: func(now int64) (int64, error) {
			for ; started < int(t.planned) && began+p.at(started) <= now; started++ {
				i := started % n
				t.clients[i].due++
				if t.clients[i].state != silent {
					continue // when it has its answer
				}
				if now-(began+p.at(started)) > int64(lateness) {
					t.dragged++
					if now < giveUp {
						t.late-- // its answer counts it as late, which is not the server's fault
					}
				}
				if err := next(i, now); err != nil {
					return 0, err
				}
			}
			switch {
			case started < int(t.planned):
				return began + p.at(started), nil
			case now < end:
				return end, nil
			}
			return forever, nil // for those who still wait
		},
		answered: func(i int, now int64) error {
			c := &t.clients[i]
			t.requests++
			record(t.latency, now-c.intended)
			record(t.naive, now-c.sent)
			if c.sent-c.intended > int64(lateness) {
				t.late++
			}
			return next(i, now)
		},
		over: func(now int64) bool { return started == int(t.planned) && now >= end },
	})
	now := t.now()
	for i, c := range t.clients[:n] {
		for m := c.done; m < c.due; m++ {
			t.unsent++
			record(t.latency, now-began-p.of(i, m))
		}
	}
	return err
}

// churn does the part of load.churn. A request lasts from connect to the last byte
// of the answer.
func (t *thread) churn(n int, d time.Duration) error {
	t.clients = append(t.clients, make([]client, n)...)
	first := len(t.clients) - n
	end := t.now() + int64(d)
	for i := range n {
		if err := t.dial(first + i); err != nil {
			return err
		}
	}
	return t.turn(turns{
		wake: func(int64) (int64, error) { return forever, nil },
		answered: func(i int, now int64) error {
			c := &t.clients[i]
			t.requests++
			record(t.latency, now-c.intended)
			unix.Close(c.fd) // epoll forgets it
			c.state = absent
			if now >= end {
				return nil
			}
			return t.dial(i)
		},
		over: func(now int64) bool { return now >= end },
	})
}
