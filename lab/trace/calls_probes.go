package trace

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/probe"
	"socketlab/lab/subject"
	"socketlab/models/sys"
)

// probes is the callSource for our own models: package sys reports the calls of
// a page from where they are made, those of children too.
//
// A column is a goroutine, and not a thread: it is what a page speaks of, and
// the runtime runs it on different threads.
type probes struct {
	watcher *probe.Watcher
	server  string // its name
	holds   bool   // once it listens, calls wait for step
	free    bool   // but not now

	// What follows is guarded by account.mu.
	account
	latest map[string]*systemCall // by actor
	who    map[int]string         // by pid
	parent map[int]string         // by pid: who forked it
	born   map[int]time.Time      // by pid: when it reported for the first time, or fork returned
	forks  map[int]*systemCall    // by pid
	held   []heldCall             // in the order in which they came

	collects map[int]collection // by pid: of those who have not reported so far
	nobody   map[string]bool    // by actor: it has found that nobody types
	listens  bool
	came     bool            // the first client was accepted
	seen     map[string]bool // by actor: it called something before the first client came, or was numbered
}

// A collection is a waitpid that found a child.
type collection struct {
	call *systemCall
	by   string
	how  string
}

type heldCall struct {
	call     *systemCall
	released sys.Call
}

func watchProbes() callSource {
	return &probes{
		latest: map[string]*systemCall{}, who: map[int]string{}, parent: map[int]string{},
		born: map[int]time.Time{}, forks: map[int]*systemCall{}, collects: map[int]collection{},
		nobody: map[string]bool{}, seen: map[string]bool{},
	}
}

func (p *probes) log() *account { return &p.account }

func (p *probes) Prepare(spec *subject.Spec) (err error) {
	p.server = cmp.Or(spec.Name, "server")
	p.watcher, err = probe.NewWatcher(p.holds, p.hear)
	if err == nil {
		spec.Env = append(spec.Env, p.watcher.Env())
	}
	return err
}

func (p *probes) Attach(*subject.Subject) error { return nil }

// catchUp has nothing to do: reports come by themselves.
func (p *probes) catchUp() {}

// finish has heard all that was reported when it returns.
func (p *probes) finish() { p.Close() }

func (p *probes) Close() {
	if p.watcher != nil {
		p.watcher.Close()
		p.watcher = nil
	}
}

// step lets every call go on that waits, or one of them.
func (p *probes) step(all bool) (stepped int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.held) > 0 && (all || stepped == 0) {
		p.letGo()
		stepped++
	}
	return stepped
}

// letGo has the first of those that wait make its call.
func (p *probes) letGo() {
	h := p.held[0]
	p.held = p.held[1:]
	h.call.held, h.call.begin = false, time.Now()
	p.watcher.Release(h.released)
}

// setFree has calls go on by themselves, or wait for step again.
func (p *probes) setFree(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.free = on; on && len(p.held) > 0; {
		p.letGo()
	}
}

// hear takes a report.
func (p *probes) hear(r probe.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Phase == probe.Begins {
		p.who[r.Pid] = r.Who
	}
	id, name := r.Who, r.Who
	if process := p.who[r.Pid]; id != process {
		id = process + "/" + id // its descriptors are the process's
	}
	if id == "server" {
		name = p.server
	}
	if r.Phase != probe.Ends {
		p.enters(id, name)
	}
	if r.Phase == sys.Before {
		p.number(id, r.Client.IsValid())
	}
	switch r.Phase {
	case probe.Begins:
		p.begun(r.Pid, r.Start)
		p.collected(r.Pid)
	case sys.Before:
		c := p.begins(&systemCall{
			Call:  diagram.Call{Actor: id, Name: r.Name, Args: r.Asked()},
			begin: r.Start, client: r.Client, tid: r.Tid, page: r.Page, held: p.holds && p.listens,
		})
		c.hidden = p.nobody[id] && p.asksOperator(c)
		p.latest[id] = c
		switch {
		case c.held:
			p.held = append(p.held, heldCall{c, r.Call})
			if p.free {
				p.letGo()
			}
		case p.holds:
			p.watcher.Release(r.Call)
		}
	case sys.Parks:
		if c := p.latest[id]; c != nil {
			p.sleeping(c, time.Now())
		}
	case sys.After:
		if c := p.latest[id]; c != nil {
			p.returned(id, c, r)
		}
	case probe.Ends:
		p.life(r.Start, diagram.Life{Actor: id, Event: "ends"})
	}
}

