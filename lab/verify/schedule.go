package verify

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"socketlab/lab/report"
)

// A Schedule is a conversation of several clients with one server, step by
// step. What a client sends follows from its number and how much it has sent
// before, so the same schedule means the same bytes on every server.
type Schedule []Step

// A Step is one thing that one client does.
type Step struct {
	Client int    // 1 to maxClients
	Verb   string // "connect", "send", "receive", "half-close", "reset", "leave" or "pause"
	Bytes  int    // send: how many
	Pieces int    // send: in how many segments
}

const (
	maxClients = 8
	mostBytes  = 8 * mib // with more, a right server may take longer than a check may
	mostPieces = 1000
)

// verbs are what a connected client can do next, the likely ones more often.
var verbs = []string{"send", "send", "send", "send", "receive", "receive", "pause", "half-close", "leave", "reset"}

// sizes are around the buffers that servers have.
var sizes = []int{1, 2, 100, 1023, 1024, 1025, 4096, 5000, 65_535, 65_537, 200_000}

func (s Step) String() string {
	switch s.Verb {
	case "send":
		return fmt.Sprintf("%d send %d in %d", s.Client, s.Bytes, s.Pieces)
	default:
		return fmt.Sprintf("%d %s", s.Client, s.Verb)
	}
}

func (s Schedule) String() string {
	var text strings.Builder
	for _, step := range s {
		fmt.Fprintln(&text, step)
	}
	return text.String()
}

// ReadSchedule reads what String writes: a step a line. Empty lines and lines
// that begin with # are passed over.
func ReadSchedule(r io.Reader) (Schedule, error) {
	var schedule Schedule
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		step, err := readStep(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		schedule = append(schedule, step)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(schedule) == 0 {
		return nil, errors.New("there is no step in it")
	}
	return schedule, schedule.valid()
}

func readStep(line string) (Step, error) {
	var s Step
	fields := strings.Fields(line)
	want := "NUMBER connect|receive|half-close|reset|leave|pause, or NUMBER send BYTES in PIECES"
	var bad error
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		bad = errors.Join(bad, err)
		return n
	}
	switch {
	case len(fields) == 5 && fields[1] == "send" && fields[3] == "in":
		s = Step{number(fields[0]), "send", number(fields[2]), number(fields[4])}
	case len(fields) == 2 && (fields[1] == "connect" || fields[1] != "send" && slices.Contains(verbs, fields[1])):
		s = Step{Client: number(fields[0]), Verb: fields[1]}
	default:
		return s, fmt.Errorf("%q: want %s", line, want)
	}
	if bad != nil {
		return s, fmt.Errorf("%q: want %s", line, want)
	}
	if s.Client < 1 || s.Client > maxClients || s.Verb == "send" && (s.Bytes < 1 || s.Bytes > mostBytes || s.Pieces < 1 || s.Pieces > min(s.Bytes, mostPieces)) {
		return s, fmt.Errorf("%q: clients are 1 to %d, bytes 1 to %d, pieces 1 to %d and to bytes", line, maxClients, mostBytes, mostPieces)
	}
	return s, nil
}

// valid checks that each client is connected while it does something, and does
// not send after it has finished.
func (s Schedule) valid() error {
	var connected, finished [maxClients + 1]bool
	for _, step := range s {
		c := step.Client
		switch {
		case step.Verb == "connect" && connected[c]:
			return fmt.Errorf("%v: it is connected already", step)
		case step.Verb != "connect" && !connected[c]:
			return fmt.Errorf("%v: it is not connected", step)
		case finished[c] && (step.Verb == "send" || step.Verb == "half-close"):
			return fmt.Errorf("%v: it has finished sending", step)
		}
		switch step.Verb {
		case "connect":
			connected[c], finished[c] = true, false
		case "half-close":
			finished[c] = true
		case "leave", "reset":
			connected[c] = false
		}
	}
	return nil
}

