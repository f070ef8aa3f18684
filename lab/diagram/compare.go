package diagram

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Labels of segments in a comparison.
const (
	handshake = "SYN, SYN+ACK, ACK" // the third of them stands for all
	dataOnly  = "data"              // it shows its data alone
)

// compared is t without what servers have in common: how they are set up, the
// handshake segments, ACKs that carry nothing else, and the calls of clients that
// did not wait. What is left tells servers apart. It says so in Missing.
func (t Trace) compared() Trace {
	short := t
	short.Owners = t.owned()
	short.Events = nil
	opened := t.opened()
	clients := map[string]bool{}
	for _, a := range t.Actors {
		clients[a.ID] = a.Kind == ClientProgram
	}
	setUp := time.Duration(-1)
	if len(t.Steps) > 0 {
		setUp = t.Steps[0]
	}
	for i, e := range t.Events {
		switch s, c := e.Segment, e.Call; {
		case e.Life != nil && e.At <= setUp,
			c != nil && c.Result != "" && e.At+c.Took <= setUp,
			c != nil && clients[c.Actor] && c.Result != "" && !(prefixed(c.Name, "recv", "read") && (c.Slept || c.Result != "0")),
			e.State != nil && (e.State.Client || e.State.To == "SYN-RECEIVED"):
			continue
		case s != nil && opened[s.Conn] > i && (s.Flags == "SYN" || s.Flags == "SYN+ACK"):
			continue
		case s != nil && opened[s.Conn] == i && i > 0:
			e = e.clone()
			e.Segment.Label = handshake
		case s != nil && s.bare(), e.Note != nil && !contradicts(*e.Note):
			continue // a note is the title of its step
		case s != nil && s.Flags == "PSH+ACK" && s.Len > 0 && len(s.Records) == 0:
			e = e.clone()
			e.Segment.Label = dataOnly
		}
		short.Events = append(short.Events, e)
	}
	return short
}

// onSlide is what is left of a comparison on a slide: who sleeps in which call,
// what goes over the wire, what waits; where it has the slide alone, also what
// wakes up its threads.
func (t Trace) onSlide(alone bool) Trace {
	t = t.compared()
	events := t.Events
	t.Events = nil
	lengths := map[int]int{}
	for _, e := range events {
		switch s, c := e.Segment, e.Call; {
		case e.State != nil, e.Life != nil && e.Life.Event != "begins" && !alone,
			c != nil && t.serves(c.Actor) && c.Result != "" && !c.Slept && !starts(*c) && !(alone && t.pipe(*c)),
			c != nil && c.Result != "" && !c.Slept && receives(*c) && !(alone && t.pipe(*c)), c != nil && prefixed(c.Name, "wait"):
			continue
		case e.Life != nil && e.Life.Event == "begins":
			e = e.clone()
			e.Life.By = ""
		case c != nil && alone && t.pipe(*c):
			e = e.clone()
			fd, _, _ := strings.Cut(c.Args, ",")
			e.Call.Args = fd + ": wake-up pipe"
		case e.Queue != nil:
			less := e.Queue.Length <= lengths[e.Queue.Conn]
			lengths[e.Queue.Conn] = e.Queue.Length
			if less {
				continue
			}
		case s != nil && s.Label == "" && s.Len == 0:
			e = e.clone()
			e.Segment.Label, _, _ = strings.Cut(s.Flags, "+")
		}
		t.Events = append(t.Events, e)
	}
	return t
}

// contradicts is true of a note in which the kernel's table says something else
// than the segments.
func contradicts(n Note) bool { return strings.HasPrefix(n.Text, "the kernel has") }

// opened is, by connection, the place of the segment that completes its
// handshake.
func (t Trace) opened() map[int]int {
	at := map[int]int{}
	for i, e := range t.Events {
		if s := e.Segment; s != nil && s.FromClient && s.Seq == 1 && s.Ack == 1 && at[s.Conn] == 0 && s.bare() {
			at[s.Conn] = i
		}
	}
	return at
}

// owned is whose each connection is, by the calls of clients.
func (t Trace) owned() map[int]string {
	owners := map[int]string{}
	for _, e := range t.Events {
		if c := e.Call; c != nil && c.Conn > 0 && owners[c.Conn] == "" && strings.HasPrefix(c.Actor, "client") {
			owners[c.Conn] = c.Actor
		}
	}
	return owners
}

