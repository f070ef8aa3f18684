package live

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"socketlab/lab/trace"
)

// An Event comes from the stream, or from the lesson itself.
type Event struct {
	trace.Event
	Cost   *Cost `json:"cost,omitempty"`
	Lesson *News `json:"lesson,omitempty"`
}

// A Cost is what the processes of a server use, counted by the kernel.
type Cost struct {
	CPU       float64 `json:"cpu_ms"` // since the start
	RSS       int64   `json:"rss"`    // bytes in memory
	Threads   int     `json:"threads"`
	Files     int     `json:"files"` // open descriptors
	Processes int     `json:"processes"`
	Zombies   int     `json:"zombies"`
}

// News is about the lesson and not about a server.
type News struct {
	Scene    *Progress `json:"scene,omitempty"`
	Ask      *Ask      `json:"ask,omitempty"`
	Votes    *Votes    `json:"votes,omitempty"`
	Watching *Watching `json:"watching,omitempty"`
}

// A Progress says which step of a scene comes next.
type Progress struct {
	Name string `json:"name"` // "": no scene
	Step int    `json:"step"`
	Base int    `json:"base"` // clients who were there before
}

// An Ask is a question that a class answers before the next action: which
// servers answer this client now?
type Ask struct {
	ID     int `json:"id"`
	Client int `json:"client"`
	After  int `json:"after"` // the action before
	step   int // of the scene
}

// Votes says how many voters have named each server.
type Votes struct {
	Ask    int            `json:"ask"`
	Voters int            `json:"voters"`
	Counts map[string]int `json:"counts"`
}

// Watching says how the servers are held, and what watching costs.
type Watching struct {
	Mode    mode    `json:"mode"`
	CPU     float64 `json:"cpu_percent"` // of one processor, the lab's own share
	Dropped int     `json:"dropped"`     // events that were not kept
}

// most is the number of events that a lesson keeps. It only counts later ones.
const most = 400_000

// A lesson keeps what has happened so far. Pages read it.
type lesson struct {
	meta Meta

	mu      sync.Mutex // guards what follows
	events  [][]byte   // as JSON, in order
	dropped int
	over    bool
	more    chan struct{} // closed when there is more, and made anew
	file    *os.File      // nil: it is not recorded
	failed  error         // why recording ended
	at      time.Duration // of the latest event
	action  int           // the latest
	here    map[int]bool  // clients that are connected
	highest int           // number of a client
	asked   int           // questions so far
}

func newLesson(o Options) (*lesson, error) {
	l := &lesson{
		meta: Meta{Schema: Schema, Title: o.Title, Sources: o.Sources, Scenes: Scenes},
		more: make(chan struct{}), here: map[int]bool{},
	}
	if l.meta.Sources == nil {
		l.meta.Sources = map[string]string{}
	}
	if o.Record == "" {
		return l, nil
	}
	file, err := os.Create(o.Record)
	if err != nil {
		return nil, fmt.Errorf("--record: %w", err)
	}
	l.file = file
	l.write(marshal(l.meta))
	return l, l.failed
}

// tell adds events of the stream.
func (l *lesson) tell(events []trace.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		if e.Act != nil {
			l.acts(*e.Act)
		}
		l.at = e.At
		l.add(marshal(Event{Event: e}))
	}
	l.wake()
	return l.failed
}

func (l *lesson) acts(a trace.Action) {
	l.action, l.highest = max(l.action, a.Number), max(l.highest, a.Client)
	switch a.Do {
	case trace.Connect:
		l.here[a.Client] = true
	case trace.Leave, trace.Reset:
		delete(l.here, a.Client)
	}
}

// present are the clients that are connected, and the highest number so far.
func (l *lesson) present() (here []int, highest int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.here)), l.highest
}

// asks returns the number of a new question.
func (l *lesson) asks() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.asked
}

func (l *lesson) latest() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.action
}

func (l *lesson) lost() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// news adds an event of the lesson itself, with the time of the latest event.
func (l *lesson) news(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.At, e.Action = l.at, l.action
	e.Source = trace.FromTheLab
	l.add(marshal(e))
	l.wake()
}

func (l *lesson) add(event []byte) {
	if len(l.events) >= most {
		l.dropped++
		return
	}
	l.events = append(l.events, event)
	l.write(event)
}

func (l *lesson) write(line []byte) {
	if l.file == nil || l.failed != nil {
		return
	}
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		l.failed = fmt.Errorf("recording: %w", err)
	}
}

func (l *lesson) wake() {
	close(l.more)
	l.more = make(chan struct{})
}

// from returns the events from number n on, and a channel that is closed when more
// have come.
func (l *lesson) from(n int) (events [][]byte, more <-chan struct{}, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, len(l.events))
	return l.events[n:len(l.events):len(l.events)], l.more, l.over
}

// end tells all readers that no more events come.
func (l *lesson) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.wake()
}

func (l *lesson) closeFile() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

func (l *lesson) recording() Recording {
	events, _, _ := l.from(0)
	return Recording{l.meta, events}
}

func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil { // nothing in it can fail
		panic(err)
	}
	return text
}
