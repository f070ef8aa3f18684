package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/report"
	"socketlab/lab/subject"
)

// hooks are what a check on its way tells those who run it.
type hooks struct {
	played func() // after each random schedule
	idle   func() // when it does nothing but wait; nil: nobody wants to know
}

// run holds one server to one check. If it fails, it may be played again, to
// be shown: then it is not idle, for it has that before it.
func run(ctx context.Context, s Server, c Check, o Options, tell hooks) (report.Check, facts) {
	if o.Again != nil {
		tell.idle = nil
	}
	result, seen := hold(ctx, s, c, o, nil, tell)
	if result.Status == report.Fail && o.Again != nil {
		o.Replay = o.replay(result.Schedule)
		again, err := o.Again(ctx, s, c, o)
		showAgain(&result, again, err)
	}
	return result, seen
}

// hold holds one server to one check. What was seen is worth something if it
// failed.
func hold(ctx context.Context, s Server, c Check, o Options, w Witness, tell hooks) (report.Check, facts) {
	result := report.Check{ID: c.ID, Level: c.Level, Says: c.Says, Status: report.Pass}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &T{Options: o, Limit: s.Limit, witness: w, hooks: tell, ctx: ctx, cancel: cancel, start: time.Now()}
	if s.TLS != nil {
		t.tls = s.TLS.Clone()
		t.tls.InsecureSkipVerify = true // see tls/handshake
	}
	end := t.play(s, c)
	result.MS = time.Since(t.start).Milliseconds()
	result.Note = t.note
	if end == nil {
		return result, facts{}
	}
	result.Status = end.status
	if end.status != report.Fail && end.status != report.Error {
		return result, facts{}
	}
	result.Expected, result.Actual, result.Diff = end.expected, end.actual, end.diff
	result.Schedule = end.schedule
	result.Story, result.Try = abridge(t.story, end.client), c.Try
	result.Output = end.output
	end.check = c.ID // also of a schedule that was played again and again
	return result, end.facts
}

// abridge leaves out of a long story what the other clients did.
func abridge(story []string, client string) []string {
	const long = 20
	if len(story) <= long || client == "" {
		return story
	}
	return slices.DeleteFunc(slices.Clone(story), func(line string) bool {
		return strings.HasPrefix(line, "client ") && !strings.HasPrefix(line, client+" ")
	})
}

// play starts the server, lets the check happen, and stops the server. It
// returns nil if all went well.
func (t *T) play(s Server, c Check) (end *verdict) {
	spec := s.spec(c.Service)
	spec.Files = c.Files
	if c.Mutual && s.Mutual != nil {
		spec.Command = s.Mutual
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		spec.Files = min(spec.Files, limit.Max)
	}
	server, err := t.startWitnessed(spec)
	if err != nil {
		end = &verdict{status: report.Error, expected: "the server to listen", actual: err.Error()}
		t.explain(end)
		return end
	}
	t.check, t.only, t.Server = c.ID, s.Port, server
	t.began = t.strained()
	go t.limit(server, t.Options.patience(c))
	defer func() { t.Server.Stop() }() // it may be another one by then
	defer t.hangUp()
	defer context.AfterFunc(t.ctx, t.hangUp)() // no read is longer than the check
	end = t.attempt(func() {
		c.Run(t)
		if !c.Ends {
			t.afterwards(c)
		}
	})
	if end != nil {
		t.witnessed("here it fails. expected: " + end.expected + "; actual: " + end.actual)
		t.explain(end)
	}
	if cause := context.Cause(t.ctx); t.witness != nil && cause != context.Canceled && cause != errEnough { // nobody wants to see it any more
		t.witness.End() // before those who are left hang up
	}
	return end
}

var (
	errLate   = errors.New("the check took too long")
	errEnough = errors.New("much time has gone, and it is known already that the server is not right; --all plays it")
)

