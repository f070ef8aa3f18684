package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/trace"
)

// A mode says when the system calls of our models may go on.
type mode string

const (
	oneStep mode = "step" // one call in each server, when the teacher asks for it
	slow    mode = "slow" // one call in each server after each pause
	run     mode = "run"  // at once
)

// A pacing is a mode, and the pause between two calls in mode slow.
type pacing struct {
	Mode  mode    `json:"mode"`
	Speed float64 `json:"speed"` // 1: a call in 600 ms
}

// A control does what the pages request.
type control struct {
	lesson *lesson
	stream *trace.Stream

	mu     sync.Mutex // guards what follows
	pacing pacing
	scene  *Script             // nil: no scene is played
	step   int                 // the next one
	base   int                 // the highest number of a client before the scene
	ask    *Ask                // the latest question to the class
	ballot map[string][]string // by voter
	cpu    float64             // percent
}

// act makes a client do something at all servers.
func (c *control) act(a trace.Action) error { return c.stream.Do(a) }

// pace sets the mode. In mode step, to set it again lets one call go.
func (c *control) pace(p pacing) error {
	switch p.Mode {
	case oneStep, slow, run:
	default:
		return fmt.Errorf("mode %q: it is step, slow or run", p.Mode)
	}
	c.mu.Lock()
	again := c.pacing.Mode == oneStep && p.Mode == oneStep
	p.Speed = min(max(p.Speed, 0.25), 4)
	c.pacing = p
	c.mu.Unlock()
	c.stream.Free(p.Mode == run)
	if again {
		c.stream.Step("", false)
	}
	c.tellWatching()
	return nil
}

// release lets calls go in mode slow.
func (c *control) release(ctx context.Context) {
	for {
		c.mu.Lock()
		p := c.pacing
		c.mu.Unlock()
		pause := time.Duration(float64(600*time.Millisecond) / max(p.Speed, 0.25))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			c.stream.Free(true)
			return
		}
		if p.Mode == slow {
			c.stream.Step("", false)
		}
	}
}

// choose begins a scene; "" ends the one that is played. All clients leave first.
func (c *control) choose(name string) error {
	scene, found := find(name)
	if !found && name != "" {
		return fmt.Errorf("no scene %q; there are %s", name, strings.Join(Names(), ", "))
	}
	here, highest := c.lesson.present()
	for _, n := range here {
		if err := c.act(trace.Action{Client: n, Do: trace.Leave}); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.scene, c.step, c.base, c.ask = nil, 0, highest, nil
	if found {
		c.scene = &scene
	}
	c.mu.Unlock()
	c.lesson.news(Event{Lesson: &News{Scene: &Progress{Name: name, Base: highest}}})
	return nil
}

// next plays the next step of the scene. If the class has to predict first, next
// asks the question and plays nothing; it plays the step when somebody has voted.
// more is false at the end of the scene.
func (c *control) next(askFirst bool) (more bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.scene == nil || c.step >= len(c.scene.Steps) {
		return false, nil
	}
	s := c.scene.Steps[c.step]
	s.Client += c.base
	if s.Asks && askFirst && (c.ask == nil || c.ask.step != c.step) {
		c.ask = &Ask{ID: c.lesson.asks(), Client: s.Client, After: c.lesson.latest(), step: c.step}
		c.ballot = map[string][]string{}
		c.lesson.news(Event{Lesson: &News{Ask: c.ask}})
		return true, nil
	}
	if s.Asks && askFirst && len(c.ballot) == 0 {
		return true, errors.New("the next action waits for a prediction")
	}
	if err := c.act(s.Action); err != nil {
		return true, err
	}
	c.step++
	c.lesson.news(Event{Lesson: &News{Scene: &Progress{c.scene.Name, c.step, c.base}}})
	return c.step < len(c.scene.Steps), nil
}

// vote records the prediction of one voter. A second vote replaces the first.
func (c *control) vote(ask int, voter string, servers []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ask == nil || c.ask.ID != ask:
		return errors.New("that question is over")
	case voter == "" || len(voter) > 64:
		return errors.New("a voter has a name of 1 to 64 bytes")
	case len(c.ballot) >= mostVoters && c.ballot[voter] == nil:
		return fmt.Errorf("more than %d have voted", mostVoters)
	}
	known := c.stream.Names()
	chosen := []string{}
	for _, name := range servers {
		if slices.Contains(known, name) && !slices.Contains(chosen, name) {
			chosen = append(chosen, name)
		}
	}
	c.ballot[voter] = chosen
	votes := Votes{Ask: ask, Voters: len(c.ballot), Counts: map[string]int{}}
	for _, chosen := range c.ballot {
		for _, name := range chosen {
			votes.Counts[name]++
		}
	}
	c.lesson.news(Event{Lesson: &News{Votes: &votes}})
	return nil
}

const mostVoters = 1000

// watchCost reports twice a second what the servers use, and what the lab itself
// uses of a processor to watch them.
func (c *control) watchCost(ctx context.Context) {
	tick := time.NewTicker(costEvery)
	defer tick.Stop()
	used := processorTime()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, s := range c.stream.Servers() {
			if tree, err := s.Tree(); err == nil && len(tree.Processes) > 0 {
				cost := Cost{
					CPU: float64(tree.CPU) / 1e6, RSS: tree.RSS, Threads: tree.Threads, Files: tree.Files,
					Processes: len(tree.Processes) - tree.Zombies, Zombies: tree.Zombies,
				}
				e := Event{Cost: &cost}
				e.Server = s.Spec.Name
				c.lesson.news(e)
			}
		}
		now := processorTime()
		c.mu.Lock()
		c.cpu = 100 * float64(now-used) / float64(costEvery)
		c.mu.Unlock()
		used = now
		c.tellWatching()
	}
}

const costEvery = 500 * time.Millisecond

func (c *control) tellWatching() {
	c.mu.Lock()
	w := Watching{Mode: c.pacing.Mode, CPU: c.cpu, Dropped: c.lesson.lost()}
	c.mu.Unlock()
	c.lesson.news(Event{Lesson: &News{Watching: &w}})
}

// processorTime is the CPU time that this process has used: getrusage(2).
func processorTime() time.Duration {
	var used unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
