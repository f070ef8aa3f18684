package experiment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
	"socketlab/lab/text"
)

// Options say how an experiment is run.
type Options struct {
	Seed     uint64
	Models   []string // the columns; nil: the experiment's own
	Command  []string // one column more: a server of one's own
	Repaired bool     // with the bug mended
	Lab      string   // the lab's own program
	Private  error    // nil: this is a network namespace of our own; else why it is not
}

// A Run is one run of an experiment: what it may use, and what it has seen. Its
// methods end the run if something fails that the experiment is not about.
type Run struct {
	Options
	ctx     context.Context
	bug     Bug
	columns []string
	rows    []Row
	cleanup []func()
	folder  string // for programs that are built
}

// A Row is a line of the table: one thing that was measured, in each column.
type Row struct {
	Name  string   `json:"name"`
	Cells []string `json:"cells"`
}

// A Status says how a run went.
type Status string

const (
	AsTold      Status = "as told"     // what was seen is what the text says
	Contradicts Status = "contradicts" // it is not
	Undecided   Status = "undecided"   // it is not, and the machine was too busy to tell
	Missing     Status = "missing"     // it cannot be produced on this machine
	Failed      Status = "failed"      // the experiment itself could not go on
)

// A Result is what came of a run. It is what --json prints.
type Result struct {
	Name       string   `json:"name"`
	Lesson     int      `json:"lesson"`
	Seed       uint64   `json:"seed"`
	Repaired   bool     `json:"repaired"`
	Question   string   `json:"question"`
	Choices    []string `json:"choices"`
	Prediction string   `json:"prediction"` // a letter; "": none was made
	Expected   string   `json:"expected"`   // the text's answer
	Saw        string   `json:"saw"`        // what was measured; "": none of the answers
	Status     Status   `json:"status"`
	Says       string   `json:"says"`
	Columns    []string `json:"columns"`
	Rows       []Row    `json:"rows"`
	MS         int64    `json:"ms"`
	Busy       float64  `json:"busy"` // the part of the machine that others used meanwhile
}

// limit is how long a run may take.
const limit = 40 * time.Second

// stop is what ends a run early; Do recovers it.
type stop struct {
	status Status
	err    error
}

// Do runs one variant of an experiment.
func (e Experiment) Do(ctx context.Context, o Options) Result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if len(o.Models) == 0 {
		o.Models = e.Models
	}
	r := &Run{Options: o, ctx: ctx, bug: e.Bug}
	q := e.Variant(o.Seed)
	result := Result{
		Name: e.Name, Lesson: e.Lesson, Seed: o.Seed, Repaired: o.Repaired, Question: q.Asks,
		Expected: Letter(q.Right), Columns: []string{}, Rows: []Row{}, Choices: []string{},
	}
	for _, c := range q.Says {
		result.Choices = append(result.Choices, c.Text)
	}
	if o.Repaired {
		result.Expected = Letter(q.Mended)
	}
	start, others := time.Now(), watchOthers()
	r.play(q, &result)
	result.Busy = others()
	result.MS = time.Since(start).Milliseconds()
	result.weigh()
	result.Columns = append(result.Columns, r.columns...)
	for _, row := range r.rows { // a run that was cut short has left some empty
		for len(row.Cells) < len(r.columns) {
			row.Cells = append(row.Cells, "–")
		}
		result.Rows = append(result.Rows, row)
	}
	return result
}

// weigh turns a contradiction into Undecided if the machine was too busy.
func (r *Result) weigh() {
	if r.Status == Contradicts && r.Busy > tooBusy {
		r.Status = Undecided
	}
}

func (r *Run) play(q Question, result *Result) {
	defer r.clean()
	defer func() {
		switch end := recover().(type) {
		case nil:
		case stop:
			result.Status, result.Says = end.status, end.err.Error()
		default:
			panic(end)
		}
	}()
	saw, sentence := q.Run(r)
	result.Saw, result.Says, result.Status = Letter(saw), sentence, Contradicts
	if result.Saw == result.Expected {
		result.Status = AsTold
	}
}

// clean undoes what the run has begun, in reverse order.
func (r *Run) clean() {
	for _, undo := range slices.Backward(r.cleanup) {
		undo()
	}
	if r.folder != "" {
		os.RemoveAll(r.folder)
	}
}

func (r *Run) finally(undo func()) { r.cleanup = append(r.cleanup, undo) }

// Columns begins the table.
func (r *Run) Columns(names ...string) { r.columns = names }

