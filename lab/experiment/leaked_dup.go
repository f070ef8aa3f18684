package experiment

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"socketlab/lab/proc"
)

var leakedDup = Experiment{
	Name: "leaked-dup", Title: "the parent forgot to close",
	Lesson: 3, Takes: time.Second,
	Bug:     Bug{C: "leak"},
	Look:    "both ends' states after the child has closed, and the parent's descriptors",
	Why:     "fork copies the table of descriptors: parent and child have the same connection open. FIN is sent when the last of them is closed. A parent that keeps its copy keeps the connection; the client waits in FIN-WAIT-2, the server's end stays in CLOSE-WAIT, and the parent runs out of descriptors one day.",
	Read:    "fork(2); close(2); Stevens, UNIX Network Programming, volume 1, section 4.8",
	Picture: "lab trace --model=process --scene=process-life",
	Page:    "models/process/process.go:sys.Close(cfd)",
	Ask: func(seed *rand.Rand) Question {
		n := 3 + seed.IntN(6)
		return Question{
			Asks: fmt.Sprintf("A server has a child for each client; the parent does not close its copy of the connection. %d clients get their echo and finish with FIN; each child closes and exits. What does the clients' next recv say?", n),
			Says: []Choice{
				{"0: the child has closed", "It closed one of two descriptors. The kernel sends FIN when the last one is closed."},
				{"nothing: it waits", ""},
				{"−1, ECONNRESET: the process has ended", "Another process, the parent, still had the connection open."},
			},
			Right: 1, Mended: 0,
			Run: func(r *Run) (int, string) {
				s := r.Wrong(r.bug)
				before := s.Tree().Files
				var c *Client
				for range n {
					c = s.Dial()
					c.Ask("hello\n", patience)
					c.Finish()
				}
				r.Until(patience, func() bool { return len(s.Children()) == 0 })
				said := c.Try(300 * time.Millisecond)
				if said == "−1 EAGAIN" {
					said = "nothing, for 300 ms"
				}
				client, server := "CLOSED", "CLOSED"
				if end, ok := s.End(c); ok {
					server = end.State.String()
				}
				all, err := proc.Sockets(os.Getpid(), c.Name().Port())
				r.Check(err)
				if len(all) > 0 {
					client = all[0].State.String()
				}
				files := s.Tree().Files
				r.Columns(fmt.Sprintf("after %d clients", n))
				r.Row("children", len(s.Children()))
				r.Row("recv of the client says", said)
				r.Row("the client's end is", client)
				r.Row("the server's end is", server)
				r.Row("descriptors of the parent", fmt.Sprintf("%d, before: %d", files, before))
				saw := which(said == "0", said == "nothing, for 300 ms", said == "−1 ECONNRESET")
				return saw, fmt.Sprintf("recv said: %s. The client is in %s, the server's end in %s, and the parent has %d descriptors more than before.", said, client, server, files-before)
			},
		}
	},
}
