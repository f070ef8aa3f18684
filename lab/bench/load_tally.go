package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A tally is what came of a phase.
type tally struct {
	took     time.Duration
	requests int64
	planned  int64 // by an open loop
	late     int64 // of those: begun more than lateness after their moment, because the client still waited for an answer
	unsent   int64 // never begun: the run was over
	dragged  int64 // begun late though the client was free: the generator's own fault

	latency *hdrhistogram.Histogram // ns, from the moment that was intended
	naive   *hdrhistogram.Histogram // ns, from the moment of sending; nil if that is the same

	ran, waited time.Duration // of the generator's threads: on a CPU, and for one
}

// A request of an open loop that begins within lateness is not late.
const lateness = time.Millisecond

func newTally() tally { return tally{latency: newHistogram()} }

// newHistogram has room for a minute in steps of a thousandth.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(100, int64(time.Minute), 3)
}

// record adds a latency. One that is out of range counts as the nearest in range.
func record(h *hdrhistogram.Histogram, ns int64) {
	h.RecordValue(min(max(ns, h.LowestTrackableValue()), h.HighestTrackableValue()))
}

func (t *tally) add(other tally) {
	t.requests += other.requests
	t.planned += other.planned
	t.late += other.late
	t.unsent += other.unsent
	t.dragged += other.dragged
	t.ran += other.ran
	t.waited += other.waited
	t.latency.Merge(other.latency)
	if other.naive != nil {
		if t.naive == nil {
			t.naive = newHistogram()
		}
		t.naive.Merge(other.naive)
	}
}
