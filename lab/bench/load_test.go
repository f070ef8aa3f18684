package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"socketlab/lab/subject"
)

// TestMain makes this test binary an echo server too, for whoever asks for it.
func TestMain(m *testing.M) {
	subject.Child()
	if len(os.Args) == 3 && os.Args[1] == "echo" {
		l, err := net.Listen("tcp", "127.0.0.1:"+os.Args[2])
		if err != nil {
			os.Exit(1)
		}
		for {
			c, err := l.Accept()
			if err != nil {
				os.Exit(1)
			}
			go func() {
				defer c.Close()
				echo(c)
			}()
		}
	}
	goleak.VerifyTestMain(m)
}

// serve serves each client with f until the test ends.
func serve(t *testing.T, f func(net.Conn)) (addr net.Addr) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var active atomic.Int64
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			active.Add(1)
			go func() {
				defer active.Add(-1)
				defer c.Close()
				f(c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for deadline := time.Now().Add(10 * time.Second); active.Load() > 0 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	})
	return l.Addr()
}

func echo(c net.Conn) { io.Copy(c, c) }

// crowdOf is a load on addr that leaves when the test ends.
func crowdOf(t *testing.T, addr net.Addr, size, threads int) *load {
	t.Helper()
	l, err := newLoad(t.Context(), crowd{
		to: addr.(*net.TCPAddr).AddrPort(), size: size, threads: threads, patience: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

const brief = 50 * time.Millisecond

// However large the messages, and however many threads: every request that is
// counted has a latency, and all clients stay.
func TestClosedLoop(t *testing.T) {
	for _, test := range []struct{ size, clients, threads int }{
		{1, 1, 1}, {64, 10, 1}, {64, 7, 3}, {4096, 10, 2}, {65537, 5, 1}, {8 << 20, 2, 1},
	} {
		l := crowdOf(t, serve(t, echo), test.size, test.threads)
		if err := l.connect(test.clients); err != nil {
			t.Fatalf("%+v: %v", test, err)
		}
		for range 2 {
			tally, err := l.closedLoop(test.clients, brief)
			if err != nil {
				t.Fatalf("%+v: %v", test, err)
			}
			if tally.requests < int64(test.clients) || tally.latency.TotalCount() != tally.requests || tally.naive != nil {
				t.Errorf("%+v: %d requests, %d latencies", test, tally.requests, tally.latency.TotalCount())
			}
			if tally.ran <= 0 || tally.took < brief {
				t.Errorf("%+v: it ran for %v in %v", test, tally.ran, tally.took)
			}
		}
	}
}

// An open loop makes as many requests as planned, and has both histograms.
func TestOpenLoop(t *testing.T) {
	l := crowdOf(t, serve(t, echo), 64, 2)
	if err := l.connect(5); err != nil {
		t.Fatal(err)
	}
	tally, err := l.openLoop(5, 1000, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if tally.planned < 199 || tally.planned > 202 || tally.requests+tally.unsent != tally.planned {
		t.Errorf("%d planned, %d made, %d not, want 200 in all", tally.planned, tally.requests, tally.unsent)
	}
	if tally.took < 200*time.Millisecond {
		t.Errorf("it took %v: the rate of a plan is that of its whole time", tally.took)
	}
	if tally.latency.TotalCount() != tally.planned || tally.naive.TotalCount() != tally.requests {
		t.Errorf("%d and %d latencies", tally.latency.TotalCount(), tally.naive.TotalCount())
	}
	if tally.latency.ValueAtPercentile(50) < tally.naive.ValueAtPercentile(50) {
		t.Error("a request was sent before its moment")
	}
}

// A stall is one slow answer for each client to whoever waits for answers, and
// hundreds to those who came meanwhile: coordinated omission.
func TestStallIsSeenFromThePlan(t *testing.T) {
	const stall = 200 * time.Millisecond
	var stalled atomic.Bool
	l := crowdOf(t, serve(t, func(c net.Conn) {
		p := make([]byte, 64)
		for {
			n, err := c.Read(p)
			if err != nil {
				return
			}
			if !stalled.Swap(true) {
				time.Sleep(stall)
			}
			c.Write(p[:n])
		}
	}), 64, 1)
	stalled.Store(true)
	if err := l.connect(1); err != nil {
		t.Fatal(err)
	}
	stalled.Store(false)
	tally, err := l.openLoop(1, 1000, 2*stall)
	if err != nil {
		t.Fatal(err)
	}
	if p75 := tally.latency.ValueAtPercentile(75); p75 < int64(stall/10) {
		t.Errorf("a quarter of the requests waited for at most %v", time.Duration(p75))
	}
	// The slowest one alone is above half of the stall: all others were sent late.
	slow := int64(0)
	for _, bar := range tally.naive.Distribution() {
		if bar.From > int64(stall/2) {
			slow += bar.Count
		}
	}
	if slow != 1 || tally.late < 50 {
		t.Errorf("naively %d requests were slow, and %d were late", slow, tally.late)
	}
}

func TestChurn(t *testing.T) {
	var served atomic.Int64
	l := crowdOf(t, serve(t, func(c net.Conn) {
		served.Add(1)
		echo(c)
	}), 64, 2)
	tally, err := l.churn(4, brief)
	if err != nil {
		t.Fatal(err)
	}
	if tally.requests < 4 || tally.latency.TotalCount() != tally.requests || served.Load() != tally.requests {
		t.Errorf("%d requests, %d connections", tally.requests, served.Load())
	}
}

// A server that is not an echo is not measured.
func TestServersThatFail(t *testing.T) {
	after := func(n int, f func(c net.Conn, p []byte) bool) func(net.Conn) {
		return func(c net.Conn) {
			p := make([]byte, 4096)
			for i := 0; ; i++ {
				k, err := c.Read(p)
				if err != nil {
					return
				}
				if i < n {
					c.Write(p[:k])
				} else if !f(c, p[:k]) {
					return
				}
			}
		}
	}
	for _, test := range []struct {
		name string
		f    func(net.Conn)
		want string
	}{
		{"wrong byte", after(3, func(c net.Conn, p []byte) bool {
			p[6] ^= 1
			c.Write(p)
			return true
		}), "received a wrong byte: byte 7 of 64 is 0x"},
		{"one byte too many", after(3, func(c net.Conn, p []byte) bool {
			c.Write(append(bytes.Clone(p), '!'))
			return true
		}), "received 65 bytes, and had sent only 64"},
		{"early close", after(3, func(c net.Conn, p []byte) bool { return false }), "closed the connection (FIN), with 64 bytes owed"},
		{"reset", after(3, func(c net.Conn, p []byte) bool {
			c.(*net.TCPConn).SetLinger(0)
			return false
		}), "connection reset by peer"},
		{"silence", after(3, func(c net.Conn, p []byte) bool { return true }), "has waited 300ms for 64 bytes of 64"},
		{"byte by byte", after(3, func(c net.Conn, p []byte) bool {
			for i := range p {
				if _, err := c.Write(p[i : i+1]); err != nil {
					return false
				}
				time.Sleep(50 * time.Millisecond) // this is how slow it is
			}
			return true
		}), "has waited 300ms for "},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := serve(t, test.f)
			l, err := newLoad(t.Context(), crowd{
				to: addr.(*net.TCPAddr).AddrPort(), size: 64, threads: 1, patience: 300 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			if err := l.connect(2); err != nil {
				t.Fatal(err)
			}
			_, err = l.closedLoop(2, 20*time.Second)
			if _, blamed := errors.AsType[*ServerError](err); !blamed || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// A server that is slow, though never too slow for one client, does not keep a
// crowd for hours.
func TestSlowForMany(t *testing.T) {
	addr := serve(t, func(c net.Conn) {
		p := make([]byte, 64)
		if _, err := io.ReadFull(c, p); err == nil {
			time.Sleep(200 * time.Millisecond) // this is how slow it is
			c.Write(p)
		}
		io.Copy(io.Discard, c)
	})
	l, err := newLoad(t.Context(), crowd{
		to: addr.(*net.TCPAddr).AddrPort(), size: 64, threads: 1, patience: 400 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	err = l.connect(200) // it would take 5 s
	if _, blamed := errors.AsType[*ServerError](err); !blamed || !strings.HasPrefix(err.Error(), "the server was too slow: after 3s ") {
		t.Error(err)
	}
}

// Nobody waits for the end of a long run that is not wanted any more.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := serve(t, echo)
	l, err := newLoad(ctx, crowd{to: addr.(*net.TCPAddr).AddrPort(), size: 64, threads: 2, patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if err := l.connect(4); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(brief, cancel)
	start := time.Now()
	if _, err := l.closedLoop(4, time.Hour); !errors.Is(err, context.Canceled) || time.Since(start) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}