// RandomSchedule is the schedule of a seed.
func RandomSchedule(seed uint64) Schedule {
	random := rand.New(rand.NewPCG(seed, seed))
	var connected, finished [maxClients + 1]bool
	var schedule Schedule
	for range 10 + random.IntN(30) {
		c := 1 + random.IntN(maxClients)
		step := Step{Client: c, Verb: "connect"}
		if connected[c] {
			step.Verb = verbs[random.IntN(len(verbs))]
		}
		if finished[c] && (step.Verb == "send" || step.Verb == "half-close") {
			step.Verb = "receive"
		}
		switch step.Verb {
		case "connect":
			connected[c], finished[c] = true, false
		case "send":
			step.Bytes = sizes[random.IntN(len(sizes))]
			step.Pieces = 1 + random.IntN(min(step.Bytes, 5))
		case "half-close":
			finished[c] = true
		case "leave", "reset":
			connected[c] = false
		}
		schedule = append(schedule, step)
	}
	return schedule
}

// An actor is one client while a schedule is played.
type actor struct {
	*Client
	number   int
	sent     int // bytes sent so far
	received int // bytes received so far
	finished bool
}

// Play plays a schedule, and at the end has every client that is still there
// finish and receive all it is owed, in the order in which they came. A server
// for one client at a time serves them in that order, so nobody waits for
// somebody who comes later.
func (t *T) Play(schedule Schedule) {
	actors := map[int]*actor{}
	var present []*actor // in the order in which they came
	gone := func(a *actor) {
		delete(actors, a.number)
		present = slices.DeleteFunc(present, func(p *actor) bool { return p == a })
	}
	for _, step := range schedule {
		a := actors[step.Client]
		if a == nil && step.Verb != "connect" {
			continue // it was not let in
		}
		switch step.Verb {
		case "connect":
			come := t.dialAs
			if t.Limit > 0 && len(present) >= t.Limit {
				come = t.knockAs
			}
			c := come(name(step.Client))
			if c == nil {
				t.Tell("%s found the queue full, and went away", name(step.Client))
				continue
			}
			a = &actor{Client: c, number: step.Client}
			actors[step.Client] = a
			present = append(present, a)
		case "send":
			a.SendSegments(pieces(a.stream(step.Bytes), step.Pieces)...)
			a.sent += step.Bytes
		case "receive":
			if t.Limit == 0 || slices.Index(present, a) < t.Limit {
				a.receive()
			}
		case "pause":
			t.catchUp(present)
		case "half-close":
			a.HalfClose()
			a.finished = true
		case "leave":
			a.Close()
			gone(a)
		case "reset":
			a.Reset()
			gone(a)
		}
	}
	for _, a := range present {
		if !a.finished {
			a.HalfClose()
		}
		a.receive()
		a.ExpectFIN()
		a.Close()
	}
	next := t.dialAs(name(maxClients + 1))
	next.Echo([]byte("the next one\n"))
	next.Close()
}

// catchUp lets the server read what was sent, from those whom it serves. It may
// not want to, from one who does not read.
func (t *T) catchUp(present []*actor) {
	for i, a := range present {
		if t.Limit == 0 || i < t.Limit {
			a.Heard()
		}
	}
}

// stream is what the actor sends next.
func (a *actor) stream(n int) []byte { return streamOf(a.number, a.sent, n) }

// receive receives all that the actor is owed so far.
func (a *actor) receive() {
	if owed := a.sent - a.received; owed > 0 {
		a.Expect(streamOf(a.number, a.received, owed))
		a.received = a.sent
	}
}

// streamOf are n bytes of a client's stream from a position on: a different
// stream for each client, without a short period.
func streamOf(client, from, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		x := (uint64(client)<<32 + uint64(from+i)) * 0x9e3779b97f4a7c15
		p[i] = byte(x>>56) ^ byte(x>>40)
	}
	return p
}

// pieces cuts p into n parts.
func pieces(p []byte, n int) [][]byte {
	return slices.Collect(slices.Chunk(p, (len(p)+n-1)/n))
}

