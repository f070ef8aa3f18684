//go:build linux

package reactors_test

import (
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/internal/modeltest"
	"socketlab/models/sys"
)

// A way is how clients come to one of several loops.
type way struct {
	name   string
	each   bool   // loop has a listening socket of its own, by SO_REUSEPORT
	events uint32 // what each loop asks about the listening socket; 0: one thread accepts, and deals
}

var ways = []way{
	{"dealt", false, 0},
	{"epoll", false, unix.EPOLLIN},
	{"epoll-exclusive", false, unix.EPOLLIN | unix.EPOLLEXCLUSIVE},
	{"reuseport", true, unix.EPOLLIN},
}

const loops = 4

// A reactor is a loop that counts.
type reactor struct {
	epfd, lfd int
	stuck     chan bool // closed: it may go on
	clients   atomic.Int32
	wakes     atomic.Int32 // how often epoll_wait returned because of a new client
}

// run serves until the listening socket is shut down: echo, one read a turn.
func (r *reactor) run(ended *sync.WaitGroup, dealt bool) {
	defer ended.Done()
	runtime.LockOSThread()
	buf := make([]byte, 64)
	ready := make([]unix.EpollEvent, 64)
	for {
		n, err := sys.EpollWait(r.epfd, ready, -1)
		if err != nil {
			return
		}
		for _, e := range ready[:n] {
			fd := int(e.Fd)
			if fd == r.lfd {
				r.wakes.Add(1)
				cfd, err := sys.Accept(fd, unix.SOCK_NONBLOCK)
				switch {
				case sys.Again(err): // another loop was faster
				case err != nil: // it is over
					return
				default:
					r.take(cfd)
				}
				continue
			}
			if r.stuck != nil {
				<-r.stuck // a handler that takes its time
			}
			if n, _ := sys.TryRead(fd, buf); n > 0 {
				sys.TryWrite(fd, buf[:n])
			} else {
				sys.Close(fd)
			}
		}
	}
}

func (r *reactor) take(cfd int) {
	r.clients.Add(1)
	sys.EpollCtl(r.epfd, unix.EPOLL_CTL_ADD, cfd, unix.EPOLLIN)
}

// counts are in percent of all clients, but wakes, which are for each client.
type counts struct{ fewest, most, wakes, waiting float64 }

// share has clients come and say a word, one after the other, and stay. One
// loop may be stuck: whoever has to wait for it is counted as waiting.
func share(tb testing.TB, w way, clients int, stuck bool) counts {
	tb.Helper()
	addr := netip.MustParseAddrPort("127.0.0.1:0")
	var all []*reactor
	var lfds []int
	var ended sync.WaitGroup
	release := make(chan bool)
	for n := range loops {
		if n == 0 || w.each {
			lfd, err := sys.Listen(addr, 128, unix.SO_REUSEPORT)
			if err != nil {
				tb.Fatal(err)
			}
			defer sys.Close(lfd)
			addr, _ = sys.LocalAddr(lfd)
			lfds = append(lfds, lfd)
		}
		r := &reactor{lfd: lfds[len(lfds)-1]}
		r.epfd, _ = sys.EpollCreate()
		defer sys.Close(r.epfd)
		if n == 0 && stuck {
			r.stuck = release
		}
		if w.events != 0 {
			sys.SetNonblock(r.lfd)
			sys.EpollCtl(r.epfd, unix.EPOLL_CTL_ADD, r.lfd, w.events)
		}
		all = append(all, r)
	}
	for _, r := range all {
		ended.Add(1)
		go r.run(&ended, w.events == 0)
	}
	dealing := make(chan bool)
	go func() {
		defer close(dealing)
		for n := 0; w.events == 0; n++ {
			cfd, err := sys.Accept(lfds[0], unix.SOCK_NONBLOCK)
			if err != nil {
				return
			}
			all[n%loops].take(cfd)
		}
	}()
	c := counts{fewest: 100}
	conns := visit(tb, addr, clients, stuck, &c)
	for _, r := range all {
		share := 100 * float64(r.clients.Load()) / float64(clients)
		c.fewest, c.most = min(c.fewest, share), max(c.most, share)
		c.wakes += float64(r.wakes.Load()) / float64(clients)
	}
	close(release)
	for _, conn := range conns {
		conn.Close()
	}
	for _, lfd := range lfds {
		sys.Shutdown(lfd, unix.SHUT_RDWR)
	}
	<-dealing
	if w.events == 0 { // nobody has asked about it so far
		for _, r := range all {
			sys.SetNonblock(r.lfd)
			sys.EpollCtl(r.epfd, unix.EPOLL_CTL_ADD, r.lfd, unix.EPOLLIN)
		}
	}
	ended.Wait()
	return c
}

// visit connects clients, each with a word. The answer takes microseconds, and
// one that has not come in 30 ms waits for the loop that is stuck.
func visit(tb testing.TB, addr netip.AddrPort, clients int, stuck bool, c *counts) (conns []net.Conn) {
	tb.Helper()
	for range clients {
		conn := modeltest.Dial(tb, addr.String())
		conns = append(conns, conn)
		modeltest.Send(tb, conn, "hello\n")
		if stuck {
			conn.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		}
		if _, err := conn.Read(make([]byte, 6)); err != nil {
			if !stuck {
				tb.Fatal(err)
			}
			c.waiting += 100 / float64(clients)
		}
	}
	return conns
}

// BenchmarkShares tells who gets the clients, and how many loops wake for one.
// With -benchtime=1000x the figures of docs/models/reactors.md:
//
//	go test ./models/reactors -run '^$' -bench Shares -benchtime=1000x
func BenchmarkShares(b *testing.B) {
	for _, w := range ways {
		for _, stuck := range []bool{false, true} {
			b.Run(w.name+"/stuck="+strconv.FormatBool(stuck), func(b *testing.B) {
				c := share(b, w, min(b.N, 1000), stuck)
				b.ReportMetric(c.fewest, "%fewest")
				b.ReportMetric(c.most, "%most")
				b.ReportMetric(c.wakes, "wakes/client")
				b.ReportMetric(c.waiting, "%waiting")
				b.ReportMetric(0, "ns/op") // this is not about speed
			})
		}
	}
}

// Dealt clients are in equal shares, and those dealt to a loop that is stuck
// wait. On one listening socket no new client waits for it.
func TestShares(t *testing.T) {
	const clients = 40
	dealt := share(t, ways[0], clients, false)
	if dealt.fewest != dealt.most {
		t.Errorf("dealt in turn: %.0f %% to %.0f %% for each loop, want equal shares", dealt.fewest, dealt.most)
	}
	if stuck := share(t, ways[0], clients, true); stuck.waiting < 100/loops-10 {
		t.Errorf("one of %d loops is stuck, and %.0f %% wait", loops, stuck.waiting)
	}
	last := share(t, ways[2], clients, false)
	if last.most < 2*dealt.most {
		t.Errorf("with EPOLLEXCLUSIVE one loop has %.0f %% at most; clients that come one after the other all find the same loop last", last.most)
	}
}
