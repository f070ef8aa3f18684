package experiment

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var coordinatedOmission = Experiment{
	Name: "coordinated-omission", Title: "the server stops for 1 s; what does the average say?",
	Lesson: 4, Takes: 5 * time.Second, Alone: true,
	Models: []string{"epoll"},
	Look:   "how many requests were slow, by the client that waits and by the client with a plan",
	Why:    "A client that waits for each answer before it asks again stops asking when the server stops: it measures one slow request, where a hundred users would have come. The server and the measuring have agreed on what to leave out: coordinated omission. A plan that goes on, and times that count from when a request was due, show what users saw.",
	Read:   "docs/measuring.md; lab bench --rate --freeze",
	Ask: func(seed *rand.Rand) Question {
		every := time.Duration(5+seed.IntN(6)) * time.Millisecond
		const total, frozen = 2500 * time.Millisecond, time.Second
		due := int(frozen / every)
		return Question{
			Asks: fmt.Sprintf("A client asks every %s, but waits for each answer before it asks again. In the middle of %s the server stops for %s. How many requests does the client find slow (over 50 ms)?", Took(every), Took(total), Took(frozen)),
			Says: []Choice{
				{"1", ""},
				{fmt.Sprintf("some %d: as many as were due in that second", due), "Only one was asked. The others were never asked, because the client waited."},
				{"all that come after it, too", "After the stop the server was as fast as before."},
			},
			Right: 0,
			Run: func(r *Run) (int, string) {
				model := r.Models[0]
				s := r.Serve(model)
				freeze := func() {
					r.Sleep(700 * time.Millisecond)
					s.Hold()
					r.Sleep(frozen)
					s.Release()
				}
				closed, open := hdrhistogram.New(1, 10e6, 3), hdrhistogram.New(1, 10e6, 3)
				waits := s.Dial()
				go freeze()
				for start := time.Now(); time.Since(start) < total; {
					took, _ := waits.Ask("hello\n", patience)
					closed.RecordValue(took.Microseconds())
					time.Sleep(every - min(every, took))
				}
				plans := s.Dial()
				go freeze()
				start, n := time.Now(), int(total/every)
				go func() {
					for i := range n {
						time.Sleep(time.Until(start.Add(time.Duration(i) * every)))
						plans.Write([]byte("hello\n"))
					}
				}()
				for i := range n {
					_, err := plans.Recv(6, patience)
					r.Check(err)
					open.RecordValue(time.Since(start.Add(time.Duration(i) * every)).Microseconds())
				}
				slow := func(h *hdrhistogram.Histogram) (n int64) {
					for _, bar := range h.Distribution() {
						if bar.From > 50e3 {
							n += bar.Count
						}
					}
					return n
				}
				r.histogram("waits for each answer", closed, slow(closed))
				r.histogram("has a plan", open, slow(open))
				late := slow(closed)
				most := late > closed.TotalCount()/2
				saw := which(late == 1, late > int64(due)/2 && !most, most)
				return saw, fmt.Sprintf("The client that waits found %d of %d requests slow, and a mean of %s. By the plan %d of %d were slow, and the mean is %s.",
					slow(closed), closed.TotalCount(), Took(micro(closed.Mean())), slow(open), open.TotalCount(), Took(micro(open.Mean())))
			},
		}
	},
}

func micro(us float64) time.Duration { return time.Duration(us * 1e3) }

// histogram adds a column with what a client measured.
func (r *Run) histogram(name string, h *hdrhistogram.Histogram, slow int64) {
	r.Column(name,
		"requests", h.TotalCount(),
		"slow, over 50 ms", slow,
		"mean", micro(h.Mean()),
		"median", micro(float64(h.ValueAtQuantile(50))),
		"99 % within", micro(float64(h.ValueAtQuantile(99))),
		"longest", micro(float64(h.Max())))
}
