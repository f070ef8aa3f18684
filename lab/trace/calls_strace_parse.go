package trace

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"socketlab/lab/diagram"
)

// A straceParser reads what strace writes with -f -ttt -T -yy: strace(1). It
// passes over what it does not understand.
type straceParser struct {
	account
	server    string
	tasks     map[int]*straceTask // by tid
	names     map[string]int      // how many have a name with this word
	forks     []straceFork
	listening bool // before, it reads its own files and libraries
}

// A straceTask is a process or thread. It has a column if it does what a
// server does.
type straceTask struct {
	tid    int
	id     string // "": it has no column
	thread bool
	parent *straceTask // nil: it was the first
	born   time.Time
	ended  bool

	name        string      // of the call that has not returned; "": none
	interrupted time.Time   // a signal interrupted it then; zero: none did
	args        string      // as far as they are known
	call        *systemCall // nil: it is none that is shown
}

type straceFork struct {
	call *systemCall
	tid  int
}

// unfinished is how a line ends when another thread's comes between.
const unfinished = "<unfinished ...>"

func newStraceParser(server string) *straceParser {
	return &straceParser{server: server, tasks: map[int]*straceTask{}, names: map[string]int{}}
}

// nameForks names whom a fork made: that is known only when they do something.
func (p *straceParser) nameForks() {
	p.forks = slices.DeleteFunc(p.forks, func(f straceFork) bool {
		made := p.tasks[f.tid]
		named := made != nil && made.id != ""
		if named {
			f.call.Result = made.id[strings.LastIndexByte(made.id, '/')+1:]
		}
		return named || made == nil || made.ended
	})
}

// line reads one line: "TID SECONDS what happened".
func (p *straceParser) line(text string) {
	number, rest, _ := strings.Cut(text, " ")
	stamp, what, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	tid, err := strconv.Atoi(number)
	at, ok := epoch(stamp)
	if err != nil || !ok {
		return
	}
	t := p.task(tid, at)
	switch {
	case strings.HasPrefix(what, "+++ "):
		p.ends(t, at, strings.Trim(what, "+ "))
	case strings.HasPrefix(what, "--- "): // a signal
	case strings.HasPrefix(what, "<... "):
		if _, tail, found := strings.Cut(what, " resumed>"); found && t.name != "" {
			p.returns(t, at, t.args+tail)
		}
	default:
		name, args, found := strings.Cut(what, "(")
		if !found || !slices.Contains(traced, name) {
			return
		}
		head, goesOn := strings.CutSuffix(args, unfinished)
		p.begins(t, at, name, head)
		if !goesOn {
			p.returns(t, at.Add(lasted(args)), args)
		}
	}
}

// task is who has this number. A new one was made by whoever is in a fork now.
func (p *straceParser) task(tid int, at time.Time) *straceTask {
	if t := p.tasks[tid]; t != nil && !t.ended {
		return t
	}
	t := &straceTask{tid: tid, born: at}
	for _, other := range p.tasks {
		if other.parent == nil && t.parent == nil {
			t.parent = other // for want of a better one
		}
		if isFork(other.name) {
			t.parent, t.thread = other, strings.Contains(other.args, "CLONE_THREAD")
		}
	}
	p.tasks[tid] = t
	return t
}

func isFork(name string) bool {
	return slices.Contains([]string{"fork", "vfork", "clone", "clone3"}, name)
}

// enters gives a task a column.
func (p *straceParser) enters(t *straceTask) {
	if t.id != "" {
		return
	}
	name := p.server
	t.id = "server" // whoever listens; what was before it, a shell perhaps, is none
	if len(p.actors) > 0 {
		word := "child"
		if t.thread {
			word = "thread"
		}
		p.names[word]++
		name = fmt.Sprint(word, " ", p.names[word])
		t.id = name
		if t.thread && t.parent != nil && t.parent.id != "" {
			process, _, _ := strings.Cut(t.parent.id, "/")
			t.id = process + "/" + name // its descriptors are the process's
		}
		begins := diagram.Life{Actor: t.id, Event: "begins"}
		if t.parent != nil {
			begins.By = t.parent.id
		}
		p.life(t.born, begins)
	}
	p.account.enters(t.id, name)
}

