package bench

import (
	"context"
	"errors"
	"time"
)

// A Crowd is how many clients a server served at once, and what happened to the
// next one.
type Crowd struct {
	Served int
	Most   int    // how many came
	Why    string // what happened to the next one; "": there was none
}

// Serves finds out how many clients a server serves at once, of most: they come
// a few at a time, each of them has to get an answer, and all stay.
func Serves(ctx context.Context, s Subject, most int, patience, limit time.Duration) (c Crowd, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	o := Options{Patience: patience}
	o.Threads = 1
	o.divide()
	subject := newSubject(s, nil)
	r, err := o.begin(ctx, &subject, Point{Size: 64})
	if err != nil {
		return c, err
	}
	defer r.end()
	err = r.load.connect(most)
	c.Most = most
	for _, client := range r.load.threads[0].clients {
		if client.state == silent {
			c.Served++
		}
	}
	wrong, blamed := errors.AsType[*ServerError](err)
	switch {
	case blamed:
		c.Why = wrong.Says
	case errors.Is(err, context.Canceled):
		c.Why = "time was over"
	case err != nil:
		return c, explain(err)
	}
	return c, nil
}
