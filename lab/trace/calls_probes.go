package trace

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/probe"
	"socketlab/lab/subject"
	"socketlab/models/sys"
)

// probes is the Source for our own models: package sys reports the calls of a
// page from where they are made, those of children too.
//
// A goroutine is a column, and not a thread: it is what a page speaks of, and
// the runtime runs it on now this thread and now that. Whether a call slept the
// kernel knows, which counts how often a thread gave up its processor by its
// own wish; or for package net the runtime, which parks the goroutine.
type probes struct {
	watcher *probe.Watcher
	server  string // its name

	// What follows is the watcher's until it is closed.
	account
	last   map[string]int    // by who: its latest call in calls
	who    map[int]string    // by pid
	parent map[int]string    // by pid: who forked it
	born   map[int]time.Time // by pid: when it reported for the first time, or fork returned
	forks  map[int]int       // by pid: the fork in calls

	collects map[int]collection // by pid: of those who have not reported so far
}

// A collection is a waitpid that found a child.
type collection struct {
	call int // in calls
	by   string
	how  string
}

func watchProbes() Source {
	return &probes{
		last: map[string]int{}, who: map[int]string{}, parent: map[int]string{},
		born: map[int]time.Time{}, forks: map[int]int{}, collects: map[int]collection{},
	}
}

func (p *probes) Prepare(spec *subject.Spec) (err error) {
	p.server = cmp.Or(spec.Name, "server")
	p.watcher, err = probe.NewWatcher(false, p.hear)
	if err == nil {
		spec.Env = append(spec.Env, p.watcher.Env())
	}
	return err
}

func (p *probes) Attach(*subject.Subject) error { return nil }

func (p *probes) Close() {
	if p.watcher != nil {
		p.watcher.Close()
		p.watcher = nil
	}
}

func (p *probes) Collect(number func(client netip.AddrPort) int) (Calls, error) {
	p.Close() // nothing is added from here on
	if len(p.calls) == 0 {
		p.missing = append(p.missing, "the server's calls: it reports none; only the lab's own models do, others need strace")
	}
	p.forgetOperator()
	p.forgetVain()
	p.numberFirst()
	return p.tell(number), nil
}

// forgetOperator leaves out the calls on standard input of those who find that
// nobody types there: a child of the process model asks once.
func (p *probes) forgetOperator() {
	const stdin = "0"
	nobody := map[string]bool{} // by actor
	for _, c := range p.calls {
		if c.Name == "read" && c.Args == stdin {
			nobody[c.Actor] = c.Result == "0"
		}
	}
	for i, c := range p.calls {
		asked := slices.Contains(strings.Fields(strings.Trim(c.Args, "{}")), "0r")
		p.calls[i].hidden = nobody[c.Actor] && (asked || c.Name == "read" && c.Args == stdin)
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
	p.enters(id, name)
	switch r.Phase {
	case probe.Begins:
		p.begins(r.Pid, r.Start)
		p.collected(r.Pid)
	case sys.Before:
		p.last[id] = len(p.calls)
		p.calls = append(p.calls, serverCall{
			Call:  diagram.Call{Actor: id, Name: r.Name, Args: r.Asked()},
			begin: r.Start, client: r.Client,
		})
	case sys.After:
		p.returns(id, r)
	case probe.Ends:
		p.life(r.Start, diagram.Life{Actor: id, Event: "ends"})
	}
}

// forgetVain leaves out the calls that ask for a child that has ended and find
// none. How many there are says nothing: one signal may stand for several, and
// they also tell of children that were only stopped for a while.
func (p *probes) forgetVain() {
	for i, c := range p.calls {
		if c.Name == "waitpid" && (c.Result == "none" || c.Result == unix.ErrnoName(unix.ECHILD)) {
			p.calls[i].hidden = true
		}
	}
}

// numberFirst numbers the first thread of its kind, too, if it came with a
// client: the watcher could not know then that there would be more.
func (p *probes) numberFirst() {
	var came time.Time // the first client
	seen := map[string]bool{}
	for _, c := range p.calls {
		i := slices.IndexFunc(p.actors, func(a diagram.Actor) bool { return a.ID == c.Actor })
		name := &p.actors[i].Name
		isTask := strings.Contains(c.Actor, "/") && !strings.Contains(*name, " ")
		if isTask && c.client.IsValid() && !seen[c.Actor] && !came.IsZero() {
			*name += " 1"
		}
		seen[c.Actor] = seen[c.Actor] || came.IsZero()
		if came.IsZero() && strings.HasPrefix(c.Name, "accept") && c.client.IsValid() {
			came = c.end
		}
	}
}

func (p *probes) returns(id string, r probe.Report) {
	c := &p.calls[p.last[id]]
	c.begin, c.end, c.client, c.Slept = r.Start, r.End, r.Client, r.Slept
	c.Result = resultText(r.Name, r.N, r.Errno)
	switch {
	case r.Errno != 0:
	case r.Name == "select" || r.Name == "poll" || r.Name == "epoll_wait" || r.Name == "io_uring_enter":
		c.Result = r.Got
	case r.Name == "fork":
		p.parent[r.N], p.forks[r.N] = id, p.last[id]
		p.begins(r.N, r.End.Add(-time.Nanosecond)) // it was there when fork returned
	case r.Name == "waitpid" && r.N == 0:
		c.Result = "none"
	case r.Name == "waitpid":
		p.collects[r.N] = collection{p.last[id], id, r.Got}
		p.collected(r.N)
	}
}

// begins is told twice of a child: when fork returns in the parent, and when
// the child reports itself. Which comes first is a matter of luck.
func (p *probes) begins(pid int, at time.Time) {
	if before, known := p.born[pid]; known && before.Before(at) {
		at = before
	}
	p.born[pid] = at
	child, parent := p.who[pid], p.parent[pid]
	if child == "" || parent == "" {
		return
	}
	p.calls[p.forks[pid]].Result = child
	p.life(at, diagram.Life{Actor: child, Event: "begins", By: parent})
	delete(p.born, pid)
	delete(p.parent, pid)
}

// collected is told twice as well: when waitpid returns, and when the child
// reports itself, which we may hear later than all that it did.
func (p *probes) collected(pid int) {
	c, found := p.collects[pid]
	if child := p.who[pid]; found && child != "" {
		p.calls[c.call].Result = child
		p.reaped(c.call, diagram.Life{Actor: child, By: c.by, How: c.how})
		delete(p.collects, pid)
	}
}
