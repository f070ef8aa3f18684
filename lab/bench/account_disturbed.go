package bench

import (
	"fmt"
	"time"
)

// A Judgement is what decides whether a run counts: measured facts, as shares
// of the time that the run took.
type Judgement struct {
	Busy    float64 `json:"generator_busy"`    // of the generator's threads: on a CPU
	Waited  float64 `json:"generator_waited"`  // of the generator's threads: ready, and without a CPU
	Dragged float64 `json:"generator_late"`    // of an open loop's requests: late by the generator's fault
	Server  float64 `json:"server_busy"`       // of the server's CPUs, or of its busiest thread if that is more
	Stolen  float64 `json:"machine_stolen"`    // of all CPUs that they may use: taken by the host of a virtual machine (steal)
	Others  float64 `json:"machine_others"`    // of all CPUs that they may use: used by other programs
	Cost    float64 `json:"generator_cpu"`     // CPU time of the generator, µs per request
	Invalid string  `json:"invalid,omitempty"` // why the run does not count
}

// Up to these shares a disturbance does not matter. In a run of one second
// less could not be seen: the kernel counts the machine's time in steps of 10 ms.
const (
	mostBusy    = 0.95
	mostWaited  = 0.05
	mostDragged = 0.01
	mostStolen  = 0.02
	mostOthers  = 0.05
)

// judge says whether a run counts, by what the generator, the server and the
// machine did meanwhile.
func (r *running) judge(t tally, spent spending, machine usage) Judgement {
	share := func(d time.Duration, of int) float64 {
		return d.Seconds() / (t.took.Seconds() * float64(max(1, of)))
	}
	j := Judgement{
		Busy:   share(t.ran, r.Threads),
		Waited: share(t.waited, r.Threads),
		Server: max(share(spent.cpu, len(r.Server)), share(spent.busiest, 1)),
		Stolen: share(machine.stolen, machine.cpus),
		Others: max(0, share(machine.busy-machine.own-spent.cpu, machine.cpus)),
	}
	if t.requests > 0 {
		j.Cost = micros(t.ran) / float64(t.requests)
	}
	if t.planned > 0 {
		j.Dragged = float64(t.dragged) / float64(t.planned)
	}
	if t.requests > 0 { // a silent client costs the same on a busy machine
		j.Invalid = j.why(len(r.CPUs) > 0)
	}
	return j
}

// disturbed reports whether a run does not count, by no fault of the server or of
// the generator.
func (j Judgement) disturbed() bool {
	return j.Invalid != "" && (j.Stolen > mostStolen || j.Others > mostOthers || j.Waited > mostWaited)
}

// why is the first reason that there is.
func (j Judgement) why(pinned bool) string {
	switch {
	case j.Stolen > mostStolen:
		return fmt.Sprintf("the machine below took %s of the CPU time away (steal)", percent(j.Stolen))
	case j.Others > mostOthers:
		return fmt.Sprintf("other programs used %s of the machine", percent(j.Others))
	case j.Waited > mostWaited && pinned:
		return fmt.Sprintf("the generator waited for its CPU for %s of the time", percent(j.Waited))
	case j.Waited > mostWaited:
		return fmt.Sprintf("the generator waited for a CPU for %s of the time: it and the server share too few", percent(j.Waited))
	case j.Dragged > mostDragged:
		return fmt.Sprintf("the generator began %s of the requests late", percent(j.Dragged))
	case j.Busy > mostBusy && j.Server < mostBusy-0.05:
		return fmt.Sprintf("the generator was the limit: it was busy for %s of the time, the server for %s", percent(j.Busy), percent(j.Server))
	}
	return ""
}
