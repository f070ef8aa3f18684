package diagram

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// LeastFolded is how many idle threads are too many to have columns each.
const LeastFolded = 3

// folded is t with one column for all threads that do nothing but sleep in the
// same call, on behalf of no client: workers that nobody needed. They were
// there, and asleep, and no more is to be said of them.
func (t Trace) folded() Trace {
	for _, ids := range t.idle() {
		if len(ids) >= LeastFolded {
			t = t.fold(ids)
		}
	}
	return t
}

// idle are the threads that only sleep, those together who do it in the same
// call and were started by the same one.
func (t Trace) idle() (groups [][]string) {
	busy, parent, call := map[string]bool{}, map[string]string{}, map[string]string{}
	for _, e := range t.Events {
		switch {
		case e.Life != nil && e.Life.Event == "begins":
			parent[e.Life.Actor], busy[e.Life.By] = e.Life.By, true
		case e.Call != nil && e.Call.Slept && e.Call.Result == "" && e.Call.Conn == 0 && call[e.Call.Actor] == "":
			call[e.Call.Actor] = e.Call.begins()
		default:
			for _, id := range e.actors() {
				busy[id] = true
			}
		}
	}
	place := map[[2]string]int{} // in groups
	for _, a := range t.Actors {
		if a.Kind != ServerThread || busy[a.ID] || call[a.ID] == "" {
			continue
		}
		like := [2]string{parent[a.ID], call[a.ID]}
		if _, known := place[like]; !known {
			place[like] = len(groups)
			groups = append(groups, nil)
		}
		groups[place[like]] = append(groups[place[like]], a.ID)
	}
	return groups
}

// fold has the first of the actors stand for all. They begin when all have
// begun, and sleep when all do.
func (t Trace) fold(ids []string) Trace {
	all := t
	all.Actors, all.Events = nil, nil
	members := map[string]string{} // their names, by what a call may call them
	var group []Actor
	for _, a := range t.Actors {
		if slices.Contains(ids, a.ID) {
			pid, _, _ := strings.Cut(a.ID, "/")
			members[a.ID], members[pid] = a.Name, a.Name
			group = append(group, a)
		}
	}
	for _, a := range t.Actors {
		switch {
		case a.ID == ids[0]:
			a.Name = together(namesOf(group))
		case members[a.ID] != "":
			continue
		}
		all.Actors = append(all.Actors, a)
	}
	begun, asleep := 0, 0
	for i := 0; i < len(t.Events); i++ {
		e := t.Events[i]
		switch {
		case e.Life != nil && members[e.Life.Actor] != "":
			if begun++; begun < len(ids) {
				continue
			}
			e = e.clone()
			e.Life.Actor, e.Life.Event = ids[0], "begin"
		case e.Call != nil && members[e.Call.Actor] != "":
			if asleep++; asleep < len(ids) {
				continue
			}
			e = e.clone()
			e.Call.Actor = ids[0]
		}
		all.Events = append(all.Events, e)
	}
	all.startedTogether(members)
	return all
}

// startedTogether makes one of the calls, one after the other, that started
// members of a group.
func (t *Trace) startedTogether(members map[string]string) {
	latest := map[string]int{} // by actor: its latest call in events
	started := map[int][]string{}
	var events []Event
	for _, e := range t.Events {
		c := e.Call
		if c == nil {
			events = append(events, e)
			continue
		}
		child := members[c.Result]
		if i, called := latest[c.Actor]; child != "" && called && started[i] != nil && events[i].Call.begins() == c.begins() {
			started[i] = append(started[i], child)
			events[i].Call.Took = e.At + c.Took - events[i].At
			continue
		}
		latest[c.Actor] = len(events)
		if child != "" {
			started[len(events)] = []string{child}
			e = e.clone()
		}
		events = append(events, e)
	}
	for i, children := range started {
		if n := len(children); n > 1 {
			events[i].Call.Name = fmt.Sprintf("%d times %s", n, events[i].Call.Name)
			events[i].Call.Result = together(children)
		}
	}
	t.Events = events
}

func namesOf(actors []Actor) (names []string) {
	for _, a := range actors {
		names = append(names, a.Name)
	}
	return names
}

// together is such as "child 1, 3-5" for names that differ in their number, in
// order, or else says how many they are.
func together(names []string) string {
	kind, _, _ := strings.Cut(names[0], " ")
	var numbers []int
	for _, name := range names {
		number, found := strings.CutPrefix(name, kind+" ")
		n, err := strconv.Atoi(number)
		if !found || err != nil {
			return fmt.Sprintf("%d like %s", len(names), names[0])
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	var runs []string
	for i := 0; i < len(numbers); {
		first := i
		for i++; i < len(numbers) && numbers[i] == numbers[i-1]+1; {
			i++
		}
		run := strconv.Itoa(numbers[first])
		if i-first > 1 {
			run += "-" + strconv.Itoa(numbers[i-1])
		}
		runs = append(runs, run)
	}
	return kind + " " + strings.Join(runs, ", ")
}
