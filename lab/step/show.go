package step

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/text"
	"socketlab/models"
	"socketlab/models/sys"
)

// columns is the width of the screen.
const columns = 80

// question shows at which line the server is, which call it will make next, and
// what all others do.
func (s *Stepper) question(a *actor) {
	if len(s.opening) > 0 {
		s.list("   before the page: ", s.opening)
		s.opening = nil
	}
	who := s.Model
	if a.name != "server" {
		who += ", " + a.name
	}
	s.say("")
	s.say("%s", apart(" "+who+"  "+a.call.Page, s.queue()))
	s.say("%s", text.Cut("   | "+source(a.call), columns))
	s.say("%s", text.Cut(" > "+asked(a.call), columns))
	s.list("   ", s.guests())
	s.list("   ", s.others(a))
	s.say("   %s", s.keys())
}

func (s *Stepper) keys() string {
	if s.operator != nil {
		return "next: Enter  10 calls: 10  to the next sleep: w  run: r  quit: q  say: >hello"
	}
	return "next: Enter   10 calls: 10   to the next sleep: w   run: r   quit: q"
}

// returns shows the result of a call.
func (s *Stepper) returns(a *actor, slept bool) {
	switch {
	case !onPage(a.call):
		s.opening = append(s.opening, asked(a.call)+" = "+s.answer(a.call))
	case s.mode == runOn || s.mode == forgotten:
	case slept:
		after := time.Since(a.since).Round(time.Millisecond)
		s.say("%s", text.Cut(fmt.Sprintf("   %swoke after %v: %s = %s", who(a), after, asked(a.call), s.answer(a.call)), columns))
	case a.shown:
		s.say("%s", text.Cut(" = "+s.answer(a.call), columns))
	default:
		s.say("%s", text.Cut("   "+where(a)+asked(a.call)+" = "+s.answer(a.call), columns))
	}
	a.shown = false
}

// fallsAsleep shows that a call sleeps, and what it waits for.
func (s *Stepper) fallsAsleep(a *actor) {
	says := " = asleep"
	if !a.shown {
		says = "   " + where(a) + asked(a.call) + " asleep"
	}
	a.shown = false
	s.say("%s", text.Cut(says+s.until(a.call), columns))
}

// until says what a sleeping call waits for.
func (s *Stepper) until(c sys.Call) string {
	switch c.Name {
	case "accept":
		return ", until a client comes"
	case "read":
		return ", until " + s.owner(c.Pid, c.FD) + " speaks"
	case "write":
		return ", until there is room to write"
	case "waitpid":
		return ", until a child ends"
	}
	return ", until one of them is ready"
}

func who(a *actor) string {
	if a.name == "server" {
		return ""
	}
	return a.name + " "
}

func where(a *actor) string {
	return who(a) + a.call.Page[strings.LastIndexByte(a.call.Page, '/')+1:] + "  "
}

func asked(c sys.Call) string {
	return c.Name + "(" + c.Asked() + ")"
}

// answer is what a call returned, and what that means.
func (s *Stepper) answer(c sys.Call) string {
	text := strconv.Itoa(c.N)
	switch {
	case c.Errno != 0:
		return unix.ErrnoName(c.Errno) + ", " + c.Errno.Error()
	case c.Name == "accept":
		text += ", client " + strconv.Itoa(s.number(c.Client)) + " from " + c.Client.String()
	case c.Name == "read" && c.N == 0:
		text += ", the end: " + s.owner(c.Pid, c.FD) + " sends no more"
	case c.Name == "read":
		text += ", " + c.Got
	case c.Name == "fork":
		text = "pid " + text
	case c.Name == "waitpid" && c.N == 0:
		text += ", no other child has ended"
	case c.Name == "waitpid":
		text = "pid " + text + ", " + c.Got
	case c.Name == "select" || c.Name == "poll" || c.Name == "epoll_wait":
		text += ", " + c.Got + s.owners(c)
	case c.Name == "io_uring_enter":
		text = c.Got
		if n := s.number(c.Client); n > 0 {
			text += ", client " + strconv.Itoa(n) + " from " + c.Client.String()
		}
	}
	return text
}

// owners names the clients whose descriptors select or poll found ready.
func (s *Stepper) owners(c sys.Call) string {
	var names []string
	for fd := range strings.FieldsSeq(strings.Trim(c.Got, "{}")) {
		n, _ := strconv.Atoi(strings.TrimRight(fd, "rw"))
		names = append(names, s.owner(c.Pid, n))
	}
	if len(names) == 0 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}

// others says what all actors do, except the one that is asked about.
func (s *Stepper) others(but *actor) (all []string) {
	for _, a := range s.actors {
		if a == but {
			continue
		}
		switch a.doing {
		case held:
			all = append(all, a.name+" is about to "+asked(a.call))
		case calling:
			all = append(all, a.name+" is in "+asked(a.call))
		case asleep:
			all = append(all, a.name+" sleeps in "+asked(a.call)+s.until(a.call))
		}
	}
	return all
}

// source is the line of the page that makes the call; "" if it is unknown.
func source(c sys.Call) string {
	file, line, _ := strings.Cut(strings.TrimPrefix(c.Page, "models/"), ":")
	text, err := fs.ReadFile(models.Source, file)
	n, err2 := strconv.Atoi(line)
	lines := strings.Split(string(text), "\n")
	if err != nil || err2 != nil || n < 1 || n > len(lines) {
		return ""
	}
	found := strings.ReplaceAll(strings.TrimSpace(lines[n-1]), "\t", " ")
	if c.Name == "close" && !strings.Contains(found, "Close") {
		found += "   (a deferred call)"
	}
	return found
}

// list shows items, on several lines if one line is too short.
func (s *Stepper) list(head string, items []string) {
	line := head
	for i, item := range items {
		switch {
		case i == 0:
			line += item
		case text.Width(line+" · "+item) <= columns:
			line += " · " + item
		default:
			s.say("%s", text.Cut(line, columns))
			line = "   " + item
		}
	}
	if len(items) > 0 {
		s.say("%s", text.Cut(line, columns))
	}
}

// apart puts one text at the left edge and another at the right edge.
func apart(left, right string) string {
	space := columns - text.Width(left+right)
	return text.Cut(left+strings.Repeat(" ", max(2, space))+right, columns)
}