// number gives the first thread of its kind a number, too, if it comes with a
// client: the watcher could not know then that there would be more.
func (p *probes) number(id string, withClient bool) {
	if !p.came {
		p.seen[id] = true
	}
	if p.seen[id] || !withClient || !strings.Contains(id, "/") {
		return
	}
	p.seen[id] = true
	for i, a := range p.actors {
		if a.ID == id && !strings.Contains(a.Name, " ") {
			p.actors[i].Name += " 1"
		}
	}
}

const stdin = "0"

// asksOperator says whether a call is about standard input.
func (p *probes) asksOperator(c *systemCall) bool {
	asked := slices.Contains(strings.Fields(strings.Trim(c.Args, "{}")), stdin+"r")
	return asked || c.Name == "read" && c.Args == stdin
}

// forgetOperator leaves out the calls on standard input of an actor that has
// found that nobody types there: a child of the process model asks once.
func (p *probes) forgetOperator(actor string) {
	p.nobody[actor] = true
	for _, c := range p.calls {
		if c.Actor == actor && c.told == "" && p.asksOperator(c) {
			c.hidden = true
		}
	}
}

func (p *probes) returned(id string, c *systemCall, r probe.Report) {
	c.begin, c.client, c.held = r.Start, r.Client, false
	p.returns(c, r.End, resultText(r.Name, r.N, r.Errno), r.Slept && !neverWaits(r.Pid, r.FD))
	switch {
	case r.Name == "waitpid" && (r.Errno == unix.ECHILD || r.Errno == 0 && r.N == 0):
		// How often it finds no child says nothing: one signal may stand for
		// several, and tells also of children that were only stopped.
		c.hidden = c.told == ""
	case r.Errno != 0:
	case r.Name == "select" || r.Name == "poll" || r.Name == "epoll_wait" || r.Name == "io_uring_enter":
		c.Result = r.Got
	case r.Name == "read" && c.Args == stdin:
		if r.N == 0 {
			p.forgetOperator(id)
		}
	case r.Name == "listen":
		p.listens = true
	case r.Name == "accept":
		p.came = p.came || r.Client.IsValid()
	case r.Name == "fork":
		p.parent[r.N], p.forks[r.N] = id, c
		p.begun(r.N, r.End.Add(-time.Nanosecond)) // it was there when fork returned
	case r.Name == "waitpid":
		p.collects[r.N] = collection{c, id, r.Got}
		p.collected(r.N)
	}
}

// begun is told twice of a child: when fork returns in the parent, and when the
// child reports itself. Either may come first.
func (p *probes) begun(pid int, at time.Time) {
	if before, known := p.born[pid]; known && before.Before(at) {
		at = before
	}
	p.born[pid] = at
	child, parent := p.who[pid], p.parent[pid]
	if child == "" || parent == "" {
		return
	}
	p.forks[pid].Result = child
	p.life(at, diagram.Life{Actor: child, Event: "begins", By: parent})
	delete(p.born, pid)
	delete(p.parent, pid)
	delete(p.forks, pid)
}

// collected is told twice as well: when waitpid returns, and when the child
// reports itself, which we may hear later than all that it did.
func (p *probes) collected(pid int) {
	c, found := p.collects[pid]
	if child := p.who[pid]; found && child != "" {
		c.call.Result = child
		p.reaped(c.call, diagram.Life{Actor: child, By: c.by, How: c.how})
		delete(p.collects, pid)
	}
}
