package bench

import (
	"time"
)

// A plan says when each request of an open loop is meant to begin. It is fixed
// before the first one, and no answer changes it: request k of all begins at
// k/rate, and it is made by client k mod clients.
type plan struct {
	clients  int
	interval float64 // ns from one request to the next, of all clients
}

func newPlan(clients int, rate float64) plan {
	return plan{clients, float64(time.Second) / rate}
}

// at is the moment of request k of all, in ns since the beginning.
func (p plan) at(k int) int64 { return int64(float64(k) * p.interval) }

// of is the moment of request m of one client.
func (p plan) of(client, m int) int64 { return p.at(m*p.clients + client) }

// count is how many requests begin within d.
func (p plan) count(d time.Duration) int {
	n := int(float64(d) / p.interval)
	for p.at(n) < int64(d) { // a division rounds, so at has the last word
		n++
	}
	return n
}
