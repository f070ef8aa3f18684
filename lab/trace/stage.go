package trace

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"socketlab/lab/proc"
)

// A stage is where a scene is played: the server, its clients, and all that
// was seen of them.
//
// A scene is told in steps, and each of them ends when nothing happens any
// more. So what one step causes is seen before the next one begins, and the
// same scene gives the same diagram again.
type stage struct {
	*watched
	ctx   context.Context
	time  time.Duration // how long the scene may take
	looks []look        // one after each step
	held  bool          // the server is stopped, by hold
	over  bool          // it has ended, since the scene wants it so
	busy  bool          // the server never came to rest
	err   error         // why the scene cannot go on

	tls  *tls.Config // what clients say over TLS
	keys keyLog      // with which they spoke
}

// note says a word beside a client, or to all.
func (s *stage) note(c *client, text string) {
	actor := ""
	if c != nil {
		actor = c.id
	}
	s.watched.note(actor, text, FromTheLab)
}

// errStuck is a step that does not end. What was seen up to there is shown.
var errStuck = errors.New("the scene did not go on")

// pause lets a moment pass before tables are looked at again: of most of what
// happens in them the kernel tells nobody.
func (s *stage) pause() bool { return s.wait(2 * time.Millisecond) }

// wait lets some time pass. It is false when the scene's time is up.
func (s *stage) wait(d time.Duration) bool {
	if s.err != nil {
		return false
	}
	select {
	case <-time.After(d):
		return true
	case <-s.ctx.Done():
		s.err = s.ctx.Err()
		if errors.Is(s.err, context.DeadlineExceeded) {
			s.err = errStuck
		}
		return false
	}
}

// stillness is how long nothing may happen before it is called rest. All threads
// of a Go program may sleep though a goroutine could run: it has come back from
// a system call and finds its place given away, and places that others hold in
// their system calls are taken from them by the runtime's monitor alone, which
// looks every 10 ms when little happens: retake and sysmon in runtime/proc.go.
const stillness = 25 * time.Millisecond

// settle waits until nothing happens any more: all looks within stillness see
// the same, in all of them all threads sleep, children that ended are collected,
// and everything sent is acknowledged. It does not wait for ever: some servers
// never sleep or collect, and some clients are never read. One that never sleeps
// is known by the processor time that it has used: on a busy machine a thread is
// ready for long before it runs.
func (s *stage) settle() {
	if s.over {
		return
	}
	patience := max(s.time/20, 500*time.Millisecond) // an ACK may be late by so much: RFC 9293, section 3.8.6.3
	spins := patience
	if s.busy {
		spins /= 10 // it will not rest now either
	}
	var first, last look
	var since time.Time // nobody was seen to do anything
	idle := 0           // looks between which nobody has run
	for s.err == nil {
		l, err := s.look()
		if err != nil {
			s.fails(err)
			return
		}
		if first.at.IsZero() {
			first = l
		}
		still := !last.at.IsZero() && l.sees() == last.sees() && !l.runs && !last.runs
		if !still {
			since = l.at
		}
		if idle++; !still || l.cpu != last.cpu {
			idle = 0
		}
		busy := l.cpu-first.cpu > spins
		rests := idle > 1 && !l.due && l.at.Sub(since) > stillness
		if busy || rests || still && l.at.Sub(since) > patience {
			s.busy = s.busy || busy
			s.looks = append(s.looks, l)
			s.compares(l)
			return
		}
		last = l
		if !s.pause() {
			return
		}
	}
}

// compares has the merger compare what is seen at rest with what was told.
func (s *stage) compares(l look) {
	t := tables{at: s.sinceBegin(l.at), queue: l.queue, limit: l.limit, ends: map[netip.AddrPort][2]endState{}, settled: true}
	for i, ends := range l.ends {
		if local := s.clients[i].address(); local.IsValid() {
			t.ends[local] = ends
		}
	}
	s.sees(t)
}

// until waits for something that a look can see, and until it has settled.
func (s *stage) until(what string, seen func(l look) bool) {
	ended := false
	for s.err == nil {
		l, err := s.look()
		if err != nil {
			s.fails(err)
			return
		}
		if seen(l) {
			s.settle()
			return
		}
		if ended { // and all is still
			s.fails(errStuck)
			return
		}
		if s.hasEnded() {
			ended = true
			s.settle()
			continue
		}
		if !s.pause() {
			if s.err == errStuck {
				s.err = fmt.Errorf("%w: waiting until %s", errStuck, what)
			}
			return
		}
	}
}

// delayedACK is how late an ACK is at most in a dialogue: TCP_DELACK_MIN of Linux.
// A window of 0 is probed later, after 200 ms.
const delayedACK = 40 * time.Millisecond

