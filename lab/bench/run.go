package bench

import (
	"context"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

// A running is a measurement under way.
type running struct {
	Options
	ctx    context.Context
	server *subject.Subject
	load   *load
	point  Point
	empty  int64 // bytes of memory (PSS) of the server without clients
}

// begin starts a server, and a load of which nobody connects yet.
func (o Options) begin(ctx context.Context, s *Subject, p Point, env ...string) (*running, error) {
	server, err := o.start(ctx, s, env...)
	if err != nil {
		return nil, err
	}
	r := &running{Options: o, ctx: ctx, server: server, point: p}
	if r.load, err = r.newLoad(o.Threads); err != nil {
		server.Stop()
		return nil, explain(err)
	}
	return r, nil
}

// end has all clients leave, and stops the server.
func (r *running) end() error {
	r.load.close()
	_, err := r.server.Stop()
	return err
}

func (r *running) newLoad(threads int) (*load, error) {
	return newLoad(r.ctx, crowd{
		to: r.server.Addr(), size: r.point.Size, cpus: r.CPUs, threads: threads,
		patience: r.Patience + r.Options.Freeze,
	})
}

// baseline serves one client and measures the server's memory after that client
// has left: a server allocates much for its first client that the others share.
func (r *running) baseline() error {
	before, err := r.server.Tree()
	if err != nil {
		return err
	}
	first, err := r.newLoad(1)
	if err != nil {
		return err
	}
	err = first.connect(1)
	first.close()
	if err != nil {
		return err
	}
	tree, err := r.deserted(len(before.Processes))
	r.empty, _ = weigh(tree)
	return err
}

// deserted waits until no client is connected and there are as many processes as
// before. It does not wait for ever: some servers keep their processes.
func (r *running) deserted(processes int) (proc.Tree, error) {
	deadline := time.Now().Add(300 * time.Millisecond)
	for pause := time.Millisecond; ; pause *= 2 {
		tree, err := r.server.Tree()
		late := time.Now().After(deadline)
		if err != nil || late || len(tree.Processes) <= processes && r.connections() == 0 {
			return tree, err
		}
		time.Sleep(pause) // there is no event for the close of another program's descriptor
	}
}

func (r *running) connections() (n int) {
	sockets, _ := r.server.Sockets()
	for _, s := range sockets {
		if s.State != proc.Listen && s.State != proc.TimeWait {
			n++
		}
	}
	return n
}

// measure has the clients come, takes the account before and after their
// requests, and weighs the server while they are there.
func (r *running) measure() (m measured, err error) {
	clients := r.point.Clients + r.point.Idle
	if r.Mode != "churn" {
		if err := r.load.connect(clients); err != nil {
			return m, err
		}
	}
	if _, err := r.request(min(r.Duration/5, 200*time.Millisecond)); err != nil { // warm up
		return m, err
	}
	before, err := lookAt(r.server)
	if err != nil {
		return m, err
	}
	machine := lookAtMachine()
	thaw := r.freezeInMidRun()
	queue := r.lookInMidRun()
	t, err := r.request(r.Duration)
	thaw()
	m.Queued = <-queue
	if err != nil {
		return m, err
	}
	machine = lookAtMachine().since(machine)
	after, err := lookAt(r.server)
	if err != nil {
		return m, err
	}
	spent := after.since(before)
	m.latency, m.naive = t.latency, t.naive
	m.account(t, spent)
	m.Threads, m.Processes, m.Files = after.tree.Threads, len(after.tree.Processes), after.tree.Files
	m.PSS, m.RSS = weigh(after.tree)
	const few = 10
	if r.Mode != "churn" && clients >= few {
		growth := float64(m.PSS-r.empty) / float64(clients)
		m.PerClient = &growth
	}
	m.Judgement = r.judge(t, spent, machine)
	return m, nil
}

// request is the phase that is measured.
func (r *running) request(d time.Duration) (tally, error) {
	switch r.Mode {
	case "rate":
		return r.load.openLoop(r.point.Clients, r.Rate, d)
	case "churn":
		return r.load.churn(r.point.Clients, d)
	case "idle":
		return r.load.closedLoop(0, d)
	}
	return r.load.closedLoop(r.point.Clients, d)
}

// freezeInMidRun stops the server and all its descendants for a while, in the
// middle of the run. The function that it returns continues them in any case and
// waits until that is done.
func (r *running) freezeInMidRun() (thaw func()) {
	if r.Options.Freeze == 0 {
		return func() {}
	}
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-time.After((r.Duration - r.Options.Freeze) / 2):
		case <-over:
			return
		}
		defer r.signal(unix.SIGCONT)
		r.signal(unix.SIGSTOP)
		select {
		case <-time.After(r.Options.Freeze):
		case <-over:
		}
	}()
	return func() {
		close(over)
		<-done
	}
}

func (r *running) signal(sig syscall.Signal) {
	tree, _ := r.server.Tree()
	for _, p := range tree.Processes {
		syscall.Kill(p.Pid, sig)
	}
}

// lookInMidRun looks into the kernel's queues once, in the middle of the run.
func (r *running) lookInMidRun() <-chan int {
	found := make(chan int, 1)
	time.AfterFunc(r.Duration/2, func() { found <- queued(r.server) })
	return found
}

// account notes what a request cost.
func (m *measured) account(t tally, s spending) {
	m.Seconds, m.Requests, m.Late, m.Unsent = t.took.Seconds(), t.requests, t.late, t.unsent
	if t.requests == 0 {
		m.IdleCPU = s.cpu.Seconds() * 1000 / t.took.Seconds()
		return
	}
	n := float64(t.requests)
	m.Rate = n / t.took.Seconds()
	m.CPU = micros(s.cpu) / n
	if sampled := s.user + s.system; sampled >= s.cpu*4/5 { // with many processes the samples miss too much
		m.User = m.CPU * s.user.Seconds() / sampled.Seconds()
		m.System = m.CPU - m.User
	}
	if s.whole {
		starved, voluntary, involuntary := micros(s.starved)/n, float64(s.voluntary)/n, float64(s.involuntary)/n
		m.Starved, m.Voluntary, m.Involuntary = &starved, &voluntary, &involuntary
	}
	at := func(percentile float64) float64 { return float64(t.latency.ValueAtPercentile(percentile)) / 1000 }
	m.P50, m.P90, m.P99, m.P999, m.Max = at(50), at(90), at(99), at(99.9), at(100)
}

func micros(d time.Duration) float64 { return float64(d) / 1000 }
