package experiment

import (
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

var blindWhileTyping = Experiment{
	Name: "blind-while-typing", Title: "when does a turn-taking client see that the server left?",
	Lesson: 1, Takes: 2 * time.Second,
	Bug:  Bug{C: "turns"},
	Look: "the time from the server's FIN to the moment at which the client says so",
	Why:  "FIN lies in the client's socket, and nobody reads it: the program sleeps in a read of the keyboard. Its next send succeeds; the server's kernel answers RST, and the send after that fails with EPIPE. A client that waits for both, keyboard and socket, with poll or select sees the FIN at once.",
	Read: "poll(2); Stevens, UNIX Network Programming, volume 1, sections 5.12 to 6.4",
	Page: "lab/chat/loop.go",
	Ask: func(seed *rand.Rand) Question {
		thinks := time.Duration(6+seed.IntN(8)) * 100 * time.Millisecond
		return Question{
			Asks: fmt.Sprintf("A client takes turns: it reads a line from the keyboard, sends it, waits for the answer. While the user thinks, the server closes. The user types the next line %s later. When does the client see that the server has left?", Took(thinks)),
			Says: []Choice{
				{"at once: FIN interrupts it", "FIN wakes up who waits for the socket. The client waits for the keyboard."},
				{fmt.Sprintf("after %s, when the line has been typed", Took(thinks)), ""},
				{"never: send succeeds, and it waits for the answer for ever", "recv returned: the FIN was there, or the RST."},
			},
			Right: 1, Mended: 0,
			Run: func(r *Run) (int, string) {
				lfd, addr := r.Listen(2)
				client := r.Program(r.Specimen("turns"), fmt.Sprint(addr.Port()))
				server := r.accept(lfd)
				client.Type("hello\n")
				server.Recv(6, patience)
				server.Send("good day\n")
				client.Shows("good day", patience)
				server.Close()
				left := time.Now()
				noticed := make(chan time.Duration, 1)
				go func() {
					if _, ok := client.Ended(thinks + 2*time.Second); ok {
						noticed <- time.Since(left)
					}
					close(noticed)
				}()
				r.Sleep(thinks / 2)
				where := "ended"
				if _, over := client.Ended(0); !over {
					where = map[int]string{unix.SYS_READ: "read, of the keyboard", unix.SYS_POLL: "poll"}[r.sleepsIn(client.Pid()).Number]
				}
				r.Sleep(thinks - time.Since(left))
				if where != "ended" {
					client.Type("are you there?\n")
				}
				after, seen := <-noticed
				first, second := sends(r)
				r.Columns("the client")
				r.Row("in the meantime it is", where)
				r.Row("sees it after", after)
				r.Row("first send after FIN", first)
				r.Row("second send", second)
				saw := which(seen && after < thinks/2, seen && after >= thinks, !seen)
				return saw, fmt.Sprintf("The server left, and the client saw it %s later; the user had thought for %s. The first send after a FIN says %s, the second %s.", Took(after), Took(thinks), first, second)
			},
		}
	},
}

// sends is what the first and the second send say after the other end has
// closed.
func sends(r *Run) (first, second string) {
	lfd, addr := r.Listen(1)
	c := r.Dial(addr.String())
	r.accept(lfd).Close()
	send := func() string {
		n, err := c.Call(func(fd int) (int, error) { return unix.SendmsgN(fd, []byte("hello\n"), nil, nil, unix.MSG_NOSIGNAL) })
		r.Sleep(20 * time.Millisecond) // until RST has come
		if err != nil {
			return "−1 " + cause(err)
		}
		return fmt.Sprintf("%d bytes", n)
	}
	return send(), send()
}
