package diagram

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Normalise is t without what differs from one run to the next: the times,
// which become places in the order; the numbers of processes, threads,
// descriptors and ports, which are counted as they appear; the sizes of
// windows; and the order of what happened independently at about the same
// time, such as a reader that wakes up and the ACK of what it was sent.
//
// Events keep their order wherever one may have caused the other.
func (t Trace) Normalise() Trace {
	moments := t.moments()
	order := canonical(t, moments)
	n := t
	n.Missing = nil
	if n.Rung == Namespace {
		n.Rung = Captured // seen is seen
	}
	n.Took = time.Duration(len(order))
	n.Events = nil
	place := map[int]int{} // of an event, by its old index
	for now, i := range order {
		m := moments[i]
		if m.returns {
			begin := &n.Events[place[m.index]]
			begin.Call.Took = time.Duration(now+1) - begin.At
			continue
		}
		e := m.event.clone()
		e.At = time.Duration(now + 1)
		if e.Call != nil {
			e.Call.Took = 0
		}
		if e.Segment != nil {
			e.Segment.Window = 0
		}
		if e.State != nil {
			e.State.Confirmed = false // the table was asked in time, or not
		}
		place[m.index] = len(n.Events)
		n.Events = append(n.Events, e)
	}
	n.Actors = slices.Clone(t.Actors)
	n.rename()
	return n
}

// canonical puts moments into the one order among those that keep every cause
// before its effect, in which each step is carried through before the next:
// segments first, then what they change, then who wakes up, then who goes on.
func canonical(t Trace, moments []moment) []int {
	waits := make([]int, len(moments))
	frees := make([][]int, len(moments))
	c := causes{kinds: map[string]ActorKind{}, place: map[string]int{}}
	for i, a := range t.Actors {
		c.kinds[a.ID], c.place[a.ID] = a.Kind, i
	}
	for j := range moments {
		for i := range j {
			if c.before(moments[i], moments[j]) {
				waits[j]++
				frees[i] = append(frees[i], j)
			}
		}
	}
	var order, ready []int
	for i, n := range waits {
		if n == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		next := slices.MinFunc(ready, func(a, b int) int {
			return cmp.Or(slices.Compare(c.rank(moments[a]), c.rank(moments[b])), a-b)
		})
		ready = slices.DeleteFunc(ready, func(i int) bool { return i == next })
		order = append(order, next)
		for _, j := range frees[next] {
			if waits[j]--; waits[j] == 0 {
				ready = append(ready, j)
			}
		}
	}
	return order
}

type causes struct {
	kinds map[string]ActorKind
	place map[string]int
}

// rank says what comes first among moments that may come in any order.
func (c causes) rank(m moment) []int {
	late := func(call *Call) int {
		if c.client(call) {
			return 2 // the scene goes on when the server has done what it can
		}
		return 0
	}
	switch e := m.event; {
	case e.Segment != nil, e.State != nil, e.Queue != nil:
		return []int{0, e.conn()}
	case e.Call != nil && m.returns && !e.Call.Slept:
		return []int{1, c.place[e.Call.Actor]}
	case e.Call != nil && m.returns:
		return []int{2 + late(e.Call), c.place[e.Call.Actor]}
	case e.Call != nil:
		return []int{3 + late(e.Call), c.place[e.Call.Actor]}
	case e.Life != nil:
		return []int{3, c.place[e.Life.Actor]}
	}
	return []int{6}
}

// before says whether a, which was seen first, may be a cause of b.
func (c causes) before(a, b moment) bool {
	switch x, y := a.event, b.event; {
	case a.index == b.index:
		return true // a call begins before it returns
	case x.Note != nil || y.Note != nil:
		return true // a scene's word parts what was before from what is after
	case share(x.actors(), y.actors()):
		return true // a thread does one thing after the other
	case x.Call != nil && y.Call != nil:
		// the clients are one scene, which does one thing after the other
		return c.client(x.Call) && c.client(y.Call) && !a.returns && !b.returns
	case x.Call != nil && y.Segment != nil:
		return c.sends(a, *y.Segment)
	case x.Segment != nil && y.Call != nil:
		return b.returns && c.wakes(*x.Segment, *y.Call)
	case x.Queue != nil && y.Queue != nil && x.Queue.Conn == y.Queue.Conn:
		return true
	case x.Queue != nil && (x.Queue.Conn == 0 || y.Call != nil):
		return c.changes(b, *x.Queue)
	case y.Queue != nil && (y.Queue.Conn == 0 || x.Call != nil):
		return c.changes(a, *y.Queue)
	case x.Call == nil && y.Call == nil && x.Life == nil && y.Life == nil:
		return x.conn() == y.conn() // a connection's segments and states, as they were seen
	}
	return false
}

func (c causes) client(call *Call) bool { return c.kinds[call.Actor] == ClientProgram }

// sends says whether a segment may be what a call was made for: one with more
// in it than an ACK, which the kernel sends when it likes. Who receives sends
// nothing, but may answer when it returns.
func (c causes) sends(m moment, s Segment) bool {
	call := m.event.Call
	if s.FromClient != c.client(call) || s.bare() {
		return false
	}
	if receives(*call) && call.Name != "connect" {
		return m.returns && call.Conn == s.Conn
	}
	return !m.returns && (call.Conn == s.Conn || call.Conn == 0)
}