// Column adds one cell to each row, in the order of the pairs: name, value.
func (r *Run) Column(name string, pairs ...any) {
	r.columns = append(r.columns, name)
	for i := 0; i+1 < len(pairs); i += 2 {
		row := pairs[i].(string)
		at := slices.IndexFunc(r.rows, func(known Row) bool { return known.Name == row })
		if at < 0 {
			r.rows = append(r.rows, Row{Name: row})
			at = len(r.rows) - 1
		}
		for len(r.rows[at].Cells) < len(r.columns)-1 {
			r.rows[at].Cells = append(r.rows[at].Cells, "–")
		}
		r.rows[at].Cells = append(r.rows[at].Cells, show(pairs[i+1]))
	}
}

// Row adds a line to the table.
func (r *Run) Row(name string, cells ...any) {
	row := Row{Name: name}
	for _, cell := range cells {
		row.Cells = append(row.Cells, show(cell))
	}
	r.rows = append(r.rows, row)
}

// show is a value as it stands in a table or a sentence.
func show(value any) string {
	switch value := value.(type) {
	case time.Duration:
		return Took(value)
	case float64:
		return number(value)
	case int:
		return text.Number(value)
	case error:
		return cause(value)
	case nil:
		return "–"
	}
	return fmt.Sprint(value)
}

// Took is a time with the digits that mean something.
func Took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", float64(d)/1e3)
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func number(x float64) string {
	if x >= 100 {
		return fmt.Sprintf("%.0f", x)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0")
}

// cause is the name of a system call's error: ECONNRESET.
func cause(err error) string {
	var number unix.Errno
	if errors.As(err, &number) {
		return unix.ErrnoName(number)
	}
	return err.Error()
}

// Check ends the run if there is an error: the experiment cannot go on.
func (r *Run) Check(err error) {
	if r.ctx.Err() != nil {
		panic(stop{Failed, r.ctx.Err()})
	}
	if err != nil {
		panic(stop{Failed, err})
	}
}

// Lacks ends the run: the machine lacks what the experiment needs.
func (r *Run) Lacks(format string, args ...any) {
	panic(stop{Missing, fmt.Errorf("it cannot be produced here: "+format, args...)})
}

// NeedsNamespace ends the run unless it has a network namespace of its own.
func (r *Run) NeedsNamespace(what string) {
	if r.Private != nil {
		r.Lacks("%s needs a network namespace of its own (%v); lab doctor says how to get it", what, r.Private)
	}
}

// Knob sets a sysctl of this network namespace, below /proc/sys/net/ipv4:
// ip-sysctl.rst.
func (r *Run) Knob(name, value string) {
	r.NeedsNamespace("to turn " + name)
	r.Check(os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644))
}

// Sleep waits. Only use it if the time is a part of the experiment.
func (r *Run) Sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.ctx.Done():
		r.Check(r.ctx.Err())
	}
}

// patience is how long to wait for an event that must come.
const patience = 5 * time.Second

// Until waits until seen is true. It returns false if the time is over first.
func (r *Run) Until(within time.Duration, seen func() bool) bool {
	for deadline := time.Now().Add(within); !seen(); {
		if time.Now().After(deadline) {
			return false
		}
		r.Sleep(time.Millisecond)
	}
	return true
}

// settled waits until a count is above 0 and has not changed for 150 ms.
func (r *Run) settled(count func() int) (n int) {
	since := time.Now()
	r.Until(patience, func() bool {
		if now := count(); now != n {
			n, since = now, time.Now()
		}
		r.Sleep(10 * time.Millisecond)
		return n > 0 && time.Since(since) > 150*time.Millisecond
	})
	return n
}

// tooBusy is the part of the machine that other programs may use. If they use more,
// they may have changed what was measured.
const tooBusy = 0.25

// watchOthers returns what part of the machine's processor time was used by
// others than this process and what it started, or stolen by the host of a
// virtual machine: proc_stat(5).
func watchOthers() (used func() float64) {
	machine, ours, start := machineTime(), ownTime(), time.Now()
	return func() float64 {
		if time.Since(start) < 100*time.Millisecond {
			return 0 // the kernel counts by 10 ms
		}
		others := machineTime() - machine - (ownTime() - ours)
		return max(0, float64(others)/float64(time.Since(start))/float64(runtime.NumCPU()))
	}
}

// machineTime is how long all processors have not been idle.
func machineTime() time.Duration {
	stat, _ := os.ReadFile("/proc/stat")
	var ticks [8]int // user nice system idle iowait irq softirq steal
	fmt.Sscanf(string(stat), "cpu %d %d %d %d %d %d %d %d", &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7])
	return time.Duration(ticks[0]+ticks[1]+ticks[2]+ticks[5]+ticks[6]+ticks[7]) * 10 * time.Millisecond
}

// ownTime is the processor time of this process and of all that it started.
func ownTime() time.Duration {
	all, err := proc.All()
	self, err2 := proc.Read(os.Getpid())
	if err != nil || err2 != nil {
		return 0
	}
	return proc.Sum(proc.Family(all, self)).CPU
}
