package experiment

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"socketlab/lab/proc"
)

var price = Experiment{
	Name: "price", Title: "what does a silent client cost?",
	Lesson: 4, Takes: time.Second,
	Models: []string{"process", "thread", "goroutine", "select", "epoll"}, Own: true,
	Look: "memory, threads and descriptors for each client",
	Why:  "A process has memory of its own, and in Go a runtime of its own. A thread has a stack that the kernel makes as it is touched. A goroutine begins with a stack of a few KiB. An event loop keeps an entry and a session. The kernel's own memory for the connection is the same for all of them.",
	Read: "proc_pid_smaps(5), Pss; docs/measuring.md",
	Page: "models/process/process.go:sys.Start(",
	Ask: func(seed *rand.Rand) Question {
		n := 30 + 5*seed.IntN(5)
		return Question{
			Asks: fmt.Sprintf("%d clients are connected, have said one word, and are silent. Which model pays most memory for each of them?", n),
			Says: []Choice{
				{"process", ""},
				{"thread", "A thread shares the program's memory; it pays for a stack."},
				{"goroutine", "It pays some KiB, since its stack is small and grows when needed."},
				{"select: it looks at all of them in each call", "Looking costs time, not memory."},
			},
			Right: 0,
			Run: func(r *Run) (int, string) {
				most, dearest := int64(0), ""
				costs := ""
				r.Servers(nil, func(s *Server) {
					model := s.Name
					first := s.Dial()
					first.Ask("hello\n", patience)
					before, memory := s.Tree(), pss(s)
					for range n {
						s.Dial().Ask("hello\n", patience)
					}
					after := s.Tree()
					each := (pss(s) - memory) / int64(n)
					r.Column(model,
						"memory (PSS)", fmt.Sprintf("%.1f KiB", float64(each)/1024),
						"threads", float64(after.Threads-before.Threads)/float64(n),
						"descriptors", float64(after.Files-before.Files)/float64(n),
						"its socket, in the kernel", socketSize())
					costs += fmt.Sprintf(" %s %.1f,", model, float64(each)/1024)
					if each > most && s.Spec.Kind == "model" {
						most, dearest = each, model
					}
				})
				return slices.Index([]string{"process", "thread", "goroutine", "select"}, dearest), "KiB for each silent client:" + strings.TrimSuffix(costs, ",") + "."
			},
		}
	},
}

// pss is the memory of the server's processes, shared pages by their share:
// smaps_rollup.
func pss(s *Server) (bytes int64) {
	for _, p := range s.Tree().Processes {
		bytes += proc.Number(p.Pid, "smaps_rollup", "Pss:") * 1024
	}
	return bytes
}

// socketSize is what a TCP socket takes in the kernel, without its buffers: the
// object size of its slab, which only root may read, slabinfo(5).
func socketSize() string {
	text, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return "– (only root may look)"
	}
	for line := range strings.Lines(string(text)) {
		var name string
		var active, total, size int
		if fmt.Sscan(line, &name, &active, &total, &size); name == "TCP" {
			return fmt.Sprintf("%.1f KiB", float64(size)/1024)
		}
	}
	return "–"
}
