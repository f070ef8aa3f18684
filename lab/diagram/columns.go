package diagram

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"socketlab/lab/text"
)

// findClients decides whose a connection is: the client's who made a call on
// it, or else the one's with its number.
func (p *planner) findClients() {
	var clients []string
	kinds := map[ActorKind]bool{}
	for _, a := range p.Actors {
		kinds[a.Kind] = true
		if a.Kind == ClientProgram {
			clients = append(clients, a.ID)
		}
	}
	if !kinds[ClientProgram] {
		p.Actors = append(p.Actors, Actor{"client", "client", ClientProgram})
		clients = []string{"client"}
	}
	if !kinds[ServerKernel] {
		p.Actors = append(p.Actors, Actor{"kernel/server", "kernel", ServerKernel})
	}
	p.merged = len(clients) > 1 || p.width < 100
	p.client, p.conns = map[int]string{}, map[string]int{}
	claim := func(conn int, id string) {
		if conn > 0 && p.client[conn] == "" {
			p.client[conn] = id
			p.conns[id]++
		}
	}
	for conn, id := range p.Owners {
		claim(conn, id)
	}
	for _, e := range p.Events {
		if c := e.Call; c != nil && slices.Contains(clients, c.Actor) {
			claim(c.Conn, c.Actor)
		}
	}
	for _, e := range p.Events {
		if conn := e.conn(); conn > 0 {
			claim(conn, clients[min(conn, len(clients))-1])
		}
	}
}

// mostClients have columns each; of more, three have, and one stands for the others.
const mostClients = 6

// findColumns gives every actor its column, at most so many to clients and
// threads: beyond, the last one stands for all that are left.
func (p *planner) findColumns(most int) {
	order := []ActorKind{ClientProgram, ClientKernel, ServerKernel, ServerThread, terminal}
	slices.SortStableFunc(p.Actors, func(a, b Actor) int {
		return slices.Index(order, a.Kind) - slices.Index(order, b.Kind)
	})
	all, room := map[ActorKind]int{}, map[ActorKind]int{}
	for _, a := range p.Actors {
		all[a.Kind]++
	}
	most = max(most, 2)
	clients, threads := all[ClientProgram], all[ServerThread]
	if clients > mostClients {
		clients = 4 // three, and one for all the others
		room[ClientProgram] = clients
	}
	if clients+threads > most {
		fair := max(1, min(most-1, most*clients/(clients+threads)))
		if p.guests > 0 {
			fair = p.guests
		}
		room[ClientProgram], room[ServerThread] = fair, most-fair
	}
	late := p.late()
	p.place = map[string]int{}
	seen := map[ActorKind]int{}
	for _, a := range p.Actors {
		seen[a.Kind]++
		last := len(p.columns) - 1
		switch n := seen[a.Kind]; {
		case a.Kind == ClientKernel && p.merged,
			a.Kind == ServerKernel && n > 1, a.Kind == ClientKernel && n > 1:
			continue // its events stand beside the client, or the first
		case room[a.Kind] > 0 && n > room[a.Kind]:
			p.columns[last].folded = true
			p.columns[last].late = false
			p.columns[last].name = text.Count(all[a.Kind]-room[a.Kind]+1, "more", "more")
			if room[a.Kind] == 1 && a.Kind == ServerThread && p.guests > 0 {
				p.columns[last].name = fmt.Sprintf("%s + %d", p.first(ServerThread), all[a.Kind]-1)
			}
			p.life[last] = idle
		default:
			p.columns = append(p.columns, column{name: a.Name, kind: a.Kind, late: late[a.ID]})
			p.open = append(p.open, nil)
			p.life = append(p.life, idle)
			last++
			if late[a.ID] {
				p.life[last] = absent
			}
		}
		p.place[a.ID] = last
	}
}

// first is the name of the first of its kind.
func (p *planner) first(kind ActorKind) string {
	i := slices.IndexFunc(p.Actors, func(a Actor) bool { return a.Kind == kind })
	return p.Actors[i].Name
}

// late are those who begin while the scene runs, or are threads that do nothing
// before the first segment. Whether they were there nobody has seen.
func (p *planner) late() map[string]bool {
	late, begun, seen := map[string]bool{}, false, map[string]bool{}
	for _, e := range p.Events {
		switch {
		case e.Segment != nil:
			begun = true
		case e.Life != nil && strings.HasPrefix(e.Life.Event, "begin"):
			late[e.Life.Actor] = true
		case e.Call != nil && !seen[e.Call.Actor]:
			seen[e.Call.Actor] = true
			i := slices.IndexFunc(p.Actors, func(a Actor) bool { return a.ID == e.Call.Actor })
			late[e.Call.Actor] = late[e.Call.Actor] || begun && i >= 0 && p.Actors[i].Kind == ServerThread
		}
	}
	return late
}

// end is the column of one end of a connection.
func (p *planner) end(conn int, client bool) int {
	kind := ServerKernel
	if client && p.merged {
		return p.place[p.client[conn]]
	} else if client {
		kind = ClientKernel
	}
	i := slices.IndexFunc(p.columns, func(c column) bool { return c.kind == kind })
	if i < 0 {
		return p.place[p.client[conn]]
	}
	return i
}

// of is the actor's column, and what to call it in a column of several.
func (p *planner) of(id string) (at int, prefix string) {
	at, found := p.place[id]
	if !found { // a kernel without a column
		at = p.end(0, false)
	}
	if p.columns[at].folded {
		prefix = p.name(id) + ": "
	}
	return at, prefix
}

func (p *planner) name(id string) string {
	if i := slices.IndexFunc(p.Actors, func(a Actor) bool { return a.ID == id }); i >= 0 {
		return p.Actors[i].Name
	}
	_, own, _ := strings.Cut(id, "/")
	return text.Cells(cmp.Or(own, id), true)
}

// which tells connections apart, where there are several: whose it is, in the
// kernels' columns, and which one, if a client has more than one.
func (p *planner) which(conn, at int) string {
	switch id := p.client[conn]; {
	case conn == 0 || len(p.client) < 2:
		return ""
	case p.columns[at].kind == ClientProgram && !p.columns[at].folded:
		if p.conns[id] > 1 {
			return "#" + strconv.Itoa(conn) + ": "
		}
		return ""
	case p.conns[id] > 1:
		return p.name(id) + " #" + strconv.Itoa(conn) + ": "
	default:
		return p.name(id) + ": "
	}
}
