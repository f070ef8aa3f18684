package sys

import (
	"errors"
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

// A Report is what this process tells a watcher in another.
type Report struct {
	Phase Phase
	Call
}

// Fields are the parts of a report that are sent, in this order, in one line
// with tabs between them. The watcher reads the line with the same list.
func (r *Report) Fields() []any {
	return []any{
		&r.Phase, &r.ID, &r.Pid, &r.Tid, &r.Goroutine, &r.Task, &r.Page, &r.Name, &r.FD,
		&r.Args, &r.Client, &r.Start, &r.End, &r.N, &r.Got, &r.Errno, &r.Slept,
	}
}

// String is the line. Times are nanoseconds of the wall clock, which all
// processes have in common, and the kernel's time stamps of packets too.
func (r *Report) String() string {
	var values []string
	for _, field := range r.Fields() {
		value := ""
		switch f := field.(type) {
		case *Phase:
			value = string(*f)
		case *string:
			value = *f
		case *int:
			value = strconv.Itoa(*f)
		case *uint64:
			value = strconv.FormatUint(*f, 10)
		case *bool:
			value = strconv.FormatBool(*f)
		case *unix.Errno:
			value = strconv.Itoa(int(*f))
		case *time.Time:
			if value = "0"; !f.IsZero() {
				value = strconv.FormatInt(f.UnixNano(), 10)
			}
		case *netip.AddrPort:
			if f.IsValid() {
				value = f.String()
			}
		}
		values = append(values, value)
	}
	return strings.Join(values, "\t")
}

// ReportCalls has this process report its calls, if somebody watches: if the
// environment names a watcher that is still there. It is called before a page
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
	Watch(r.tell)
}

func connectTo(name string) (fd int, err error) {
	fd, err = OutOfTheWay(unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0))
	if err != nil {
		return -1, err
	}
	// A watcher that does not read for this long is treated as gone.
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
// watcher goes away, calls go on as if there had never been one.
type reporter struct {
	fd int

	mu   sync.Mutex // guards what follows
	held map[uint64]chan struct{}
	gone bool
}

// tell sends a report; with a call that is about to be made it waits for the
// watcher's word, if the watcher wants that.
func (r *reporter) tell(phase Phase, c Call) {
	released := make(chan struct{})
	r.mu.Lock()
	hold := phase == Before && r.held != nil && !r.gone
	if hold {
		r.held[c.ID] = released
	}
	gone := r.gone
	r.mu.Unlock()
	report := Report{phase, c}
	for err := error(unix.EINTR); err == unix.EINTR && !gone; {
		if err = unix.Send(r.fd, []byte(report.String()), unix.MSG_NOSIGNAL); err != nil && err != unix.EINTR {
			r.giveUp()
		}
	}
	if hold {
		<-released
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
