//go:build linux

package prefork_test

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/models/internal/modeltest"
	"socketlab/models/sys"
)

// A way is how processes wait for clients on a listening socket.
type way struct {
	name  string
	each  bool                                      // has a socket of its own, by SO_REUSEPORT
	waits func(lfd int) func() (cfd int, err error) // makes the function that accepts
}

var ways = []way{
	{"accept", false, waitInAccept},
	{"poll", false, func(lfd int) func() (int, error) {
		sys.SetNonblock(lfd)
		fds := []unix.PollFd{{Fd: int32(lfd), Events: unix.POLLIN}}
		return func() (int, error) {
			sys.Poll(fds, -1)
			return sys.Accept(lfd, 0)
		}
	}},
	{"epoll", false, waitInEpoll(unix.EPOLLIN)},
	{"epoll-exclusive", false, waitInEpoll(unix.EPOLLIN | unix.EPOLLEXCLUSIVE)},
	{"reuseport", true, waitInAccept},
}

func waitInAccept(lfd int) func() (int, error) {
	return func() (int, error) { return sys.Accept(lfd, 0) }
}

func waitInEpoll(events uint32) func(lfd int) func() (int, error) {
	return func(lfd int) func() (int, error) {
		sys.SetNonblock(lfd)
		epfd, _ := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, lfd, &unix.EpollEvent{Events: events})
		return func() (int, error) {
			unix.EpollWait(epfd, make([]unix.EpollEvent, 1), -1) // if interrupted, accept finds nobody
			return sys.Accept(lfd, 0)
		}
	}
}

const herd = 8 // processes, as many as the page has

// What each of them counts, in its places of the shared memory.
const (
	ready    = iota
	served   // clients
	inVain   // accepts that found nobody
	switches // how often it went to sleep
	counters
)

// herdChild is one process of the herd. It serves one client after the other,
// each with one message.
func herdChild() {
	if os.Args[0] != "herd" {
		return
	}
	runtime.LockOSThread() // whose switches are counted
	numbers, err := sys.Shared[[herd * counters]atomic.Int32](4)
	if err != nil {
		os.Exit(1)
	}
	way, _ := strconv.Atoi(os.Args[1])
	place, _ := strconv.Atoi(os.Args[2])
	mine := numbers[place*counters:][:counters]
	accept := ways[way].waits(3)
	mine[ready].Store(1)
	for buf := make([]byte, 64); ; {
		cfd, err := accept()
		var usage unix.Rusage
		unix.Getrusage(unix.RUSAGE_THREAD, &usage)
		mine[switches].Store(int32(usage.Nvcsw))
		switch {
		case err == nil:
			n, _ := sys.Read(cfd, buf)
			sys.Write(cfd, buf[:n])
			sys.Close(cfd)
			mine[served].Add(1)
		case sys.Again(err):
			mine[inVain].Add(1)
		default: // it is over
			os.Exit(0)
		}
	}
}

// counts are the sums over the herd, for each client; the shares are in percent
// of all clients.
type counts struct {
	switches, inVain float64
	fewest, most     float64
}

