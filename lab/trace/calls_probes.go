package trace

import (
	"cmp"
	"net/netip"
	"time"

	"socketlab/lab/diagram"
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
	watcher *sys.Watcher
	server  string // its name

	// What follows is the watcher's until it is closed.
	account
	last   map[string]int    // by who: its latest call in calls
	who    map[int]string    // by pid
	parent map[int]string    // by pid: who forked it
	born   map[int]time.Time // by pid: when it reported for the first time, or fork returned
	forks  map[int]int       // by pid: the fork in calls
}

func watchProbes() Source {
	return &probes{
		last: map[string]int{}, who: map[int]string{}, parent: map[int]string{},
		born: map[int]time.Time{}, forks: map[int]int{},
	}
}

func (p *probes) Prepare(spec *subject.Spec) (err error) {
	p.server = cmp.Or(spec.Name, "server")
	p.watcher, err = sys.NewWatcher(false, p.hear)
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
	return p.tell(number), nil
}

// hear takes a report.
func (p *probes) hear(r sys.Report) {
	name := r.Who
	if name == "server" {
		name = p.server
	}
	p.enters(r.Who, name)
	switch r.Phase {
	case sys.Begins:
		p.who[r.Pid] = r.Who
		p.begins(r.Pid, r.Start)
	case sys.Before:
		p.last[r.Who] = len(p.calls)
		p.calls = append(p.calls, serverCall{
			Call:  diagram.Call{Actor: r.Who, Name: r.Name, Args: r.Asked()},
			begin: r.Start, client: r.Client,
		})
	case sys.After:
		p.returns(r)
	case sys.Ends:
		p.life(r.Start, diagram.Life{Actor: r.Who, Event: "ends"})
	}
}

func (p *probes) returns(r sys.Report) {
	c := &p.calls[p.last[r.Who]]
	c.begin, c.end, c.client, c.Slept = r.Start, r.End, r.Client, r.Slept
	c.Result = resultText(r.Name, r.N, r.Errno)
	switch {
	case r.Errno != 0:
	case r.Name == "select" || r.Name == "poll":
		c.Result = r.Got
	case r.Name == "fork":
		p.parent[r.N], p.forks[r.N] = r.Who, p.last[r.Who]
		p.begins(r.N, r.End)
	case r.Name == "waitpid" && r.N == 0:
		c.Result = "none"
	case r.Name == "waitpid" && p.who[r.N] != "":
		c.Result = p.who[r.N]
		p.life(r.End, diagram.Life{Actor: p.who[r.N], Event: "reaped", By: r.Who, How: r.Got})
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
