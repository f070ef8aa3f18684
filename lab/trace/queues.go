package trace

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"socketlab/lab/diagram"
)

// looks are the lengths of the queues after each step, from when they have had
// them. On the way it compares the states with those in the kernel's table, and
// confirms them.
func (r *recorder) looks(s *stage, states, seen []diagram.Event) (events []diagram.Event) {
	lengths := map[int]int{} // by connection; 0: the accept queue
	last := time.Duration(0)
	for _, l := range s.looks {
		at := r.since(l.at)
		changes := func(q diagram.Queue) {
			if old := lengths[q.Conn]; q.Length != old {
				lengths[q.Conn] = q.Length
				events = append(events, diagram.Event{At: changed(seen, last, at, q.Conn, q.Length > old), Queue: &q})
			}
		}
		changes(diagram.Queue{Length: l.queue, Limit: l.limit})
		for i, ends := range l.ends {
			conn := r.number[s.clients[i].address()]
			if conn == 0 {
				continue
			}
			changes(diagram.Queue{Conn: conn, Length: ends[theServer].unread})
			for which, e := range ends {
				if text := confirm(states, at, conn, which == theClient, e); text != "" {
					events = append(events, diagram.Event{At: at, Note: &diagram.Note{Text: text}})
				}
			}
		}
		last = at
	}
	return events
}

// changed is when a queue has changed between two looks: with the latest
// segment that may have filled it, or call that may have emptied it. Where none
// was seen, all that is known is the second look.
func changed(seen []diagram.Event, first, second time.Duration, conn int, grown bool) time.Duration {
	at := first
	for _, e := range seen {
		when, may := e.At, false
		switch {
		case grown && conn == 0:
			may = e.State != nil && !e.State.Client && e.State.To == "ESTABLISHED"
		case grown:
			may = e.Segment != nil && e.Segment.FromClient && e.Segment.Conn == conn && e.Segment.Len > 0
		case e.Call != nil && e.Call.Result != "":
			when += e.Call.Took + 1 // after it has returned
			if conn == 0 {
				may = e.Call.Conn > 0 && strings.HasPrefix(e.Call.Name, "accept")
			} else {
				may = e.Call.Conn == conn && receiving(e.Call.Name) && e.Call.Result != "0" || // that took the FIN
					ringRead().MatchString(e.Call.Result)
			}
		}
		if may && when > at && when < second {
			at = when
		}
	}
	if at == first {
		return second
	}
	return at
}

// ringRead is what io_uring_enter says of bytes that were read; whose they were,
// it does not.
var ringRead = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\bread \d+ = [1-9]`) })

// confirm marks the state that one end of a connection was in, if the kernel's
// table has it in that state. If the table has another one, it says so.
func confirm(states []diagram.Event, at time.Duration, conn int, client bool, e end) (contradiction string) {
	var last *diagram.State
	for _, event := range states {
		if event.At <= at && event.State != nil && event.State.Conn == conn && event.State.Client == client {
			last = event.State
		}
	}
	derived, end := "CLOSED", "server"
	if last != nil {
		derived = last.To
	}
	if client {
		end = "client"
	}
	switch {
	case !e.known:
		return ""
	case last != nil && derived == e.state.String():
		last.Confirmed = true
		return ""
	case derived == e.state.String():
		return ""
	}
	return fmt.Sprintf("the kernel has the %s's end of connection %d in %v; by its segments it is in %s", end, conn, e.state, derived)
}
