// Package live shows several servers side by side in a browser, while the same
// clients talk to all of them.
//
// What the page shows comes from the stream of package trace and from nowhere
// else: the servers are watched from outside, and nothing is drawn that was not
// seen. A lesson keeps the events (lesson.go), and pages of any number of
// browsers read them (web.go). What a browser sends is an action for the
// clients, a step, or a vote (control.go). A recording is the same events in a
// file (record.go), and an exported page has them inside.
package live

import (
	"context"
	"errors"
	"time"

	"socketlab/lab/subject"
	"socketlab/lab/trace"
)

// Options say what is shown.
type Options struct {
	Servers []subject.Spec
	Title   string
	Sources map[string]string // the text of the models' pages, by file
	Scene   string            // the scene to begin with; "": none
	Step    bool              // our models wait before each call from the beginning
	Record  string            // the file to record to; "": none
}

// Watch starts the servers and serves the page, until the context ends. Begins
// is called when the page can be opened. It returns what was seen.
func Watch(ctx context.Context, o Options, at Place, begins func(Addresses)) (Recording, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := newLesson(o)
	if err != nil {
		return Recording{}, err
	}
	defer l.closeFile()
	stream, err := trace.Open(ctx, o.Servers, trace.StreamOptions{Hold: true})
	if err != nil {
		return Recording{}, err
	}
	c := &control{lesson: l, stream: stream}
	c.pace(pacing{Mode: firstMode(o.Step)})
	site := newSite(l, c, at.Open)
	addresses, err := site.listen(at)
	if err != nil {
		return Recording{}, errors.Join(err, stream.Close())
	}
	if o.Scene != "" {
		err = c.choose(o.Scene)
	}
	if err == nil {
		begins(addresses)
		go c.watchCost(ctx)
		go c.release(ctx)
		err = stream.Run(ctx, l.tell)
	}
	cancel()
	l.end()
	err = errors.Join(err, site.close(), stream.Close(), l.closeFile())
	return l.recording(), err
}

// Play plays a scene without a browser, from its first step to its last, and
// returns what was seen. Each step has pause for what it causes.
func Play(ctx context.Context, o Options, pause time.Duration) (Recording, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := newLesson(o)
	if err != nil {
		return Recording{}, err
	}
	stream, err := trace.Open(ctx, o.Servers, trace.StreamOptions{Hold: true})
	if err != nil {
		return Recording{}, err
	}
	c := &control{lesson: l, stream: stream}
	c.pace(pacing{Mode: run})
	if err := c.choose(o.Scene); err != nil {
		return Recording{}, errors.Join(err, stream.Close())
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
	err = stream.Run(ctx, l.tell)
	l.end()
	err = errors.Join(err, stream.Close(), l.closeFile())
	return l.recording(), err
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

func firstMode(step bool) mode {
	if step {
		return oneStep
	}
	return run
}
