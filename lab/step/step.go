// Package step lets a person walk a server from one system call of its page to
// the next, and shows at each what everybody is doing.
//
// The stepper is a watcher that holds every call back: probe.Watcher. It runs in
// the server's own process, and hears from the server's children in the same
// way as from the server.
package step

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/probe"
	"socketlab/lab/text"
	"socketlab/models/sys"
)

// A Stepper stands between a person and a server.
type Stepper struct {
	Options
	out      io.Writer
	operator int // a pipe that gets what the person says after ">"; -1: there is no operator
	watcher  *probe.Watcher
	reports  chan probe.Report
	typed    chan string // a line; closed at the end of input
	letGo    chan struct{}
	over     chan struct{}

	// What follows is the loop's own.
	actors  []*actor // in the order in which they came
	held    []*actor // whose calls wait for the person, the first one first
	moving  *actor   // whose call was let go, and has neither returned nor fallen asleep
	mode    mode
	left    int       // calls to let go in mode some
	asked   *actor    // whose call is the question on the screen
	clients []*client // by number, from 1
	opening []string  // the calls before the page: socket, bind, listen
	lfd     int       // the listening descriptor
	addr    netip.AddrPort
}

// Options are what a Stepper is told of its server.
type Options struct {
	Model string // what it is called
	Talk  bool   // it has an operator, who has the same keyboard
	Quit  func() // stops it, as Ctrl-C does
}

type mode int

const (
	ask       mode = iota // before each call
	some                  // so many without asking
	toSleep               // until one sleeps
	runOn                 // all of them, and say nothing
	forgotten             // the server stops: the person is asked no more
)

// An actor is a goroutine of the server's, or of a child's.
type actor struct {
	name  string
	pid   int
	call  sys.Call
	doing doing
	shown bool      // the screen ends with its call
	since time.Time // when it was let go, or fell asleep
	nods  int       // how often in a row it was seen asleep since it was let go
}

type doing int

const (
	between doing = iota // two calls
	held
	calling
	asleep
)

// Begin takes the person's keyboard, standard input, and sets the environment
// so that this process and its children report to the stepper: whoever calls
// sys.ReportCalls afterwards is held.
func Begin(o Options) (*Stepper, error) {
	s := &Stepper{
		Options:  o,
		out:      os.Stderr,
		operator: -1,
		reports:  make(chan probe.Report, 1024),
		typed:    make(chan string),
		letGo:    make(chan struct{}),
		over:     make(chan struct{}),
	}
	keyboard, err := os.Stdin, error(nil)
	if o.Talk {
		keyboard, s.operator, err = shareKeyboard()
	}
	if err == nil {
		s.watcher, err = probe.NewWatcher(true, func(r probe.Report) {
			select {
			case s.reports <- r:
			case <-s.over:
			}
		})
	}
	if err != nil {
		return nil, fmt.Errorf("cannot step: %w", err)
	}
	name, value, _ := strings.Cut(s.watcher.Env(), "=")
	os.Setenv(name, value)
	go s.read(keyboard)
	go s.loop()
	return s, nil
}

// shareKeyboard gives the server a pipe for standard input, so that one
// keyboard does for the person who steps and for the operator.
func shareKeyboard() (keyboard *os.File, operator int, err error) {
	reader, writer, err := sys.Pipe()
	if err != nil {
		return nil, -1, err
	}
	defer sys.Close(reader)
	if operator, err = sys.OutOfTheWay(writer, nil); err != nil {
		return nil, -1, err
	}
	stdin, err := sys.OutOfTheWay(unix.Dup(0))
	if err != nil {
		return nil, -1, err
	}
	return os.NewFile(uintptr(stdin), "keyboard"), operator, unix.Dup3(reader, 0, 0)
}

// LetGo has the server run on, since it is to stop: nobody is asked any more.
// Like End, it is nothing for a server that nobody steps.
func (s *Stepper) LetGo() {
	if s == nil {
		return
	}
	select {
	case s.letGo <- struct{}{}:
	case <-s.over:
	}
}

// End ends stepping: what is held is let go.
func (s *Stepper) End() {
	if s == nil {
		return
	}
	close(s.over)
	s.watcher.Close()
}

// read reads the person's lines. It ends with the process: there is no way to
// call a read from a terminal back.
func (s *Stepper) read(in io.Reader) {
	defer close(s.typed)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		select {
		case s.typed <- lines.Text():
		case <-s.over:
			return
		}
	}
}

// loop waits for the server, the person and the kernel at once. The kernel
// tells nobody that a thread fell asleep, so while one moves it is looked at.
func (s *Stepper) loop() {
	typed := s.typed
	for {
		var tick <-chan time.Time
		if s.moving != nil {
			tick = time.After(time.Millisecond)
		}
		select {
		case r := <-s.reports:
			s.hear(r)
		case line, open := <-typed:
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
			if a.nods > 1 { // once is a lock in the kernel, held for a moment
				s.sleeps(a)
			}
		case <-s.letGo:
			s.mode = forgotten
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
			s.held = append(s.held, a)
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

// sleeps is told that a call has to wait.
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

// ends forgets a process that has ended.
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
	s.held = without(s.held, gone)
	s.actors = without(s.actors, gone)
	s.closes(func(at place) bool { return at.pid == pid })
}

func without(all []*actor, gone func(*actor) bool) (left []*actor) {
	for _, a := range all {
		if !gone(a) {
			left = append(left, a)
		}
	}
	return left
}

// onPage reports whether a call stands on a page, and not around it.
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
	case strings.HasPrefix(line, ">") && s.operator >= 0:
		_, err := unix.Write(s.operator, []byte(strings.TrimPrefix(line[1:], " ")+"\n"))
		if err != nil {
			s.say("   the server has not read what the operator said before")
		}
		s.asked = nil // the question is another one now
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
		s.Quit()
	default:
		s.say("   %s? %s", text.Line(word), s.keys())
	}
}

func (s *Stepper) choose(m mode, n int) {
	s.mode, s.left = m, n
	if len(s.held) == 0 && m != runOn {
		s.everyoneSleeps()
	}
}

func (s *Stepper) everyoneSleeps() {
	if s.moving == nil {
		s.say("   everyone sleeps, until a client comes or speaks: lab chat %s", s.addr)
	}
}

func (s *Stepper) inputEnds() {
	if s.mode != forgotten {
		s.choose(runOn, 0)
	}
	if s.operator >= 0 {
		unix.Close(s.operator)
		s.operator = -1
	}
}

// goOn lets go what may go, and asks about the rest.
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

// release lets the first call go. The next one is looked at when it has
// returned or sleeps, so that what is shown is at rest.
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