func (p *straceParser) ends(t *straceTask, at time.Time, how string) {
	t.ended = true
	if t.id == "" {
		return
	}
	switch code, exited := strings.CutPrefix(how, "exited with "); {
	case t.thread:
		how = ""
	case exited:
		how = "exit code " + code
	default: // "killed by SIGKILL (core dumped)"
		how, _, _ = strings.Cut(strings.TrimPrefix(how, "killed by SIG"), " ")
		how = "signal " + how
	}
	p.life(at, diagram.Life{Actor: t.id, Event: "ends", How: how})
}

// begins is the entry of a call. One that a signal interrupted is made again
// by the kernel, and is still the same call; or else it has returned.
func (p *straceParser) begins(t *straceTask, at time.Time, name, text string) {
	again := t.name == name && t.call != nil
	if c := t.call; c != nil && !again && !t.interrupted.IsZero() {
		p.returned(c, t.interrupted, "EINTR")
	}
	t.name, t.args, t.interrupted = name, text, time.Time{}
	if again {
		return
	}
	t.call = nil
	args, _, _ := straceArgs(text)
	if len(args) == 0 || !p.shows(name, args) {
		return
	}
	p.enters(t)
	t.call = p.account.begins(&systemCall{
		Call:   diagram.Call{Actor: t.id, Name: name, Args: shortArgs(name, args)},
		begin:  at,
		client: tcpPeer(args[0]),
		tid:    t.tid,
	})
}

// shows reports whether it is a call that a server makes as a server.
func (p *straceParser) shows(name string, args []string) bool {
	switch {
	case name == "socket":
		return strings.HasPrefix(args[0], "AF_INET") && len(args) > 1 && strings.Contains(args[1], "SOCK_STREAM")
	case strings.Contains(args[0], "<TCP"):
		p.listening = p.listening || name == "listen"
		return true
	case isFork(name), isWait(name), name == "wait4", name == "waitid":
		return p.listening
	}
	keyboardOrScreen := strings.HasPrefix(args[0], "0<") || strings.HasPrefix(args[0], "1<")
	return p.listening && keyboardOrScreen && (name == "read" || name == "write")
}

// returns is told the whole call: `3<TCP:[…]>, "hello\n", 100) = 6 <0.000008>`.
func (p *straceParser) returns(t *straceTask, at time.Time, text string) {
	args, rest, ok := straceArgs(text)
	value, more, _ := strings.Cut(strings.TrimLeft(rest, " ="), " ")
	if ok && t.call != nil && strings.HasPrefix(more, "ERESTART") { // perhaps: begins will see
		t.interrupted = at
		return
	}
	name, c := t.name, t.call
	t.name, t.call = "", nil
	if !ok || value == "?" {
		return
	}
	n, _ := strconv.Atoi(bare(value))
	if isFork(name) && n > 0 {
		p.forked(t, n, at, strings.Contains(text, "CLONE_THREAD"))
	}
	if c == nil {
		return
	}
	result := resultText(name, n, 0)
	if value == "-1" {
		result, _, _ = strings.Cut(more, " ")
	}
	p.returned(c, at, result)
	c.Args = shortArgs(name, args) // all of them are known now
	if client := tcpPeer(value); client.IsValid() {
		c.client = client
	}
	switch made := p.tasks[n]; {
	case isFork(name) && n > 0:
		p.forks = append(p.forks, straceFork{c, n})
	case name == "wait4" && value == "0":
		c.Result = "none"
	case name == "wait4" && n > 0 && made != nil && made.id != "":
		c.Result = made.id
		p.reaped(c, diagram.Life{Actor: made.id, By: t.id})
		p.nameForks()
		delete(p.tasks, n)
	}
}

func (p *straceParser) returned(c *systemCall, at time.Time, result string) {
	p.account.returns(c, at, result, false)
}

// forked is told who made whom. The child may have been faster.
func (p *straceParser) forked(parent *straceTask, tid int, at time.Time, thread bool) {
	made := p.tasks[tid]
	if made == nil || made.ended {
		made = &straceTask{tid: tid, born: at}
		p.tasks[tid] = made
	}
	made.parent, made.thread = parent, thread
}