// changes says whether a moment may be what changed the length of a queue.
func (c causes) changes(m moment, q Queue) bool {
	call := m.event.Call
	switch {
	case call != nil && q.Conn == 0:
		return m.returns && strings.HasPrefix(call.Name, "accept")
	case call != nil: // what was read waits no more
		return m.returns && call.Conn == q.Conn && receives(*call) && !c.client(call)
	case m.event.Segment != nil:
		return m.event.Segment.third()
	}
	return m.event.State != nil
}

// wakes says whether a call may have returned because of a segment.
func (c causes) wakes(s Segment, call Call) bool {
	if s.FromClient == c.client(&call) || call.Conn > 0 && call.Conn != s.Conn || !call.Slept && !receives(call) {
		return false
	}
	return !s.bare() || s.third()
}

// third is true of the segment that completes the handshake.
func (s Segment) third() bool { return s.bare() && s.FromClient && s.Seq == 1 && s.Ack == 1 }

// bare segments carry nothing but an acknowledgement.
func (s Segment) bare() bool { return s.Len == 0 && s.Flags == "ACK" }

// receives is true of calls whose result depends on what has arrived.
func receives(c Call) bool {
	for _, name := range []string{"accept", "connect", "read", "recv", "select", "pselect", "poll", "ppoll", "epoll_wait", "epoll_pwait", "io_uring_enter"} {
		if strings.HasPrefix(c.Name, name) {
			return true
		}
	}
	return false
}

func share(a, b []string) bool {
	return slices.ContainsFunc(a, func(id string) bool { return id != "" && slices.Contains(b, id) })
}

var (
	number = pattern(`\d+`)
	port   = pattern(`(127\.\d+\.\d+\.\d+|\[?::1\]?):(\d+)`)
	set    = pattern(`\{[^}]*\}`)
	first  = pattern(`^\d+`)
)

// pattern is compiled when it is needed, and not whenever the program starts:
// the process model starts it once for each client.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// rename counts pids and tids from 1 and descriptors from 3, as they appear,
// and calls the first port PORT, the next PORT2.
func (t *Trace) rename() {
	pids, ports := names{}, names{}
	ids := map[string]string{}
	pid := func(s string) string { return pids.name(s, 1) }
	for i, a := range t.Actors {
		id := a.ID
		if a.Kind == ServerThread {
			id = number().ReplaceAllStringFunc(id, pid)
		}
		ids[a.ID] = id
		t.Actors[i].ID = id
	}
	known := func(s string) string { return number().ReplaceAllStringFunc(s, pids.known) }
	hidePorts := func(s string) string {
		return port().ReplaceAllStringFunc(s, func(addr string) string {
			cut := strings.LastIndex(addr, ":")
			name := ports.name(addr[cut+1:], 1)
			return addr[:cut] + ":PORT" + strings.TrimPrefix(name, "1")
		})
	}
	for i := range t.Actors {
		t.Actors[i].Name = hidePorts(known(t.Actors[i].Name))
	}
	fds := map[string]names{} // by process, or by client
	for _, e := range t.Events {
		switch {
		case e.Call != nil:
			owner, _, _ := strings.Cut(e.Call.Actor, "/")
			if fds[owner] == nil {
				fds[owner] = names{"0": "0", "1": "1", "2": "2"}
			}
			e.Call.Actor = ids[e.Call.Actor]
			e.Call.rename(fds[owner], known)
			e.Call.Args, e.Call.Result = hidePorts(e.Call.Args), hidePorts(e.Call.Result)
		case e.Life != nil:
			e.Life.Actor, e.Life.By = ids[e.Life.Actor], ids[e.Life.By]
		case e.Note != nil:
			e.Note.Actor, e.Note.Text = ids[e.Note.Actor], hidePorts(known(e.Note.Text))
		}
	}
}

// names are old numbers and what they are called now.
type names map[string]string

func (n names) name(old string, from int) string {
	if n[old] == "" {
		n[old] = strconv.Itoa(len(n) + from)
	}
	return n[old]
}

func (n names) known(old string) string { return cmp.Or(n[old], old) }

// rename renames the descriptors of a call, or, in one that is about
// processes, the pids.
func (c *Call) rename(fds names, pid func(string) string) {
	fd := func(s string) string { return fds.name(s, 0) }
	switch {
	case strings.HasPrefix(c.Name, "fork"), strings.HasPrefix(c.Name, "vfork"), strings.HasPrefix(c.Name, "clone"),
		strings.HasPrefix(c.Name, "wait"), c.Name == "spawn", c.Name == "kill":
		c.Args, c.Result = pid(c.Args), pid(c.Result)
		return
	case strings.HasSuffix(c.Name, "select"): // its first argument is one more than the largest
		c.Args = first().ReplaceAllStringFunc(c.Args, func(s string) string {
			n, _ := strconv.Atoi(s)
			largest := fds.known(strconv.Itoa(n - 1))
			n, _ = strconv.Atoi(largest)
			return strconv.Itoa(n + 1)
		})
	case c.Name != "poll" && c.Name != "ppoll" && c.Name != "socket":
		c.Args = first().ReplaceAllStringFunc(c.Args, fd)
	}
	c.Args = set().ReplaceAllStringFunc(c.Args, func(s string) string { return number().ReplaceAllStringFunc(s, fd) })
	for _, name := range []string{"accept", "socket", "dup", "epoll_create", "open"} {
		if strings.HasPrefix(c.Name, name) {
			c.Result = first().ReplaceAllStringFunc(c.Result, fd)
		}
	}
}
