package experiment

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

var timeWait = Experiment{
	Name: "time-wait", Title: "why does my server not start again?",
	Lesson: 2, Takes: time.Second,
	Look:    "which bind fails, and who has the connection in TIME-WAIT",
	Why:     "Who sends the first FIN keeps the connection in TIME-WAIT, for 60 seconds on Linux: somebody must be left to repeat the last ACK, and late segments must not be taken for those of a new connection. While a connection of a port is there, bind fails, unless SO_REUSEADDR was set on both: on the old listening socket, from which the connection has it, and on the new one.",
	Read:    "socket(7), SO_REUSEADDR; RFC 9293, section 3.6.1",
	Picture: "lab trace --model=blocking --scene=close-server",
	Page:    "models/sys/listen.go:SO_REUSEADDR",
	Ask: func(seed *rand.Rand) Question {
		old := seed.IntN(2) == 0
		word := map[bool]string{true: "with", false: "without"}
		return Question{
			Asks: fmt.Sprintf("A server that listened %s SO_REUSEADDR closes its last connection first, ends, and is started again at once, now with SO_REUSEADDR. What does bind say?", word[old]),
			Says: []Choice{
				{"it succeeds", map[bool]string{false: "The connection in TIME-WAIT was made without the option, and it counts on both sides."}[old]},
				{"EADDRINUSE: the connection is in TIME-WAIT, at the server", map[bool]string{true: "Both the old and the new socket had the option: then TIME-WAIT is no obstacle."}[old]},
				{"EADDRINUSE: the client has not closed yet", "The client had closed. It is the server's own end that is in TIME-WAIT."},
			},
			Right: map[bool]int{true: 0, false: 1}[old],
			Run: func(r *Run) (int, string) {
				var asked error
				var remains time.Duration
				for _, first := range []string{"server", "client"} {
					for _, before := range []bool{false, true} {
						for _, after := range []bool{false, true} {
							at, timer, err := startAgain(r, first, before, after)
							r.Row(fmt.Sprintf("%s first, %s, then %s", first, word[before], word[after]), at, result(err))
							if first == "server" && before == old && after {
								asked, remains = err, timer
							}
						}
					}
				}
				r.Columns("TIME-WAIT", "bind")
				inUse := asked == unix.EADDRINUSE
				saw := which(asked == nil && remains > 0, inUse && remains > 0, inUse)
				return saw, fmt.Sprintf("The server had listened %s the option and closed first: its end was in TIME-WAIT for another %s, and bind with the option: %s.", word[old], Took(remains), result(asked))
			},
		}
	},
}

func result(err error) string {
	if err == nil {
		return "succeeds"
	}
	return cause(err)
}

// startAgain has a server and a client part, the first one first, and binds the
// server's port again. It says whose end is in TIME-WAIT, and for how long.
func startAgain(r *Run, first string, before, after bool) (at string, remains time.Duration, err error) {
	lfd, port, err := bound(0, before)
	r.Check(err)
	r.Check(unix.Listen(lfd, 1))
	client := r.Dial(fmt.Sprintf("127.0.0.1:%d", port))
	server := r.accept(lfd)
	ends := []*Client{server, client}
	if first == "client" {
		ends = []*Client{client, server}
	}
	for _, end := range ends {
		end.Close()
		r.Sleep(5 * time.Millisecond)
	}
	unix.Close(lfd)
	at = "nobody's"
	for whose, port := range map[string]uint16{"server's": port, "client's": client.Name().Port()} {
		all, err := proc.Sockets(os.Getpid(), port)
		r.Check(err)
		for _, s := range all {
			if s.State == proc.TimeWait {
				at = whose
				remains = timer(r, s)
			}
		}
	}
	again, _, err := bound(port, after)
	unix.Close(again)
	return at, remains, err
}

// bound is a socket with a port of loopback's.
func bound(port uint16, reuse bool) (fd int, at uint16, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fd, 0, err
	}
	if reuse {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fd, 0, err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return fd, 0, err
	}
	return fd, uint16(sa.(*unix.SockaddrInet4).Port), nil
}
