package trace

import (
	"slices"

	"socketlab/lab/diagram"
)

// columns are who is to be seen.
type columns struct {
	clients map[int]string    // by connection: all there ever were
	gone    map[string]bool   // ids of those who have left, or ended
	server  []diagram.Actor   // its threads, all there ever were
	sleeps  map[string]string // by id: the first call of a thread, if it has done nothing but sleep in it
	shown   []diagram.Actor   // those that have a column
	idle    [][]diagram.Actor // those that share one
	all     []diagram.Actor   // that ever had one
}

func newColumns() columns {
	return columns{clients: map[int]string{}, gone: map[string]bool{}, sleeps: map[string]string{}}
}

// names is told of a thread of the server's, or of its new name.
func (c *columns) names(a diagram.Actor) {
	if i := slices.IndexFunc(c.server, func(b diagram.Actor) bool { return b.ID == a.ID }); i >= 0 {
		c.server[i] = a
		return
	}
	c.server = append(c.server, a)
}

func (c *columns) comes(number int) { c.clients[number] = clientName(number) }

func (c *columns) goes(number int) { c.gone[clientName(number)] = true }

// leaves is told of an end. A process stays until it is collected.
func (c *columns) leaves(l diagram.Life) {
	if l.Event == "reaped" || l.How == "" {
		c.gone[l.Actor] = true
	}
}

// calls is told that a thread has made a call, or has returned from one.
func (c *columns) calls(call diagram.Call, returns bool) {
	words := ""
	if _, acted := c.sleeps[call.Actor]; !acted && !returns && call.Conn == 0 && call.Slept {
		words = call.Name + call.Args
	}
	c.sleeps[call.Actor] = words
}

// change finds columns for these beats, and reports whether they are others than
// before. Who has left goes when somebody comes, and then the idle move together.
func (c *columns) change(beats []diagram.Beat) bool {
	needed := map[string]bool{}
	for _, b := range beats {
		switch {
		case b.Segment != nil:
			needed[clientName(b.Segment.Conn)] = true
		case b.State != nil:
			needed[clientName(b.State.Conn)] = true
		case b.Queue != nil && b.Queue.Conn > 0:
			needed[clientName(b.Queue.Conn)] = true
		case b.Call != nil:
			needed[b.Call.Actor] = true
		case b.Life != nil:
			needed[b.Life.Actor] = true
		}
	}
	has := func(all []diagram.Actor, id string) bool {
		return slices.ContainsFunc(all, func(a diagram.Actor) bool { return a.ID == id })
	}
	shares := func(id string) bool {
		return slices.ContainsFunc(c.idle, func(g []diagram.Actor) bool { return has(g, id) })
	}
	changed := c.shown == nil
	for id := range needed {
		changed = changed || !has(c.shown, id) && !(shares(id) && c.sleeps[id] != "")
	}
	comes := slices.ContainsFunc(beats, func(b diagram.Beat) bool { return b.Segment != nil })
	if _, idle := c.apart(c.shown); !changed && !(comes && len(idle) > 0) {
		return false
	}
	wanted := func(id string) bool { return needed[id] || (has(c.shown, id) || shares(id)) && !c.gone[id] }
	var clients, server []diagram.Actor
	for number := 1; number <= len(c.clients); number++ {
		if id := clientName(number); wanted(id) {
			clients = append(clients, diagram.Actor{ID: id, Name: id, Kind: diagram.ClientProgram})
		}
	}
	if len(clients) == 0 { // the next one to come
		number := 1
		for c.gone[clientName(number)] {
			number++
		}
		id := clientName(number)
		clients = append(clients, diagram.Actor{ID: id, Name: id, Kind: diagram.ClientProgram})
	}
	for _, a := range c.server {
		if wanted(a.ID) {
			server = append(server, a)
		}
	}
	c.all = once(slices.Concat(c.all, clients, []diagram.Actor{serversKernel}, server))
	server, c.idle = c.apart(server)
	c.shown = slices.Concat(clients, []diagram.Actor{serversKernel}, server)
	return true
}

// apart tells those who are idle, several in the same call, from those who need
// a column of their own.
func (c *columns) apart(actors []diagram.Actor) (own []diagram.Actor, idle [][]diagram.Actor) {
	asleep := map[string][]diagram.Actor{}
	for _, a := range actors {
		if words := c.sleeps[a.ID]; words != "" {
			asleep[words] = append(asleep[words], a)
		}
	}
	for _, a := range actors {
		group := asleep[c.sleeps[a.ID]]
		switch {
		case len(group) < diagram.LeastFolded:
			own = append(own, a)
		case group[0] == a:
			idle = append(idle, group)
		}
	}
	return own, idle
}
