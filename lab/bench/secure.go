package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"socketlab/lab/subject"
	"socketlab/lab/text"
)

// A Secured server is measured with clients that speak TLS, or, beside them,
// plain TCP.
type Secured struct {
	Name string // "TLS, RSA"
	Spec subject.Spec
	TLS  *tls.Config // what clients say; nil: plain TCP
}

// A handshaking is what was measured of one of them, each figure once a round.
type handshaking struct{ rate, resumed, cost, resumedCost, request []float64 }

// Handshakes measures, in turn, what connecting costs the servers, with a full
// handshake and with one that resumes a session, and what a request costs then.
// Each client connects, asks once and closes, clients at a time; the clients'
// half of the work is done on the same CPUs.
func Handshakes(ctx context.Context, w io.Writer, servers []Secured, clients, rounds int, duration time.Duration) error {
	found := make([]handshaking, len(servers))
	for range rounds {
		for i, s := range servers {
			if err := s.round(ctx, &found[i], clients, duration); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
		}
	}
	t := text.Table{Head: []string{text.Count(clients, "client"), "full/s", "CPU", "resumed/s", "CPU", "CPU/request"}}
	for i, s := range servers {
		f := found[i]
		t.Rows = append(t.Rows, text.Row{Name: s.Name, Cells: []string{
			middle(f.rate, "%.0f"), middle(f.cost, "%.0f µs"), middle(f.resumed, "%.0f"), middle(f.resumedCost, "%.0f µs"), middle(f.request, "%.1f µs"),
		}})
	}
	t.Text(w, false)
	_, err := fmt.Fprintf(w, "\nmedians of %d rounds; %d clients at a time connect, ask once and close;\nCPU is the server's, for one of them; a request is 6 bytes, one client asks\n", rounds, clients)
	return err
}

// middle is the median as the format writes it, – if nothing was measured.
func middle(all []float64, format string) string {
	if len(all) == 0 {
		return "–"
	}
	return fmt.Sprintf(format, NewEstimate(all).Median)
}

// round measures one server once.
func (s Secured) round(ctx context.Context, found *handshaking, clients int, duration time.Duration) error {
	server, err := subject.Start(ctx, s.Spec)
	if err != nil {
		return err
	}
	defer server.Stop()
	used := func(do func() (int, error)) (rate, each float64, err error) {
		before, err := server.Tree()
		if err != nil {
			return 0, 0, err
		}
		start := time.Now()
		n, err := do()
		if err == nil && n == 0 {
			err = errors.New("it answered nobody in this time")
		}
		if err != nil {
			return 0, 0, err
		}
		took := time.Since(start)
		after, err := server.Tree()
		return float64(n) / took.Seconds(), float64((after.CPU - before.CPU).Microseconds()) / float64(n), err
	}
	connects := func(config *tls.Config) func() (int, error) {
		return func() (int, error) { return s.visits(ctx, server, config, clients, duration) }
	}
	rate, each, err := used(connects(s.TLS))
	if err != nil {
		return err
	}
	found.rate, found.cost = append(found.rate, rate), append(found.cost, each)
	if s.TLS != nil {
		config := s.TLS.Clone()
		config.ClientSessionCache = tls.NewLRUClientSessionCache(clients)
		if _, err := s.visits(ctx, server, config, 1, 0); err != nil { // the first ticket
			return err
		}
		if rate, each, err = used(connects(config)); err != nil {
			return err
		}
		found.resumed, found.resumedCost = append(found.resumed, rate), append(found.resumedCost, each)
	}
	conn, err := s.dial(ctx, server, s.TLS)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, each, err = used(func() (n int, err error) {
		for end := time.Now().Add(duration); err == nil && time.Now().Before(end); n++ {
			err = ask(conn)
		}
		return n, err
	})
	found.request = append(found.request, each)
	return err
}

// visits has clients come, ask and leave until the time is over, at least one
// each, and counts them.
func (s Secured) visits(ctx context.Context, server *subject.Subject, config *tls.Config, clients int, duration time.Duration) (int, error) {
	var visits atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, clients)
	end := time.Now().Add(duration)
	for i := range clients {
		all.Go(func() {
			for first := true; errs[i] == nil && (first || time.Now().Before(end)); first = false {
				conn, err := s.dial(ctx, server, config)
				if err == nil {
					err = ask(conn)
					conn.Close()
				}
				errs[i] = err
				visits.Add(1)
			}
		})
	}
	all.Wait()
	return int(visits.Load()), errors.Join(errs...)
}

func (s Secured) dial(ctx context.Context, server *subject.Subject, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	dialer := net.Dialer{Control: server.Control}
	if config == nil {
		return dialer.DialContext(ctx, "tcp", server.Addr().String())
	}
	secure := tls.Dialer{NetDialer: &dialer, Config: config}
	return secure.DialContext(ctx, "tcp", server.Addr().String())
}

// ask asks once, and looks at the answer.
func ask(conn net.Conn) error {
	word, answer := "hello\n", make([]byte, 6)
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, word); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if string(answer) != word {
		return fmt.Errorf("it answers %q to %q", answer, word)
	}
	return nil
}
