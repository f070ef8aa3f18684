// Package step lets a person go through a server, one system call of its page
// after the other. Before each call it shows what everybody is doing.
//
// The stepper uses a probe.Watcher, which holds each call back. It starts the
// server and stays outside of it. The server's children report to it in the same
// way as the server.
package step

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/probe"
	"socketlab/lab/text"
	"socketlab/models/sys"
)

// A Stepper asks a person before each call of a server.
type Stepper struct {
	Options
	out      io.Writer
	operator *os.File // a pipe: the lines that the person begins with ">"; nil: there is no operator
	watcher  *probe.Watcher
	reports  chan probe.Report
	typed    chan string   // a line; closed at the end of input
	stopping chan struct{} // closed when the server is to stop
	over     chan struct{}
	quit     func() // stops the server, as Ctrl-C does

	// What follows is the loop's own.
	actors  []*actor // in the order in which they came
	held    []*actor // their calls wait for the person, in this order
	moving  *actor   // its call was let go, and has not returned or fallen asleep yet
	mode    mode
	left    int       // calls to let go in mode some
	asked   *actor    // its call is the question on the screen
	clients []*client // by number, from 1
	opening []string  // the calls before the page: socket, bind, listen
	begun   bool      // a call of the page was held
	server  place     // its listening descriptor
	addr    netip.AddrPort
}

// Options describe the server.
type Options struct {
	Model   string   // what it is called
	Talk    bool     // it has an operator, who uses the same keyboard
	Command []string // starts it
}

type mode int

const (
	ask       mode = iota // before each call
	some                  // a number of calls, without asking
	toSleep               // until one sleeps
	runOn                 // all calls, and show none
	forgotten             // the server stops: ask no more
)

// An actor is a goroutine of the server or of one of its children.
type actor struct {
	name  string
	pid   int
	call  sys.Call
	doing doing
	shown bool      // the screen ends with its call
	since time.Time // when it was let go, or fell asleep
	nods  int       // how many times in a row it was seen asleep
}

type doing int

const (
	between doing = iota // two calls
	held
	calling
	asleep
)

// Run starts the server and asks the person at standard input before each call.
// It returns the server's exit code when the server has ended.
func Run(o Options) (code int, err error) {
	s := &Stepper{
		Options:  o,
		out:      os.Stderr,
		reports:  make(chan probe.Report, 1024),
		typed:    make(chan string),
		stopping: make(chan struct{}),
		over:     make(chan struct{}),
	}
	s.watcher, err = probe.NewWatcher(true, func(r probe.Report) {
		select {
		case s.reports <- r:
		case <-s.over:
		}
	})
	if err != nil {
		return 0, fmt.Errorf("cannot step: %w", err)
	}
	defer s.watcher.Close()
	defer close(s.over)
	server, err := s.start()
	if err != nil {
		return 0, fmt.Errorf("cannot step: %w", err)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	defer signal.Stop(signals)
	s.quit = func() { signals <- unix.SIGINT }
	ended := make(chan struct{})
	go func() {
		server.Wait() // how it went is in ProcessState
		close(ended)
	}()
	go s.read(os.Stdin)
	go s.loop()
	for first := true; ; first = false {
		select {
		case <-ended:
			if code := server.ProcessState.ExitCode(); code >= 0 {
				return code, nil
			}
			return 0, fmt.Errorf("the server has ended: %v", server.ProcessState)
		case how := <-signals:
			if first {
				close(s.stopping)
			}
			server.Process.Signal(how)
		}
	}
}

// start starts the server, in a process group of its own: Ctrl-C reaches only the
// stepper, which passes it on once. The person and the operator share one
// keyboard, so the operator's lines go to the server through a pipe.
func (s *Stepper) start() (*exec.Cmd, error) {
	server := exec.Command(s.Command[0], s.Command[1:]...)
	server.Stdout, server.Stderr = os.Stdout, os.Stderr
	server.Env = append(os.Environ(), s.watcher.Env())
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGTERM}
	if s.Talk {
		keyboard, operator, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer keyboard.Close()
		server.Stdin, s.operator = keyboard, operator
	}
	return server, server.Start()
}

// read reads the person's lines. It ends with the process, because a read from a
// terminal cannot be cancelled.
func (s *Stepper) read(in io.Reader) {
	defer close(s.typed)
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if err != nil && line == "" {
			return
		}
		select {
		case s.typed <- strings.TrimSuffix(line, "\n"):
		case <-s.over:
			return
		}
	}
}

// loop waits for reports of the server and for lines of the person. The kernel
// does not report that a thread has fallen asleep. So, while a call is on its way,
// loop asks the kernel each millisecond.
func (s *Stepper) loop() {
	typed, stopping := s.typed, s.stopping
	for {
		var tick <-chan time.Time
		heard := typed
		if !s.begun {
			heard = nil // lines that are typed before the first question wait
		}
		if s.moving != nil {
			tick = time.After(time.Millisecond)
		}
		select {
		case r := <-s.reports:
			s.hear(r)
		case line, open := <-heard:
			if !open {
				typed = nil
				s.inputEnds()
				break
			}
			s.obey(line)
		case <-tick:
			a := s.moving
			if a.nods++; !a.sleeping() {
				a.nods = 0
			}
			if a.nods > 1 { // once may be a lock in the kernel, held for a moment
				s.sleeps(a)
			}
		case <-stopping:
			s.mode, stopping = forgotten, nil
		case <-s.over:
			return
		}
		s.goOn()
	}
}