// measure has a herd serve clients, some of them at a time.
func measure(tb testing.TB, which, clients, together int) counts {
	tb.Helper()
	lfds := []int{listening(tb, netip.MustParseAddrPort("127.0.0.1:0"))}
	addr, err := sys.LocalAddr(lfds[0])
	if err != nil {
		tb.Fatal(err)
	}
	for ways[which].each && len(lfds) < herd {
		lfds = append(lfds, listening(tb, addr))
	}
	shared, numbers, err := sys.Share[[herd * counters]atomic.Int32]()
	if err != nil {
		tb.Fatal(err)
	}
	defer sys.Close(shared)
	at := func(place, counter int) *atomic.Int32 { return &numbers[place*counters+counter] }
	for place := range herd {
		args := []string{"herd", strconv.Itoa(which), strconv.Itoa(place)}
		if _, err := sys.Start(&exec.Cmd{Path: "/proc/self/exe", Args: args}, -1, -1, 2, lfds[place%len(lfds)], shared); err != nil {
			tb.Fatal(err)
		}
	}
	for place := range herd {
		modeltest.Within(tb, "all processes wait", func() bool { return at(place, ready).Load() > 0 })
	}
	visitAll(tb, addr, clients, together)
	for _, lfd := range lfds {
		sys.Shutdown(lfd, unix.SHUT_RDWR)
		sys.Close(lfd)
	}
	for range herd {
		if _, code, err := sys.Wait(); code != 0 || err != nil {
			tb.Fatalf("a process of the herd ended with exit code %d (%v)", code, err)
		}
	}
	c := counts{fewest: 100}
	n := float64(clients)
	for place := range herd {
		c.switches += float64(at(place, switches).Load()) / n
		c.inVain += float64(at(place, inVain).Load()) / n
		share := 100 * float64(at(place, served).Load()) / n
		c.fewest, c.most = min(c.fewest, share), max(c.most, share)
	}
	return c
}

func listening(tb testing.TB, addr netip.AddrPort) int {
	tb.Helper()
	lfd, err := sys.Listen(addr, 128, unix.SO_REUSEPORT)
	if err != nil {
		tb.Fatal(err)
	}
	return lfd
}

// visitAll has clients come, say a word, hear it and leave; some at a time.
func visitAll(tb testing.TB, addr netip.AddrPort, clients, together int) {
	tb.Helper()
	var left atomic.Int32
	left.Store(int32(clients))
	var all sync.WaitGroup
	for range together {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := visit(addr); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func visit(addr netip.AddrPort) error {
	cfd, err := sys.Connect(addr)
	if err != nil {
		return err
	}
	defer sys.Close(cfd)
	if _, err := sys.Write(cfd, []byte("hello\n")); err != nil {
		return err
	}
	buf := make([]byte, 64)
	for n := -1; n != 0 && err == nil; { // until it closes
		n, err = sys.Read(cfd, buf)
	}
	return err
}

// BenchmarkHerd tells who is woken for a client, and who gets it. With
// -benchtime=2000x the figures of docs/models/prefork.md:
//
//	go test ./models/prefork -run '^$' -bench Herd -benchtime=2000x
func BenchmarkHerd(b *testing.B) {
	for _, together := range []int{1, 16} {
		for which, way := range ways {
			b.Run(way.name+"/together="+strconv.Itoa(together), func(b *testing.B) {
				c := measure(b, which, b.N, together)
				b.ReportMetric(c.switches, "sleeps/client")
				b.ReportMetric(c.inVain, "invain/client")
				b.ReportMetric(c.fewest, "%fewest")
				b.ReportMetric(c.most, "%most")
				b.ReportMetric(0, "ns/op") // this is not about speed
			})
		}
	}
}

// Processes asleep in accept are woken one at a time, and in turn. Those asleep
// in poll are all woken for each client, and for all but one it is in vain.
func TestHerd(t *testing.T) {
	const clients = 200
	in := map[string]counts{}
	for which, way := range ways {
		in[way.name] = measure(t, which, clients, 1)
		t.Logf("%s: %+.2f", way.name, in[way.name])
	}
	if n := in["accept"].inVain; n > 0 {
		t.Errorf("accept finds nobody, %.2f times for each client", n)
	}
	for _, name := range []string{"poll", "epoll"} {
		if one, all := in["accept"].switches, in[name].switches; all < 2*one {
			t.Errorf("with %s they sleep %.1f times for each client, in accept %.1f times; where is the herd?", name, all, one)
		}
	}
	if turns, last := in["accept"].most, in["epoll-exclusive"].most; last < turns {
		t.Errorf("with epoll-exclusive one process has at most %.0f %% of the clients, with accept %.0f %%", last, turns)
	}
}