// stops waits until something can be seen, and until that is acknowledged: not
// for all to settle, since the sender asks again and again.
func (s *stage) stops(what string, seen func(l look) bool) {
	for s.err == nil {
		l, err := s.look()
		if err != nil {
			s.fails(err)
			return
		}
		if seen(l) {
			s.wait(2 * delayedACK)
			s.looks = append(s.looks, l)
			s.looks[len(s.looks)-1].at = time.Now()
			return
		}
		if !s.pause() && s.err == errStuck {
			s.err = fmt.Errorf("%w: waiting until %s", errStuck, what)
		}
	}
}

// done waits until the clients have made all their calls.
func (s *stage) done(clients ...*client) {
	s.until("the clients have made their calls", func(look) bool {
		return !slices.ContainsFunc(clients, func(c *client) bool { return !c.idle() })
	})
}

// hold stops the server and its children, as if they were busy elsewhere: the
// kernel goes on alone. strace is in another process group, and goes on too: it
// has to stop the threads one by one.
func (s *stage) hold() {
	s.note(nil, "the server is held (SIGSTOP), as if busy elsewhere")
	s.signal(syscall.SIGSTOP)
	s.held = true
	s.until("the server is stopped", func(l look) bool {
		return !slices.ContainsFunc(l.family, func(p relative) bool {
			group, err := syscall.Getpgid(p.pid)
			return err == nil && group == s.server.Pid() && !p.zombie && !stopped(p.pid)
		})
	})
}

// endServer ends the server, as the scene wants it.
func (s *stage) endServer() {
	s.signal(syscall.SIGTERM)
	for !s.hasEnded() && s.pause() {
	}
	s.over = true
	s.looks = append(s.looks, look{at: time.Now()})
}

// holdAlone stops the server, and none of its children.
func (s *stage) holdAlone() {
	if s.err == nil {
		s.fails(syscall.Kill(s.server.Pid(), syscall.SIGSTOP))
		s.held = true
		s.until("the server is stopped", func(look) bool { return stopped(s.server.Pid()) })
	}
}

// holdAtRest is hold for a client's thread, between two of its calls: the server
// is stopped as soon as it sleeps, and not when all has settled.
func (s *stage) holdAtRest() {
	all := func(such func(pid int) bool) {
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
			tree, err := s.server.Tree()
			if err != nil || !slices.ContainsFunc(tree.Processes, func(p proc.Process) bool { return !p.Ended() && !such(p.Pid) }) {
				return
			}
		}
	}
	all(func(pid int) bool { return allThreads(pid, func(state byte) bool { return state == 'S' }) })
	s.note(nil, "the server is held (SIGSTOP), as if busy elsewhere")
	syscall.Kill(-s.server.Pid(), syscall.SIGSTOP)
	s.held = true
	all(stopped)
}

// release lets it go on.
func (s *stage) release() {
	s.note(nil, "the server goes on (SIGCONT)")
	s.held = false
	s.signal(syscall.SIGCONT)
}

func (s *stage) signal(sig syscall.Signal) {
	if s.err == nil {
		s.fails(syscall.Kill(-s.server.Pid(), sig))
	}
}

// fails ends the scene. One whose server has ended is stuck: what was seen is
// shown.
func (s *stage) fails(err error) {
	if err == nil || s.err != nil {
		return
	}
	if s.err = err; s.hasEnded() {
		ending, _ := s.server.Ending()
		s.err = fmt.Errorf("%w: the server has ended, %v", errStuck, ending)
	}
}

// types types a line at the server's keyboard.
func (s *stage) types(line string) {
	if s.err == nil {
		s.note(nil, fmt.Sprintf("the operator types %q", line))
		_, err := io.WriteString(s.server.Operator(), line)
		s.fails(err)
	}
}

// screen waits until the server's screen shows a text.
func (s *stage) screen(text string) {
	s.until(fmt.Sprintf("the server prints %q", text), func(look) bool {
		return strings.Contains(string(s.server.Stdout()), text)
	})
}

// play plays the scene, and returns why it did not come to its end. Calls that
// have not returned then go on until hangUp.
func (s *stage) play(ctx context.Context, scene Scene, timeout time.Duration) error {
	var cancel context.CancelFunc
	s.time = timeout
	s.ctx, cancel = context.WithTimeout(ctx, timeout)
	defer cancel()
	s.settle()
	scene.play(s)
	s.settle()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !errors.Is(s.err, errStuck) {
		return s.err
	}
	why := s.err
	for _, c := range s.clients {
		if call := c.asleep(); call != "" {
			why = fmt.Errorf("%w; %s sleeps in %s", why, c.id, call)
		}
	}
	return fmt.Errorf("%w (after %v)", why, timeout)
}

// letGo lets a server go on that the scene has left held.
func (s *stage) letGo() {
	if s.held {
		syscall.Kill(-s.server.Pid(), syscall.SIGCONT)
	}
}