// limit ends the check when its time is over. What the server's threads spent
// ready to run, and got no CPU, does not count: it is not the server that is
// slow then, but the machine.
func (t *T) limit(server *subject.Subject, patience time.Duration) {
	const most = 10 // times as long, and then it is over in any case
	left, excused := patience, time.Duration(0)
	for left > 0 {
		select {
		case <-time.After(left):
		case <-t.ctx.Done():
			return
		}
		left = min(server.Starved()-excused, most*patience-time.Since(t.start), patience)
		excused += left
		if left < patience/20 {
			break
		}
	}
	t.cancel(errLate)
}

// standAside lets the next check begin: this one does nothing but wait, and the
// server sleeps, so neither needs a CPU.
func (t *T) standAside() {
	if t.idle != nil {
		t.idle()
	}
}

// afterwards sees whether the server is still there and serves, when all who
// were here have left.
func (t *T) afterwards(c Check) {
	t.hangUp()
	t.Tell("everybody left")
	if c.Service != "talk" && !c.Mute {
		t.Dial().Echo([]byte("and after all that?\n"))
	}
	if _, over := t.Server.Ending(); over {
		t.Fail("the server to be there when all is over", "it is not")
	}
}

// attempt tells a story, and returns how it ended, nil if all went well.
func (t *T) attempt(story func()) (end *verdict) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case verdict:
			end = &v
		default:
			panic(v)
		}
	}()
	story()
	return nil
}

// explain adds to an end what the story does not tell: that the server is not
// there any more, or spins, or that it was we who ended it.
func (t *T) explain(end *verdict) {
	if end.explained {
		return
	}
	end.explained = true
	switch context.Cause(t.ctx) {
	case errEnough:
		end.status, end.actual = report.Error, "not played to its end: "+errEnough.Error()
		return
	case context.Canceled:
		end.status, end.actual = report.Error, "interrupted"
		return
	case errLate:
		took := time.Since(t.start).Round(time.Second)
		end.actual += fmt.Sprintf("; the check was ended after %v", took)
	}
	if t.Server == nil {
		return
	}
	if end.status == report.Fail {
		t.mu.Lock()
		end.check, end.clients = t.check, t.came
		end.phase = cmp.Or(end.phase, t.phase)
		t.mu.Unlock()
		strain := t.strained().since(t.began)
		t.examine(end)
		t.look(&end.facts)
		// Wrong bytes, FIN, RST and an end are no question of time.
		if end.starved = strain.starved() && !end.sure && !end.shows(differs, tooMany, hungUp, reset, died); end.starved {
			t.Tell("the machine was busy: %v", strain)
		}
		t.experiment(&end.facts)
	}
	end.output = string(t.Server.Output())
}

// examine adds what is conspicuous about the server's processes now.
func (t *T) examine(end *verdict) {
	if t.over(end) {
		return
	}
	const stretch, busy = 100 * time.Millisecond, 70 // percent of one core
	before := t.strained()
	time.Sleep(stretch) // the user may have interrupted: t.pause would not pause
	if t.over(end) {    // its end comes a little after its FIN or RST
		return
	}
	after, err := t.Server.Tree()
	if err != nil {
		return
	}
	// On a busy machine one that spins gets little, and waits to get it.
	used := t.strained().since(before)
	share := 100 * (used.theirs.Ran + used.theirs.Waited) / used.took()
	if share > busy && 20*used.theirs.Ran > used.took() && !t.flooded(0) { // or it has reason to
		end.spins = true
		end.actual += fmt.Sprintf(" (it spins: %d %% of a core)", share)
	}
	if after.Zombies > 0 {
		end.actual += fmt.Sprintf(" (zombies among its processes: %d)", after.Zombies)
	}
}

// over adds that the server has ended, if it has.
func (t *T) over(end *verdict) bool {
	ending, over := t.Server.Ending()
	if over && !strings.Contains(end.actual, ending.String()) { // that is what it is about
		end.actual += fmt.Sprintf(" (the server has ended: %v)", ending)
	}
	return over
}

// flooded counts the clients who send without a pause, and reports whether there
// are any.
func (t *T) flooded(more int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.floods += more
	return t.floods > 0
}

// hangUp closes what the check left open.
func (t *T) hangUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.clients {
		c.stop()
		c.conn.Close()
	}
	t.clients = nil
}
