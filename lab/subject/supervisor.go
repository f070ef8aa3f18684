package subject

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
)

// A supervisor is this program once more, in a small role: it starts one server
// and looks after all that the server starts. It is their subreaper: every
// orphan among them becomes its child, whatever session, process group or
// environment it has given itself: PR_SET_CHILD_SUBREAPER in prctl(2). So a
// server's family is what descends from its supervisor.
//
// A socket connects it with the lab. When the lab is gone, however it went, the
// socket ends, and the supervisor kills the family. When the supervisor is
// killed itself, the server goes with it (PR_SET_PDEATHSIG), and its children
// may stay. A PID namespace would close that gap; but in one the server has
// other pids than we see, in what it prints and in what strace(1) says.
const supervisorName = "lab: a supervisor"

// What the lab says to the supervisor, one message each. The end of the socket
// means: stop at once.
const (
	sayGo     = "go"     // the pid is noted: from now on collect who has ended
	sayKill   = "kill"   // kill the family
	sayStop   = "stop"   // SIGTERM to the server's process group, after Grace kill the family, and end
	saySocket = "socket" // and three numbers, as of socket(2): send one of the server's network namespace
)

// The supervisor answers "pid 123"; "failed 2", with an errno; "used 1000", the
// CPU time of somebody whom it has collected, in nanoseconds; "ended 256", with
// the server's wait status; "socket 0", with the descriptor or an errno; and "left 123"
// when that process cannot be killed.

var childAsked bool // so that Start knows that a supervisor would

// Child is the supervisor in a process that Start began, and does not return
// there. In any other it returns at once. It is called first thing in main, and
// in TestMain.
func Child() {
	childAsked = true
	if os.Args[0] != supervisorName {
		return
	}
	runtime.LockOSThread() // PR_SET_PDEATHSIG means the thread that has started the server
	var s supervisor
	if err := s.run(os.Args[1:]); err != nil {
		errno, _ := err.(syscall.Errno)
		s.say(fmt.Sprintf("failed %d", errno))
	}
	syscall.Exit(0) // and not os.Exit, which waits for a second under the race detector
}

// A supervisor does everything in one goroutine. So it never signals a process
// that it has collected: its pid may belong to a stranger by now.
type supervisor struct {
	server int  // its pid; 0: it has ended, and was collected
	alone  bool // no child is left, so none can come any more
	ended  chan os.Signal
	words  chan string // from the lab; closed when it is gone
}

const lab = 3 // the descriptor of the socket

func (s *supervisor) say(text string, fds ...int) {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	unix.Sendmsg(lab, []byte(text), rights, nil, unix.MSG_NOSIGNAL) // the lab may be gone
}

// run starts the server, and does what the lab says: args are the server's
// limit of descriptors, whether it lives in a network namespace of its own, its
// path, and its argv.
func (s *supervisor) run(args []string) error {
	unix.CloseOnExec(lab)
	files, _ := strconv.ParseUint(args[0], 10, 64)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	if args[1] == "namespace" {
		if err := EnterNamespaces(); err != nil {
			return err
		}
	}
	if files > 0 { // the server inherits it; to raise it again takes CAP_SYS_RESOURCE
		if err := syscall.Setrlimit(unix.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: files}); err != nil {
			return err
		}
	}
	// They are caught, and not ignored: the server would inherit that.
	caught := []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE}
	signal.Notify(make(chan os.Signal, 1), slices.DeleteFunc(caught, signal.Ignored)...)
	s.ended = make(chan os.Signal, 1)
	signal.Notify(s.ended, unix.SIGCHLD)
	var err error
	s.server, err = syscall.ForkExec(args[2], args[3:], &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return err
	}
	for fd := range lab { // they are the server's alone
		unix.Close(fd)
	}
	s.say(fmt.Sprintf("pid %d", s.server))
	s.words = make(chan string)
	go s.listen()
	for {
		select {
		case <-s.ended:
			s.collect()
		case word := <-s.words:
			switch {
			case word == sayGo:
				s.collect()
			case word == sayKill:
				s.kill()
			case strings.HasPrefix(word, saySocket):
				s.socket(word)
			default:
				if word == sayStop {
					s.ask()
				}
				s.kill()
				return nil
			}
		}
	}
}

func (s *supervisor) listen() {
	defer close(s.words)
	var text [100]byte
	for {
		n, err := unix.Read(lab, text[:])
		switch {
		case err == unix.EINTR:
		case err != nil || n == 0:
			return
		default:
			s.words <- string(text[:n])
		}
	}
}

// collect collects all who have ended, as init(1) would.
func (s *supervisor) collect() {
	for {
		var status unix.WaitStatus
		var used unix.Rusage
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, &used)
		switch {
		case err == unix.EINTR:
		case err != nil:
			s.alone = true
			return
		case pid == 0:
			return
		default:
			s.say(fmt.Sprintf("used %d", used.Utime.Nano()+used.Stime.Nano()))
		}
		if pid == s.server {
			s.server = 0
			s.say(fmt.Sprintf("ended %d", status))
		}
	}
}

// ask asks the server to end, and gives it some time.
func (s *supervisor) ask() {
	grace := time.After(Grace)
	s.collect()
	if s.server > 0 {
		syscall.Kill(-s.server, syscall.SIGTERM)
		syscall.Kill(-s.server, syscall.SIGCONT) // a stopped process does not act on SIGTERM
	}
	for s.server > 0 {
		select {
		case <-s.ended:
			s.collect()
		case <-s.words: // kill, or the lab is gone
			return
		case <-grace:
			return
		}
	}
}

// kill kills the family until nobody is left: somebody may have started another
// process while we looked.
func (s *supervisor) kill() {
	deadline := time.Now().Add(stubborn)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if s.collect(); s.alone {
			return
		}
		left, _ := family(os.Getpid())
		for _, p := range left {
			syscall.Kill(p.Pid, syscall.SIGKILL)
		}
		if time.Now().After(deadline) && len(left) > 0 {
			s.say(fmt.Sprintf("left %d", left[0].Pid))
			return
		}
		select {
		case <-s.ended:
		case <-time.After(pause): // nobody tells us when one ends that is not our child
		}
	}
}

// family is what descends from a supervisor. Its children that have ended are
// left out: it is about to collect them.
func family(supervisor int) ([]proc.Process, error) {
	all, err := proc.All()
	if err != nil {
		return nil, err
	}
	roots := slices.DeleteFunc(slices.Clone(all), func(p proc.Process) bool {
		return p.Parent != supervisor || p.Ended()
	})
	return proc.Family(all, roots...), nil
}
