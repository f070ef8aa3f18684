// Package live shows several servers side by side in a browser, while the same
// clients talk to all of them.
//
// All that the page shows comes from the stream of package trace. The lab watches
// the servers from outside, and draws nothing that it has not seen. A lesson keeps
// the events (lesson.go). Any number of browsers read them (web.go). A browser
// sends an action for the clients, a step, or a vote (control.go). A recording is a
// file with the same events (record.go); an exported page contains them.
package live

import (
	"context"
	"errors"
	"time"

	"socketlab/lab/subject"
	"socketlab/lab/trace"
)

// Options say what to show.
type Options struct {
	Servers []subject.Spec
	Title   string
	Sources map[string]string // the text of the models' pages, by file
	Scene   string            // the scene to begin with; "": none
	Step    bool              // our models wait before each call from the beginning
	Record  string            // the file to record to; "": none
}

// newControl starts the servers and a lesson about them. With Step, each of our
// models waits before its first call; without it, they run freely.
func newControl(ctx context.Context, o Options) (*control, error) {
	l, err := newLesson(o)
	if err != nil {
		return nil, err
	}
	stream, err := trace.Open(ctx, o.Servers, trace.StreamOptions{Hold: true})
	if err != nil {
		return nil, errors.Join(err, l.closeFile())
	}
	c := &control{lesson: l, stream: stream}
	first := pacing{Mode: run}
	if o.Step {
		first.Mode = oneStep
	}
	err = c.pace(first)
	if err == nil && o.Scene != "" {
		err = c.choose(o.Scene)
	}
	if err != nil {
		_, err = c.finish(err)
	}
	return c, err
}

// finish ends the servers, and returns what was seen.
func (c *control) finish(errs ...error) (Recording, error) {
	errs = append(errs, c.stream.Close(), c.lesson.closeFile())
	return c.lesson.recording(), errors.Join(errs...)
}

// Watch starts the servers and serves the page until the context ends. It calls
// begins when the page can be opened, and returns what was seen.
func Watch(ctx context.Context, o Options, at Place, begins func(Addresses)) (Recording, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := newControl(ctx, o)
	if err != nil {
		return Recording{}, err
	}
	site := newSite(c.lesson, c, at.Open)
	addresses, err := site.listen(at)
	if err != nil {
		return c.finish(err)
	}
	begins(addresses)
	go c.watchCost(ctx)
	go c.release(ctx)
	err = c.stream.Run(ctx, c.lesson.tell)
	cancel()
	c.lesson.end()
	return c.finish(err, site.close())
}

// Play plays a scene without a browser, from its first step to its last, and
// returns what was seen. After each step it waits for pause.
func Play(ctx context.Context, o Options, pause time.Duration) (Recording, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.Step = false
	c, err := newControl(ctx, o)
	if err != nil {
		return Recording{}, err
	}
	go c.watchCost(ctx)
	go func() {
		defer cancel()
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for more := true; more; {
			select {
			case <-tick.C:
				more, _ = c.next(false)
			case <-ctx.Done():
				return
			}
		}
		<-tick.C
	}()
	return c.finish(c.stream.Run(ctx, c.lesson.tell))
}

// Replay serves the page of a recording until the context ends.
func Replay(ctx context.Context, r Recording, at Place, begins func(Addresses)) error {
	l := &lesson{meta: r.Meta, events: r.Events, more: make(chan struct{})}
	l.meta.Replay = true
	site := newSite(l, nil, at.Open)
	addresses, err := site.listen(at)
	if err != nil {
		return err
	}
	begins(addresses)
	<-ctx.Done()
	l.end()
	return site.close()
}
