package experiment

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var wall1024 = Experiment{
	Name: "wall-1024", Title: "the 1025th descriptor and select",
	Lesson: 3, Takes: time.Second,
	Bug:  Bug{C: "wall"},
	Look: "the bits behind the set; and how many clients our page for select serves at once",
	Why:  "An fd_set is an array of 1024 bits, and FD_SET does not look whether the descriptor fits: bit 1024 is the first one behind the array, in whatever variable lies there. A server must refuse such a descriptor, or not accept it. Our page stops accepting before; poll has no such wall.",
	Read: "select(2), BUGS and NOTES, FD_SETSIZE",
	Page: "models/selectloop/select.go:Limit",
	Ask: func(seed *rand.Rand) Question {
		first := 1022 + seed.IntN(2)
		clients := 6 + seed.IntN(6)
		return Question{
			Asks: fmt.Sprintf("A C server puts each client into an fd_set with FD_SET. %d clients get the descriptors %d to %d. What does FD_SET do with those from 1024 on?", clients, first, first+clients-1),
			Says: []Choice{
				{"it returns an error", "FD_SET returns nothing. It is a macro that sets a bit."},
				{"it does nothing: the set is full", "Bits were set, and not in the set."},
				{"it sets bits behind the set, in other variables", ""},
				{"the set grows", "An fd_set has 1024 bits, whatever the limit of descriptors is."},
			},
			Right: 2, Mended: 0,
			Run: func(r *Run) (int, string) {
				var most unix.Rlimit
				r.Check(unix.Getrlimit(unix.RLIMIT_NOFILE, &most))
				if most.Max < 2100 {
					r.Lacks("the hard limit of descriptors is %d, and it takes 2100; raise it with ulimit -Hn", most.Max)
				}
				s := r.Wrong(r.bug, fmt.Sprint(first))
				for range clients {
					s.Dial()
				}
				last := fmt.Sprintf("descriptor %d ", first+clients-1)
				if r.Repaired {
					last = "refused" // and its number is used again
				}
				s.Shows(last, patience)
				r.Sleep(50 * time.Millisecond)
				hurt, refused := 0, strings.Count(string(s.Stdout()), "refused")
				for line := range strings.Lines(string(s.Stdout())) {
					var fd, bits int
					if n, _ := fmt.Sscanf(line, "descriptor %d guard %d", &fd, &bits); n == 2 {
						hurt = bits
					}
				}
				ours, waiting := r.Serve("select"), 0
				const many = 1030
				var all []*Client
				for range many {
					all = append(all, ours.Dial())
				}
				for _, c := range all {
					c.Send("!")
				}
				for _, c := range all {
					if said, _ := c.Recv(1, time.Millisecond); said == "" {
						waiting++
					}
				}
				r.Columns("C, FD_SET", "our page")
				r.Row("clients", clients, many)
				r.Row("refused", refused, 0)
				r.Row("bits set behind the set", hurt, 0)
				r.Row("waiting to be accepted", 0, waiting)
				saw := which(hurt == 0 && refused > 0, hurt == 0 && refused == 0, hurt > 0)
				return saw, fmt.Sprintf("Of the %d clients, %d were refused, and %d bits behind the set were overwritten. Our page served %d of %d and let %d wait.", clients, refused, hurt, many-waiting, many, waiting)
			},
		}
	},
}
