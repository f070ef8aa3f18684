package bench

import (
	"sync"

	"socketlab/lab/probe"
	"socketlab/models/sys"
)

// probes lets one of our models report the calls of its page. It does not see
// those that the Go runtime makes.
type probes struct {
	watcher *probe.Watcher

	mu    sync.Mutex
	calls map[string]float64 // nil: nobody counts
}

func (p *probes) name() string { return "probes" }

func (p *probes) open() (env []string, err error) {
	p.watcher, err = probe.NewWatcher(false, p.hear)
	if err != nil {
		return nil, err
	}
	return []string{p.watcher.Env()}, nil
}

func (p *probes) close() {
	if p.watcher != nil {
		p.watcher.Close()
		p.watcher = nil
	}
}

func (p *probes) hear(r probe.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Phase == sys.After && p.calls != nil {
		p.calls[r.Name]++
	}
}

func (p *probes) begin([]int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = map[string]float64{}
	return nil
}

// end closes the watcher, which has heard all by then.
func (p *probes) end() (map[string]float64, error) {
	p.close()
	return p.calls, nil
}
