package broken

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"socketlab/models/session"
)

func talkServers() []Server {
	return []Server{
		{
			Name: "prints-into-a-buffer", Service: "talk", Cause: "stdout-buffered",
			Bug:    "does not flush what it prints: standard output that is no terminal is written when 4,096 bytes are full",
			Caught: []string{"talk/*"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				screen := bufio.NewWriter(os.Stdout)
				l.show = func(c *client, said []byte) {
					fmt.Fprintf(screen, "client %d says: %s\n", c.id, session.AppendHarmless(nil, said))
				}
				l.serve()
			},
		},
		{
			Name: "shows-each-read", Service: "talk", Cause: "read-as-line", Source: "A",
			Bug:    "shows what a read brought as if it were a line",
			Caught: []string{"talk/says", "talk/exit"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				l.hear = func(c *client, p []byte) {
					l.talk(c, p)
					l.talk(c, nil)
				}
				l.serve()
			},
		},
		{
			Name: "hears-only-whole-lines", Service: "talk", Cause: "read-as-line",
			Bug:    "forgets a last line that has no newline",
			Caught: []string{"talk/says"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				l.hear = func(c *client, p []byte) {
					if len(p) > 0 {
						l.talk(c, p)
					}
				}
				l.serve()
			},
		},
		{
			Name: "tells-only-the-first", Service: "talk", Cause: "first-only", Source: "C",
			Bug:    "clears the buffer inside the loop over its clients, so that only the first one hears the operator",
			Caught: []string{"talk/operator-to-all", "talk/operator-to-one", "talk/slow-reader"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				l.say = func(line []byte) {
					for _, c := range slices.Clone(l.clients) {
						text, mine := session.Addressed(line, c.id)
						if mine && len(c.owed)+len(text) <= l.mostOwed {
							c.owed = append(c.owed, text...)
							l.onWritable(c)
							line = line[:0]
						}
					}
				}
				l.serve()
			},
		},
		{
			Name: "shares-its-keyboard", Service: "talk", Cause: "first-only", Source: "G",
			Bug:     "has every client's thread or child read the same terminal: each line goes to the one that happens to get it",
			Caught:  []string{"talk/operator-to-all", "talk/operator-to-one"},
			Perhaps: []string{"talk/slow-reader"},
			Serve:   shareKeyboard,
		},
		{
			Name: "swallows-empty-lines", Service: "talk", Cause: "first-only", Source: "EFGH",
			Bug:    "sends nothing when the operator types an empty line: it looks at strlen without the newline",
			Caught: []string{"talk/operator-to-all"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				l.say = func(line []byte) {
					if len(withoutEnd(line)) > 0 {
						l.tell(line)
					}
				}
				l.serve()
			},
		},
		{
			Name: "hides-lines-in-its-buffer", Service: "talk", Cause: "first-only", Source: "A",
			Bug:    "waits for the terminal with poll and reads it with buffered input, one line each time: those that came with it hide in the buffer, where poll does not look",
			Caught: []string{"talk/operator-to-all", "talk/operator-to-one"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				keyboard := bufio.NewReader(os.Stdin)
				l.onOperator = func() {
					line, err := keyboard.ReadBytes('\n')
					if err != nil {
						l.keyboard = -1
					}
					l.say(line)
				}
				l.serve()
			},
		},
		{
			Name: "ignores-the-at-sign", Service: "talk", Cause: "addressing",
			Bug:    "sends a line for one client to all",
			Caught: []string{"talk/operator-to-one"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				l.say = func(line []byte) {
					if bytes.HasPrefix(line, []byte("@")) {
						_, line, _ = bytes.Cut(line, []byte(" "))
					}
					l.tell(line)
				}
				l.serve()
			},
		},
		{
			Name: "misses-a-split-exit", Service: "talk", Cause: "exit-line", Source: "A",
			Bug:    `compares what one read brought with "exit\n"`,
			Caught: []string{"talk/exit"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				l.hear = func(c *client, p []byte) {
					if string(p) == "exit\n" {
						c.ended = true
						return
					}
					for line := range c.lines.Feed(p) {
						l.show(c, withoutEnd(line))
					}
				}
				l.serve()
			},
		},
		{
			Name: "takes-any-exit", Service: "talk", Cause: "exit-line",
			Bug:    `looks for "exit" anywhere in a line`,
			Caught: []string{"talk/exit"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				l.hear = func(c *client, p []byte) {
					for line := range c.lines.Feed(p) {
						c.ended = c.ended || strings.Contains(string(line), "exit")
						if !c.ended {
							l.show(c, withoutEnd(line))
						}
					}
				}
				l.serve()
			},
		},
		{
			Name: "is-stalled-by-a-deaf-client", Service: "talk", Cause: "operator-stalled", Source: "A",
			Bug:    "writes to a client until all has gone, and the operator and everybody else wait for that one to read",
			Caught: []string{"talk/slow-reader"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				l.onWritable = l.sendSleeping
				l.serve()
			},
		},
		{
			Name: "is-silent-about-missed-lines", Service: "talk", Cause: "operator-stalled",
			Bug:    "does not tell the operator that a client missed a line",
			Caught: []string{"talk/slow-reader"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				l.missed = func(*client) {}
				l.serve()
			},
		},
		{
			Name: "spins-without-an-operator", Service: "talk", Cause: "operator-end", Source: "A",
			Bug:    "takes no notice of the end of the operator's input, which is always ready",
			Caught: []string{"talk/operator-gone"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				l.onOperator = func() {
					l.listen()
					l.keyboard = 0
				}
				l.serve()
			},
		},
		{
			Name: "ends-with-its-operator", Service: "talk", Cause: "operator-end",
			Bug:    "takes the end of the operator's input for its own",
			Caught: []string{"talk/operator-gone"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				l.onOperator = func() {
					l.listen()
					if l.keyboard < 0 {
						os.Exit(0)
					}
				}
				l.serve()
			},
		},
		{
			Name: "obeys-its-clients", Service: "talk", Cause: "raw-bytes",
			Bug:    "shows the bytes that clients send as they are, and the terminal obeys them",
			Caught: []string{"talk/control-bytes"},
			Serve: func(lfd int) {
				l := newTalk(lfd)
				l.show = func(c *client, said []byte) {
					fmt.Printf("client %d says: %s\n", c.id, said)
				}
				l.serve()
			},
		},
	}
}

// shareKeyboard has a thread for each client, which waits for that client and
// for the operator.
func shareKeyboard(lfd int) {
	var served atomic.Int32
	threads(func(cfd int) {
		l := newTalk(-1)
		l.served = int(served.Add(1)) - 1
		l.welcome(cfd)
		unix.SetNonblock(cfd, true)
		unix.SetNonblock(0, true)
		for len(l.clients) > 0 {
			l.step()
		}
	})(lfd)
}
