package sys

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ProbeEnv is the variable in the environment that says who watches. Children
// inherit it.
const ProbeEnv = "LAB_PROBE"

// A Phase is what a report is about.
type Phase string

const (
	Begins Phase = "begins" // a process reports from now on; only its Pid is known
	Before Phase = "before" // a call is about to be made
	Parks  Phase = "parks"  // it has to wait, in the Go runtime's epoll
	After  Phase = "after"  // it has returned
	Ends   Phase = "ends"   // the process reports no more, as a rule because it has ended
)

// A Report is what a probe in one process tells a watcher in another.
type Report struct {
	Phase Phase
	Who   string // "server", "child 1", "converse 2": the watcher's name for the goroutine
	Call
}

// String is a report as it is sent: one line, in which tabs separate. Times are
// nanoseconds of the wall clock, which all processes have in common, and the
// kernel's time stamps of packets too.
func (r Report) String() string {
	client := ""
	if r.Client.IsValid() {
		client = r.Client.String()
	}
	return strings.Join([]string{
		string(r.Phase),
		strconv.FormatUint(r.ID, 10),
		strconv.Itoa(r.Pid), strconv.Itoa(r.Tid), strconv.FormatUint(r.Goroutine, 10),
		r.Task, r.Page, r.Name, strconv.Itoa(r.FD), r.Args, client,
		nanoseconds(r.Start), nanoseconds(r.End),
		strconv.Itoa(r.N), r.Got, strconv.Itoa(int(r.Errno)), strconv.FormatBool(r.Slept),
	}, "\t")
}

// ParseReport reads what String writes.
func ParseReport(text string) (Report, error) {
	var bad error
	number := func(digits string) uint64 {
		n, err := strconv.ParseInt(digits, 10, 64)
		bad = errors.Join(bad, err)
		return uint64(n)
	}
	f := strings.Split(text, "\t")
	if len(f) != 17 {
		return Report{}, fmt.Errorf("not a report: %q", text)
	}
	r := Report{Phase: Phase(f[0]), Call: Call{
		ID:  number(f[1]),
		Pid: int(number(f[2])), Tid: int(number(f[3])), Goroutine: number(f[4]),
		Task: f[5], Page: f[6], Name: f[7], FD: int(number(f[8])), Args: f[9],
		Start: wallClock(number(f[11])), End: wallClock(number(f[12])),
		N: int(number(f[13])), Got: f[14], Errno: unix.Errno(number(f[15])),
	}}
	var err, err2 error
	if f[10] != "" {
		r.Client, err = netip.ParseAddrPort(f[10])
	}
	r.Slept, err2 = strconv.ParseBool(f[16])
	if bad = errors.Join(bad, err, err2); bad != nil {
		return Report{}, fmt.Errorf("not a report: %q: %w", text, bad)
	}
	return r, nil
}

func nanoseconds(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.UnixNano(), 10)
}

func wallClock(nanoseconds uint64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(nanoseconds))
}

// ReportCalls has this process report its calls, if somebody watches: if the
// environment says who, and they are still there. It is called before a page
// serves, in a child too.
func ReportCalls() {
	watcher := os.Getenv(ProbeEnv)
	if watcher == "" {
		return
	}
	name, hold := strings.CutPrefix(watcher, "hold:")
	fd, err := connectTo(name)
	if err != nil {
		return
	}
	r := &reporter{fd: fd}
	if hold {
		r.held = map[uint64]chan struct{}{}
		go r.listen()
	}
	Watch(r)
}

func connectTo(name string) (fd int, err error) {
	fd, err = OutOfTheWay(unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0))
	if err != nil {
		return -1, err
	}
	// A watcher that does not read for so long is as good as gone.
	patience := unix.Timeval{Sec: 1}
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience),
		unix.Connect(fd, &unix.SockaddrUnix{Name: name}),
	)
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// OutOfTheWay gives a new descriptor a high number, so that those of the page
// have the numbers that they have when nobody watches.
func OutOfTheWay(fd int, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return -1, err
	}
	most := min(int(limit.Cur), unix.FD_SETSIZE)
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, most-most/8)
}

// A reporter is a probe that sends what it is told to a watcher. When the
// watcher goes away, calls go on as if nobody had ever watched.
type reporter struct {
	fd int

	mu   sync.Mutex // guards what follows
	held map[uint64]chan struct{}
	gone bool
}

func (r *reporter) Parks(c Call) { r.send(Report{Phase: Parks, Call: c}) }
func (r *reporter) After(c Call) { r.send(Report{Phase: After, Call: c}) }

// Before waits for the watcher's word, if it wants to be waited for.
func (r *reporter) Before(c Call) {
	released := make(chan struct{})
	r.mu.Lock()
	hold := r.held != nil && !r.gone
	if hold {
		r.held[c.ID] = released
	}
	r.mu.Unlock()
	r.send(Report{Phase: Before, Call: c})
	if hold {
		<-released
	}
}

func (r *reporter) send(report Report) {
	r.mu.Lock()
	gone := r.gone
	r.mu.Unlock()
	for !gone {
		err := unix.Send(r.fd, []byte(report.String()), unix.MSG_NOSIGNAL)
		if err == nil {
			return
		}
		if gone = err != unix.EINTR; gone {
			r.giveUp()
		}
	}
}

// listen lets a call go when the watcher sends its number.
func (r *reporter) listen() {
	var buf [32]byte
	for {
		n, err := unix.Read(r.fd, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			r.giveUp()
			return
		}
		id, _ := strconv.ParseUint(string(buf[:n]), 10, 64)
		r.mu.Lock()
		if released := r.held[id]; released != nil {
			delete(r.held, id)
			close(released)
		}
		r.mu.Unlock()
	}
}

// giveUp lets all calls go. The descriptor stays open: another thread may be
// about to use it, and its number must not be somebody else's then.
func (r *reporter) giveUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
	for id, released := range r.held {
		delete(r.held, id)
		close(released)
	}
	unix.Shutdown(r.fd, unix.SHUT_RDWR)
}
