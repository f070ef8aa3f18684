package verify

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"socketlab/lab/proc"
)

// An event is waited for until the time for it is over, Options.Wait, or sooner
// if the server sleeps, again and again when it is looked at: then nothing will
// come, for it has read what there was. A server that waits for a timer sleeps
// too; asyncio and others rest for a second when they are out of descriptors.
const (
	glances  = 50 * time.Millisecond  // how often the server is looked at
	sleeping = 40                     // so many times in a row: about 2 s
	soon     = 200 * time.Millisecond // most events come sooner, and need no look
)

// A patience is what is left of the wait for one event.
type patience struct {
	t      *T
	start  time.Time
	looks  int // at the server, when it was first looked at
	strain strain
	sure   bool // the server slept all the time: however busy the machine is, nothing will come
}

func (t *T) patience() *patience {
	return &patience{t: t, start: time.Now()}
}

// left is how long to wait until the next look; 0: it is over.
func (p *patience) left() time.Duration {
	waited := time.Since(p.start)
	if waited < soon {
		return min(soon-waited, p.t.Wait)
	}
	now := p.t.glance()
	if p.looks == 0 {
		p.looks = now.looks
	}
	if now.naps >= 3 {
		p.t.standAside()
	}
	enough := min(sleeping, int(p.t.Wait/glances*6/10))
	if now.naps >= enough && now.looks-p.looks >= enough {
		p.sure = true
		return 0
	}
	waited = time.Since(p.start)
	if p.strain.at.IsZero() {
		p.strain = p.t.strained()
	}
	if waited < p.t.Wait {
		return min(glances, p.t.Wait-waited)
	}
	// What the machine did not let us or the server run does not count. But a
	// server that had a core for so long, and nothing else to do, will not answer.
	const most = 4 // times as long, and then it is over in any case
	const enoughCPU = 2 * time.Second
	strain := p.t.strained().since(p.strain)
	if strain.theirs.Ran > enoughCPU && !p.t.flooded(0) && p.t.oneProcess() {
		p.sure = true
		return 0
	}
	excused := strain.lost()
	if waited-excused < p.t.Wait && waited < most*p.t.Wait {
		return glances
	}
	return 0
}

// oneProcess reports whether the server is one process: what it uses, the one uses
// that is to answer.
func (t *T) oneProcess() bool {
	tree, err := t.Server.Tree()
	return err == nil && len(tree.Processes) == 1
}

// idle reports whether the server has slept for a while.
func (p *patience) idle() bool {
	const enough = 8
	now := p.t.glance()
	return p.looks > 0 && now.naps >= enough && now.looks-p.looks >= enough
}

// waited says how long it was.
func (p *patience) waited() string {
	return time.Since(p.start).Round(100 * time.Millisecond).String()
}

// await waits until the client can read something, its end included.
func (c *Client) await() bool {
	for p := c.t.patience(); ; {
		left := p.left()
		if c.Arrives(max(left, time.Millisecond)) {
			return true
		}
		if left == 0 && (!c.held() || time.Since(p.start) > 2*c.t.Wait) {
			c.waited, c.sure = p.waited(), p.sure
			return false
		}
		c.t.goOn()
	}
}

// held reports whether something of the client's is still on its way in the
// kernel: a segment was dropped because the queue for accept was full, and is
// sent again later.
func (c *Client) held() bool { return !c.letIn() }

// A glance is the last look at the server, for all who wait.
type glance struct {
	mu    sync.Mutex
	at    time.Time
	looks int
	cost  time.Duration
	naps  int // looks in a row that found it asleep
}

func (t *T) glance() (now glance) {
	g := &t.glanced
	g.mu.Lock()
	defer g.mu.Unlock()
	if start := time.Now(); start.Sub(g.at) > max(glances*9/10, g.cost) {
		g.looks++
		tree, err := t.Server.Tree()
		if err == nil && asleep(tree) {
			g.naps++
		} else {
			g.naps = 0
		}
		g.at = time.Now()
		g.cost = 10 * g.at.Sub(start) // among many processes a look takes long
	}
	return glance{looks: g.looks, naps: g.naps}
}

// A strain is how busy the machine was so far, for us and for the server.
type strain struct {
	at           time.Time
	ours, theirs proc.Schedule // of our threads, of the server's
}

func (t *T) strained() strain {
	s := strain{at: time.Now()}
	s.ours = schedule(os.Getpid())
	if t.Server != nil {
		tree, _ := t.Server.Tree()
		for _, p := range tree.Processes {
			theirs := schedule(p.Pid)
			s.theirs.Ran += theirs.Ran
			s.theirs.Waited += theirs.Waited
		}
	}
	return s
}

func schedule(pid int) (sum proc.Schedule) {
	threads, _ := proc.Threads(pid)
	for _, thread := range threads {
		one := thread.Schedule()
		sum.Ran += one.Ran
		sum.Waited += one.Waited
	}
	return sum
}

func (s strain) since(before strain) strain {
	return strain{
		at:     time.Unix(0, 0).Add(s.at.Sub(before.at)),
		ours:   s.ours.Since(before.ours),
		theirs: s.theirs.Since(before.theirs),
	}
}

func (s strain) took() time.Duration { return s.at.Sub(time.Unix(0, 0)) }

// lost is the time that the machine took from us or from the server: what was
// ready to run and did not, if it was not the server itself that had the CPUs.
func (s strain) lost() time.Duration {
	took := s.took()
	cores := time.Duration(runtime.NumCPU())
	if s.ours.Ran+s.theirs.Ran > took*cores*8/10 {
		return 0
	}
	return min(took, max(0, s.ours.Waited), took) + min(took, max(0, s.theirs.Waited))
}

// starved reports whether that was so much that no verdict can be trusted.
func (s strain) starved() bool { return s.lost() > s.took()/5 }

func (s strain) String() string {
	return fmt.Sprintf("of %v, we waited %v for a CPU, and the server %v",
		s.took().Round(10*time.Millisecond), s.ours.Waited.Round(10*time.Millisecond), s.theirs.Waited.Round(10*time.Millisecond))
}
