package sys

import (
	"errors"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// watchRing tells of an Enter, with what it hands over: "{read 9, accept 5}".
func watchRing(r *Ring) *Call {
	if probe == nil {
		return nil
	}
	var wanted []string
	for _, s := range r.wanted {
		wanted = append(wanted, s.op.String()+" "+strconv.Itoa(int(s.fd)))
	}
	return begin(Call{Name: "io_uring_enter", FD: r.fd, Args: "{" + strings.Join(wanted, ", ") + "}"})
}

// gotResults puts down what is Done, before the page takes it: "{read 9 = 6}".
func (c *Call) gotResults(r *Ring) *Call {
	if c != nil {
		var done []string
		for i := *r.cqHead; i != atomic.LoadUint32(r.cqTail); i++ {
			d := r.completions[i%uint32(len(r.completions))].result()
			text := d.Op.String() + " " + strconv.Itoa(d.FD) + " = "
			var e *Error
			if errors.As(d.Err, &e) {
				text += unix.ErrnoName(e.Errno)
			} else {
				text += strconv.Itoa(d.N)
			}
			if sa, err := unix.Getpeername(d.N); d.Op == OpAccept && err == nil {
				c.Client = addrPort(sa)
			}
			done = append(done, text)
		}
		c.Got = "{" + strings.Join(done, ", ") + "}"
	}
	return c
}
