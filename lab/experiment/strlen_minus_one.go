package experiment

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var strlenMinusOne = Experiment{
	Name: "strlen-minus-one", Title: "recv(fd, buf, strlen(buf)-1, 0)",
	Lesson: 3, Takes: time.Second,
	Bug:  Bug{C: "strlen"},
	Look: "the length that recv was asked for, and the bytes behind the buffer",
	Why:  "strlen counts what is in the buffer, up to the first NUL; it knows nothing of its size. The buffer is empty, so that is 0, and 0 − 1, without a sign, is the largest number there is. recv writes as much as has come, over the end of the buffer, into whatever lies there: a return address, if it is on the stack.",
	Read: "recv(2); strlen(3)",
	Page: "models/sys/sys.go:func Read",
	Ask: func(seed *rand.Rand) Question {
		over := 50 + seed.IntN(400)
		return Question{
			Asks: fmt.Sprintf("char buf[1024] is empty. A server calls recv(fd, buf, strlen(buf)-1, 0), and a client sends %d bytes. How many does recv write?", 1024+over),
			Says: []Choice{
				{"1023: one less than the size of buf", "strlen is not sizeof."},
				{"0: strlen(buf) is 0, and recv fails for -1", "The length has no sign: −1 is 18,446,744,073,709,551,615."},
				{fmt.Sprintf("%d: all of them, %d behind the end of buf", 1024+over, over), ""},
			},
			Right: 2, Mended: 0,
			Run: func(r *Run) (int, string) {
				s := r.Wrong(r.bug)
				c := s.Dial()
				if !r.sleeps(s.Pid(), unix.SYS_RECVFROM) {
					r.Check(fmt.Errorf("the server does not call recv"))
				}
				asked := r.sleepsIn(s.Pid()).Args[2]
				c.Send(strings.Repeat("x", 1024+over))
				s.Shows("behind", patience)
				var n, hurt int
				fmt.Sscanf(string(s.Stdout()), "recv %d behind %d", &n, &hurt)
				r.Columns("recv")
				r.Row("length asked for", fmt.Sprintf("%d", asked))
				r.Row("returned", n)
				r.Row("bytes behind buf overwritten", hurt)
				saw := which(n == 1023 && hurt == 0, n <= 0, n > 1024 && hurt == n-1024)
				return saw, fmt.Sprintf("The length asked for was %d. recv wrote %d bytes, %d of them behind the buffer.", asked, n, hurt)
			},
		}
	},
}