// actions says what the clients, and the scene, do in each step: it is the same
// for all servers.
func (t Trace) actions() []string {
	titles := make([][]string, len(t.Steps)+1)
	resets := map[string]bool{}
	for _, e := range t.Events {
		step := t.step(e.At)
		say := func(text string) { titles[step] = append(titles[step], text) }
		switch c := e.Call; {
		case e.Note != nil && e.Note.Actor != "":
			say(e.Note.Actor + " " + e.Note.Text)
		case e.Note != nil && !contradicts(*e.Note):
			say(e.Note.Text)
		case c == nil || !strings.HasPrefix(c.Actor, "client"):
		case c.Name == "connect":
			say(c.Actor + " connects")
		case c.Name == "send":
			_, data, _ := strings.Cut(c.Args, ", ")
			say(c.Actor + " sends " + data)
		case c.Name == "shutdown":
			say(c.Actor + " finishes sending: FIN")
		case c.Name == "setsockopt":
			resets[c.Actor] = true
		case c.Name == "close" && resets[c.Actor]:
			say(c.Actor + " aborts: RST")
		case c.Name == "close":
			say(c.Actor + " closes")
		}
	}
	all := make([]string, len(titles))
	for i, parts := range titles {
		before := ""
		for j, part := range parts { // "client 2 connects, sends …"
			words := strings.SplitN(part, " ", 3)
			actor := strings.Join(words[:min(2, len(words))], " ")
			if words[0] == "client" && actor == before && len(words) == 3 {
				parts[j] = words[2]
			}
			before = actor
		}
		all[i] = strings.Join(parts, ", ")
	}
	return all
}

// Sides are one scene, played to several servers: they are drawn side by side,
// and what happens after one action of the clients stands in the same rows.
type Sides []Trace

// SidesSchema is the name and version of Sides as JSON; the schema is
// docs/schema/traces-1.schema.json.
const SidesSchema = "lab.traces/1"

func (s Sides) check() error {
	if len(s) == 0 {
		return fmt.Errorf("there is no trace to compare")
	}
	for _, t := range s {
		if t.Scene != s[0].Scene {
			return fmt.Errorf("the scenes %s and %s cannot be compared", s[0].Scene, t.Scene)
		}
		if err := t.check(); err != nil {
			return err
		}
	}
	return nil
}

// Normalise is each side without what differs from one run to the next.
func (s Sides) Normalise() Sides {
	normal := slices.Clone(s)
	for i := range normal {
		normal[i] = s[i].Normalise()
	}
	return normal
}

// shown is each side as it may be shown to anybody.
func (s Sides) shown(ascii bool) Sides {
	shown := slices.Clone(s)
	for i := range shown {
		shown[i] = s[i].shown(ascii)
	}
	return shown
}

func (s Sides) title() string {
	var names []string
	for _, t := range s {
		names = append(names, t.Subject)
	}
	if len(s) == 1 {
		return s[0].title()
	}
	return s[0].Scene + ": " + strings.Join(names, ", ")
}

// actions are the titles of the steps, of whichever side saw most of them.
func (s Sides) actions() (titles []string) {
	for _, t := range s {
		for i, title := range t.actions() {
			if i == len(titles) {
				titles = append(titles, "")
			}
			if titles[i] == "" {
				titles[i] = title
			}
		}
	}
	return titles
}

const (
	leftOut = "not shown: set-up, ACKs that carry nothing else, calls of clients that did not wait"
	onlyKey = "shown are the segments that open, carry data or close, and the calls that slept"
)

// summary is the footer in short, with what is left out.
func (s Sides) summary(left string) []string {
	seen := map[string]bool{}
	var parts []string
	for _, t := range s {
		for _, part := range []string{rungs[t.Rung], t.sourceText()} {
			if !seen[part] {
				seen[part] = true
				parts = append(parts, part)
			}
		}
	}
	lines := []string{strings.Join(parts, "; "), left}
	for _, t := range s {
		for _, m := range t.Missing {
			lines = append(lines, t.Subject+": missing: "+m)
		}
	}
	return lines
}

// rows of a plan, by the step that they belong to.
func (p plan) steps(t Trace) [][]row {
	all := make([][]row, len(t.Steps)+1)
	for _, r := range p.rows {
		step := t.step(r.at)
		all[step] = append(all[step], r)
	}
	return all
}

// at rest are the lanes before the first row.
func (p plan) atRest() []lane {
	lanes := make([]lane, len(p.columns))
	for i, c := range p.columns {
		if !c.late {
			lanes[i] = idle
		}
	}
	return lanes
}
