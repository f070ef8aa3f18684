package diagram

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

var (
	number = regexp.MustCompile(`\d+`)
	port   = regexp.MustCompile(`(127\.\d+\.\d+\.\d+|\[?::1\]?):(\d+)`)
	set    = regexp.MustCompile(`\{[^}]*\}`)
	first  = regexp.MustCompile(`^\d+`)
)

// inOrder puts the server's threads into the order in which they first do
// something: which of two children is told of first is a matter of luck.
func (t *Trace) inOrder() {
	first := map[string]int{}
	for i, e := range slices.Backward(t.Events) {
		for _, id := range e.actors() {
			first[id] = i
		}
	}
	rank := func(a Actor) int {
		i, acts := first[a.ID]
		switch {
		case a.Kind != ServerThread:
			return -1
		case !acts:
			return len(t.Events)
		}
		return i
	}
	slices.SortStableFunc(t.Actors, func(a, b Actor) int { return rank(a) - rank(b) })
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
			id = number.ReplaceAllStringFunc(id, pid)
		}
		ids[a.ID] = id
		t.Actors[i].ID = id
	}
	known := func(s string) string { return number.ReplaceAllStringFunc(s, pids.known) }
	hidePorts := func(s string) string {
		return port.ReplaceAllStringFunc(s, func(addr string) string {
			cut := strings.LastIndex(addr, ":")
			name := ports.name(addr[cut+1:], 1)
			return addr[:cut] + ":PORT" + strings.TrimPrefix(name, "1")
		})
	}
	for i, a := range t.Actors {
		if a.Kind == ServerThread {
			t.Actors[i].Name = hidePorts(known(a.Name))
		}
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
			e.Note.Actor, e.Note.Text = ids[e.Note.Actor], hidePorts(e.Note.Text)
		}
	}
}

// renameSet renames the descriptors of a set, "3r 5rw", and puts them in order;
// or those in what a ring is asked and answers, "read 5 = 6, accept 3 = 7".
func renameSet(text string, fd func(string) string) string {
	var members []string
	separator := " "
	if strings.ContainsFunc(text[:min(1, len(text))], unicode.IsLetter) {
		separator = ", "
	}
	for member := range strings.SplitSeq(text, separator) {
		asked, answer, answered := strings.Cut(member, " = ")
		member = number.ReplaceAllStringFunc(asked, fd)
		if answered && strings.HasPrefix(asked, "accept") {
			answer = first.ReplaceAllStringFunc(answer, fd)
		}
		if answered {
			member += " = " + answer
		}
		members = append(members, member)
	}
	slices.SortStableFunc(members, func(a, b string) int { return leading(a) - leading(b) })
	return "{" + strings.Join(members, separator) + "}"
}

// leading is the number that a text begins with.
func leading(text string) int {
	n, _ := strconv.Atoi(first.FindString(text))
	return n
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
	case starts(*c), strings.HasPrefix(c.Name, "wait"), c.Name == "kill":
		c.Args, c.Result = pid(c.Args), pid(c.Result)
		return
	case strings.HasSuffix(c.Name, "select"): // its first argument is one more than the largest
		c.Args = first.ReplaceAllStringFunc(c.Args, func(s string) string {
			n, _ := strconv.Atoi(s)
			largest := fds.known(strconv.Itoa(n - 1))
			n, _ = strconv.Atoi(largest)
			return strconv.Itoa(n + 1)
		})
	case c.Name != "poll" && c.Name != "ppoll" && c.Name != "socket":
		c.Args = first.ReplaceAllStringFunc(c.Args, fd)
	}
	inSet := func(s string) string { return renameSet(s[1:len(s)-1], fd) }
	c.Args, c.Result = set.ReplaceAllStringFunc(c.Args, inSet), set.ReplaceAllStringFunc(c.Result, inSet)
	for _, name := range []string{"accept", "socket", "dup", "epoll_create", "io_uring_setup", "open"} {
		if strings.HasPrefix(c.Name, name) {
			c.Result = first.ReplaceAllStringFunc(c.Result, fd)
		}
	}
}
