package experiment

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var stdioAndSelect = Experiment{
	Name: "stdio-and-select", Title: "pasted lines arrive late",
	Lesson: 1, Takes: time.Second,
	Bug:  Bug{C: "stdio"},
	Look: "which lines the server has got, while the client sleeps in select",
	Why:  "fgets reads as much as there is into stdio's buffer, and returns one line of it. The other lines are in the program's own memory then. select asks the kernel, and the kernel has nothing more: it sleeps on, though there is a line to be had. Who waits with select must read with read, or unbuffered.",
	Read: "setvbuf(3); select(2); Stevens, UNIX Network Programming, volume 1, section 6.5",
	Page: "lab/chat/loop.go",
	Ask: func(seed *rand.Rand) Question {
		n := 3 + seed.IntN(4)
		return Question{
			Asks: fmt.Sprintf("A client waits with select for its user and for the server, reads its user's lines with fgets, and sends them. The user pastes %d lines at once. How many arrive?", n),
			Says: []Choice{
				{fmt.Sprintf("all %d", n), "fgets took them all from the kernel, and returned one."},
				{"1", ""},
				{"none, until the user types Ctrl-D", "The first one was sent at once."},
			},
			Right: 1, Mended: 0,
			Run: func(r *Run) (int, string) {
				lfd, addr := r.Listen(1)
				client := r.Program(r.Specimen("stdio"), fmt.Sprint(addr.Port()))
				server := r.accept(lfd)
				pasted := ""
				for i := range n {
					pasted += fmt.Sprintf("line %d\n", i+1)
				}
				client.Type(pasted)
				got, _ := server.Recv(1<<10, 400*time.Millisecond)
				call := r.sleepsIn(client.Pid()).Number
				asleep := call == unix.SYS_PSELECT6 || call == sysSelect
				first := strings.Count(got, "\n")
				client.Type("one more\n")
				later, _ := server.Recv(1<<10, 400*time.Millisecond)
				r.Columns("the server has got")
				r.Row(fmt.Sprintf("after %d lines", n), strings.ReplaceAll(strings.TrimSpace(got), "\n", " · "))
				r.Row("in the client's buffer", fmt.Sprintf("%d bytes; it %s in select", len(pasted)-len(got), map[bool]string{true: "sleeps", false: "does not sleep"}[asleep]))
				r.Row("after one more line", strings.ReplaceAll(strings.TrimSpace(later), "\n", " · "))
				saw := which(first == n, first == 1, first == 0)
				return saw, fmt.Sprintf("%d of %d lines arrived, and %d bytes stayed in the client's buffer. When one more line was typed, %d lines came.", first, n, len(pasted)-len(got), strings.Count(later, "\n"))
			},
		}
	},
}

// sysSelect is the number of select(2), where the machine has it; the C library
// calls pselect6 otherwise, and sometimes anyway.
const sysSelect = 23
