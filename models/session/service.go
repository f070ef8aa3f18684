package session

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Service is a kind of session with its options. It is a plain value, and
// has a text form, so that a child process can be told which one to serve.
type Service struct {
	Name     string        // "echo" or "talk"
	Work     time.Duration // CPU time to burn for each message
	Sleep    time.Duration // time to sleep for each message
	Greeting string        // talk: the first line that each client hears
}

// Services are the names that a Service may have.
var Services = []string{"echo", "talk"}

// New is the session of client number id; clients are counted from 1.
func (s Service) New(id int) Session {
	var conversation Session = &echo{}
	if s.Name == "talk" {
		conversation = newTalk(id, s.Greeting)
	}
	if s.Work > 0 || s.Sleep > 0 {
		return &busy{conversation, s.Work, s.Sleep}
	}
	return conversation
}

const textForm = "NAME work=DURATION sleep=DURATION [greeting=QUOTED]"

// String is the text form, such as "echo work=2ms sleep=0s".
func (s Service) String() string {
	text := s.Name + " work=" + s.Work.String() + " sleep=" + s.Sleep.String()
	if s.Greeting != "" {
		text += " greeting=" + strconv.Quote(s.Greeting)
	}
	return text
}

// Parse reads the text form.
func Parse(text string) (Service, error) {
	options, greeting, greets := strings.Cut(text, " greeting=")
	name, options, _ := strings.Cut(options, " ")
	work, sleep, _ := strings.Cut(options, " ")
	s := Service{Name: name}
	var err, err2, err3 error
	s.Work, err = time.ParseDuration(strings.TrimPrefix(work, "work="))
	s.Sleep, err2 = time.ParseDuration(strings.TrimPrefix(sleep, "sleep="))
	if greets {
		s.Greeting, err3 = strconv.Unquote(greeting)
	}
	if errors.Join(err, err2, err3) != nil || !slices.Contains(Services, name) {
		return Service{}, fmt.Errorf("service %q: want %s", text, textForm)
	}
	return s, nil
}