// A failing schedule is shrunk as long as it keeps failing and is one: to its
// beginning, twice as much of it each time until that fails; then by leaving out
// visits, from connect to leave, and steps, half of them, a quarter, and at last
// one by one, again and again until none of them can be missed.
func shrink(schedule Schedule, fails func(Schedule) bool) Schedule {
	try := func(shorter Schedule) bool {
		works := len(shorter) > 0 && shorter.valid() == nil && fails(shorter)
		if works {
			schedule = shorter
		}
		return works
	}
	for size := 1; size < len(schedule) && !try(schedule[:size]); size *= 2 {
	}
	for before := -1; len(schedule) != before; {
		before = len(schedule)
		for at := len(schedule) - 1; at >= 0; at-- {
			if schedule[at].Verb == "connect" {
				try(schedule.withoutVisit(at))
			}
		}
		for size := max(1, len(schedule)/2); size > 0; size /= 2 {
			for from := 0; from < len(schedule); {
				if !try(slices.Delete(slices.Clone(schedule), from, min(from+size, len(schedule)))) {
					from += size
				}
			}
		}
	}
	return schedule
}

// withoutVisit leaves out what a client does from the step at which it connects
// until it leaves.
func (s Schedule) withoutVisit(at int) Schedule {
	here := true
	return append(slices.Clone(s[:at]), slices.DeleteFunc(slices.Clone(s[at:]), func(step Step) bool {
		gone := here && step.Client == s[at].Client
		here = here && !(gone && (step.Verb == "leave" || step.Verb == "reset"))
		return gone
	})...)
}

var randomChecks = []Check{
	{
		ID: "random/schedules", Level: report.Must, Service: "echo", Long: true,
		Says:   "gives the right bytes under random schedules of connect, send, receive, pause, half-close, reset and leave",
		Causes: []string{"order"},
		Try:    `lab verify --replay=schedule.txt -- ./myserver {port}`,
		Run: func(t *T) {
			if t.Replay != nil {
				t.Play(t.Replay)
				return
			}
			for i := range t.rounds() {
				t.random(t.Seed + uint64(i))
				t.played()
			}
		},
	},
}

// random plays the schedule of a seed. One that fails is shrunk, and told.
func (t *T) random(seed uint64) {
	schedule := RandomSchedule(seed)
	end := t.attempt(func() { t.Play(schedule) })
	if end == nil {
		return
	}
	t.explain(end)
	if end.status != report.Fail || t.ctx.Err() != nil {
		panic(*end)
	}
	story := t.story
	wait, deadline := t.Wait, time.Now().Add(3*t.Wait)
	failure := func(s Schedule, patience time.Duration) *verdict {
		t.Wait = min(wait, patience)
		again := t.playAfresh(s)
		if again == nil || again.status != report.Fail || t.ctx.Err() != nil {
			return nil
		}
		return again
	}
	shortest := shrink(schedule, func(shorter Schedule) bool {
		// It is to fail whenever it is replayed, not by chance. There are many to
		// try, so only what failed at once may try our patience.
		if time.Now().After(deadline) || failure(shorter, time.Second/4) == nil {
			return false
		}
		again := failure(shorter, time.Second)
		if again != nil {
			end, story = again, t.story
		}
		return again != nil
	})
	if again := failure(shortest, wait); again != nil {
		t.explain(again)
		end, story = again, t.story
	}
	end.explained = true // the server that is there now may be another one
	end.schedule = fmt.Sprintf("# seed %d\n%s", seed, shortest)
	t.story = story
	panic(*end)
}

// playAfresh plays a schedule on a server that has just been started.
func (t *T) playAfresh(schedule Schedule) *verdict {
	t.hangUp()
	t.story = nil
	return t.attempt(func() {
		if err := t.startAgain(0); err != nil {
			t.Cannot("start the server again", err)
		}
		t.Play(schedule)
	})
}