// hear takes a report.
func (s *Stepper) hear(r probe.Report) {
	a := s.actor(r)
	switch r.Phase {
	case sys.Before:
		a.call, a.doing = r.Call, held
		s.meets(r.Call)
		if onPage(r.Call) {
			s.held, s.begun = append(s.held, a), true
		} else {
			a.doing = calling
			s.watcher.Release(r.Call)
		}
	case sys.Parks:
		a.call = r.Call
		s.sleeps(a)
	case sys.After:
		slept := a.doing == asleep
		a.call, a.doing = r.Call, between
		s.meets(r.Call)
		s.returns(a, slept)
		if r.Name == "close" {
			s.closes(func(at place) bool { return at == place{r.Pid, r.FD} })
		}
		if s.moving == a {
			s.moving = nil
		}
	case probe.Ends:
		s.ends(r.Pid)
	}
}

// sleeps notes that a call has to wait.
func (s *Stepper) sleeps(a *actor) {
	if a.doing == asleep {
		return
	}
	a.doing, a.since = asleep, time.Now()
	if s.moving == a {
		s.moving = nil
	}
	if s.mode == runOn || s.mode == forgotten {
		return
	}
	s.fallsAsleep(a)
	if s.mode == toSleep {
		s.mode = ask
	}
}

// ends removes a process that has ended.
func (s *Stepper) ends(pid int) {
	gone := func(a *actor) bool { return a.pid == pid }
	for _, a := range s.actors {
		if gone(a) && s.moving == a {
			s.moving = nil
		}
	}
	if s.asked != nil && gone(s.asked) {
		s.asked = nil
	}
	s.held = slices.DeleteFunc(s.held, gone)
	s.actors = slices.DeleteFunc(s.actors, gone)
	s.closes(func(at place) bool { return at.pid == pid })
}

// onPage reports whether a call is made by a page, and not by the code around it.
func onPage(c sys.Call) bool { return strings.HasPrefix(c.Page, "models/") }

func (s *Stepper) actor(r probe.Report) *actor {
	for _, a := range s.actors {
		if a.name == r.Who {
			return a
		}
	}
	a := &actor{name: r.Who, pid: r.Pid}
	s.actors = append(s.actors, a)
	return a
}

// obey does what the person typed.
func (s *Stepper) obey(line string) {
	n, err := strconv.Atoi(strings.TrimSpace(line))
	switch word := strings.TrimSpace(line); {
	case strings.HasPrefix(line, ">") && s.operator != nil:
		s.operator.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, err := io.WriteString(s.operator, strings.TrimPrefix(line[1:], " ")+"\n")
		if err != nil {
			s.say("   the server has not read what the operator said before")
		}
		s.asked = nil // show the question again: the server's state has changed
	case s.mode == forgotten:
	case word == "" && s.mode == runOn:
		s.mode = ask
		s.say("   asking again, at the next call")
	case word == "" && len(s.held) == 0:
		s.everyoneSleeps()
	case word == "":
		s.choose(some, 1)
	case err == nil && n > 0:
		s.choose(some, n)
	case word == "w":
		s.choose(toSleep, 0)
	case word == "r":
		s.choose(runOn, 0)
		s.say("   running; Enter: stop at the next call")
	case word == "q":
		s.say("   stopping")
		s.quit()
	default:
		s.say("   %s? %s", text.Cut(text.Line(word), columns/4), s.keys())
	}
}

func (s *Stepper) choose(m mode, n int) {
	s.mode, s.left = m, n
	if len(s.held) == 0 && m != runOn {
		s.everyoneSleeps()
	}
}

// everyoneSleeps says that all sleep, what they wait for, and how to go on.
func (s *Stepper) everyoneSleeps() {
	if s.moving == nil {
		s.list("   nothing to do: ", s.others(nil))
		s.list("   ", s.guests())
		s.say("   one more client:  lab chat %s", s.addr)
	}
}

func (s *Stepper) inputEnds() {
	if s.mode != forgotten {
		s.choose(runOn, 0)
	}
	if s.operator != nil {
		s.operator.Close()
		s.operator = nil
	}
}

// goOn releases the calls that may go on, and asks about the next one.
func (s *Stepper) goOn() {
	for len(s.held) > 0 && s.moving == nil {
		switch {
		case s.mode == some && s.left == 0:
			s.mode = ask
		case s.mode == ask:
			if s.asked == nil {
				s.question(s.held[0])
				s.asked = s.held[0]
			}
			return
		default:
			s.release()
		}
	}
}

// release lets the first call go. The next call follows when this one has returned
// or sleeps: what is shown does not change meanwhile.
func (s *Stepper) release() {
	a := s.held[0]
	s.held = s.held[1:]
	a.doing, a.since, a.shown, s.asked = calling, time.Now(), s.asked == a, nil
	if s.mode == some {
		s.left--
	}
	if s.mode == some || s.mode == toSleep {
		s.moving = a
	}
	a.since, a.nods = time.Now(), 0
	s.watcher.Release(a.call)
}

func (s *Stepper) say(format string, args ...any) {
	fmt.Fprintf(s.out, format+"\n", args...)
}
