package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"socketlab/lab/text"
)

// A Result is what lab bench found out: docs/schema/bench-1.schema.json.
type Result struct {
	Schema   string    `json:"schema"`          // "lab.bench/1"
	Asked    []string  `json:"asked,omitempty"` // the command line
	Started  time.Time `json:"started"`
	MS       int64     `json:"ms"`
	Partial  bool      `json:"partial,omitempty"` // it was interrupted: this is what there is
	Machine  Machine   `json:"machine"`
	Setting  Setting   `json:"setting"`
	Points   []Point   `json:"points"`
	First    int       `json:"reference"` // which subject others are compared with: the first that serves at all points
	Subjects []Subject `json:"subjects"`
}

// A Setting is what was asked for.
type Setting struct {
	Mode     string  `json:"mode"`             // echo, rate, churn or idle
	Rate     float64 `json:"rate,omitempty"`   // requests/s of an open loop
	Seconds  float64 `json:"seconds"`          // of one run
	Freeze   float64 `json:"freeze,omitempty"` // seconds for which the server was stopped in mid-run
	Rounds   int     `json:"rounds"`
	Threads  int     `json:"threads"`     // of the generator
	CPUs     []int   `json:"cpus"`        // the generator's own; empty: shared with the server
	Server   []int   `json:"server_cpus"` // the server's own
	Over     string  `json:"over"`        // what differs from point to point: "clients", "idle" or "size"
	Baseline string  `json:"baseline,omitempty"`
}

// Harmless is r as it may be shown to anybody: servers name themselves and fail as
// they like, and a baseline may be anybody's file. JSON gets r itself.
func (r Result) Harmless() Result { return text.Harmless(r) }

// A Point is a shape of the load.
type Point struct {
	Clients int `json:"clients"` // that make requests
	Idle    int `json:"idle"`    // that are silent besides
	Size    int `json:"size"`    // bytes of a message
}

// A Subject is one server, and what it did at each point.
type Subject struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"` // "model" or "command"
	Command []string `json:"command"`
	Limit   int      `json:"limit"`             // clients it serves at once; 0: no limit
	Twins   []string `json:"twins,omitempty"`   // names of subjects it is compared with besides: its twins in C
	Again   bool     `json:"again,omitempty"`   // the reference once more, for the noise
	Failure string   `json:"failure,omitempty"` // why it could not be measured
	Cells   []Cell   `json:"cells"`             // by point
	Fit     *Fit     `json:"fit,omitempty"`     // of the CPU time for a request
}

// A Cell is one subject at one point.
type Cell struct {
	Skipped string              `json:"skipped,omitempty"` // why it was not measured
	Invalid string              `json:"invalid,omitempty"` // why its figures do not count
	Runs    []Run               `json:"runs"`              // a run for each round
	Summary map[string]Estimate `json:"summary"`           // by metric
	Against map[string]Verdict  `json:"against,omitempty"` // by metric: compared with the reference
	Before  map[string]Verdict  `json:"before,omitempty"`  // by metric: compared with the baseline
	Noisy   map[string]Verdict  `json:"noisy,omitempty"`   // by metric: compared with the reference, disturbed, and yet clear

	Twins map[string]map[string]Verdict `json:"twins,omitempty"` // by the twin's name and metric: compared with the twin

	Calls   map[string]float64 `json:"calls,omitempty"`    // system calls per request, by name
	CallsBy string             `json:"calls_by,omitempty"` // who counted them: perf or strace

	Latency Histogram `json:"latency"` // of all runs that count; from the intended moment
	Naive   Histogram `json:"naive"`   // from the moment of sending; only of an open loop
}

// A Run is one measurement. Costs are of the whole process tree.
type Run struct {
	Round    int     `json:"round"` // from 1
	Seconds  float64 `json:"seconds"`
	Requests int64   `json:"requests"`
	Late     int64   `json:"late,omitempty"`   // of an open loop: begun over 1 ms late, their clients still waited
	Unsent   int64   `json:"unsent,omitempty"` // of an open loop: never begun

	Rate   float64 `json:"rate"`   // requests/s
	CPU    float64 `json:"cpu"`    // µs per request
	User   float64 `json:"user"`   // µs per request, as the kernel sampled it; 0: not known
	System float64 `json:"system"` // the same

	// Per request, of threads that lived at the end; missing if others had a
	// noticeable part in the work.
	Starved     *float64 `json:"starved,omitempty"` // µs ready to run, without a CPU
	Voluntary   *float64 `json:"voluntary,omitempty"`
	Involuntary *float64 `json:"involuntary,omitempty"`

	P50  float64 `json:"p50"` // µs
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`

	Threads   int      `json:"threads"` // with all clients there
	Processes int      `json:"processes"`
	Files     int      `json:"files"`
	PSS       int64    `json:"pss"`                  // bytes, with all clients there
	RSS       int64    `json:"rss"`                  // bytes
	PerClient *float64 `json:"per_client,omitempty"` // bytes of PSS for each client; missing for a few: too little to see
	Queued    int      `json:"queued"`               // bytes in the server's kernel queues, in mid-run
	IdleCPU   float64  `json:"idle_cpu"`             // ms of CPU per second; of idle mode only

	Judgement
}

// A Histogram is one of HdrHistogram, in its own text form, which others read.
type Histogram struct{ *hdrhistogram.Histogram }

func (h Histogram) MarshalText() ([]byte, error) {
	if h.Histogram == nil {
		return nil, nil
	}
	return h.EncodeV2()
}

func (h *Histogram) UnmarshalText(text []byte) (err error) {
	if len(text) > 0 {
		h.Histogram, err = hdrhistogram.Decode(text)
	}
	return err
}

func (h *Histogram) add(other *hdrhistogram.Histogram) {
	if other == nil {
		return
	}
	if h.Histogram == nil {
		h.Histogram = newHistogram()
	}
	h.Merge(other)
}

// ReadResult reads what --report=json wrote.
func ReadResult(file string) (r Result, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil || r.Schema != schema {
		return r, fmt.Errorf("%s is no report of lab bench: make one with --report=json=FILE", file)
	}
	return r, nil
}

const schema = "lab.bench/1"

// JSON writes one document of the schema lab.bench/1.
func (r Result) JSON(w io.Writer) error { return text.JSON(w, r) }

// x is what differs from point to point, as a number.
func (r Result) x(p Point) float64 {
	switch r.Setting.Over {
	case "idle":
		return float64(p.Idle)
	case "size":
		return float64(p.Size)
	}
	return float64(p.Clients)
}

// Title says a point in words, without what is the same at all points.
func (r Result) Title(point int) string {
	p, sizes, idle := r.Points[point], false, false
	for _, other := range r.Points {
		sizes = sizes || other.Size != r.Points[0].Size
		idle = idle || other.Idle > 0
	}
	title := text.Count(p.Clients, "client")
	switch {
	case r.Setting.Mode == "idle":
		title = text.Count(p.Clients, "silent client")
	case idle:
		title = fmt.Sprintf("%s busy, %s silent", text.Number(p.Clients), text.Number(p.Idle))
	case r.Setting.Mode == "churn":
		title = text.Count(p.Clients, "client") + " at a time"
	}
	if sizes {
		title += ", " + strconv.Itoa(p.Size) + " bytes"
	}
	return title
}
