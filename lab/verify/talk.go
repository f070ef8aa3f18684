package verify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"socketlab/lab/report"
)

// A guest is a client of the service talk. The server's screen has told which
// number it has there.
type guest struct {
	*Client
	number int
}

// guests are n clients that have each said something. The operator has the
// turn now, also of a server that serves strictly in turns.
func (t *T) guests(n int) []guest {
	var all []guest
	for i := range n {
		c := t.Dial()
		hello := fmt.Sprintf("guest %d says hello", i+1)
		c.SendString(hello + "\n")
		line := t.ExpectScreen(" says: " + hello + "\n")
		g := guest{Client: c}
		if _, err := fmt.Sscanf(line, "client %d says:", &g.number); err != nil {
			t.Fail(fmt.Sprintf("%q on the operator's screen", "client 1 says: "+hello), fmt.Sprintf("%q", line))
		}
		all = append(all, g)
	}
	return all
}

// ExpectScreen waits until a text appears on the operator's screen, and returns
// its line up to there.
func (t *T) ExpectScreen(text string) string { return t.expectScreen(text, 0) }

// expectScreen looks only behind so many bytes.
func (t *T) expectScreen(text string, behind int) string {
	ctx, cancel := context.WithTimeout(t.ctx, t.Wait)
	defer cancel()
	var line string
	err := t.Server.WaitOutput(ctx, func(screen []byte) bool {
		i := bytes.Index(screen[min(behind, len(screen)):], []byte(text))
		if i < 0 {
			return false
		}
		i += min(behind, len(screen))
		start := bytes.LastIndexByte(screen[:i], '\n') + 1
		line = string(screen[start : i+len(text)])
		return true
	})
	if err != nil {
		t.Fail(fmt.Sprintf("%q on the operator's screen", text), err.Error())
	}
	t.Tell("the operator's screen shows %q", line)
	return line
}

// Type types at the operator's keyboard.
func (t *T) Type(text string) {
	t.typeQuietly(text)
	t.Tell("the operator typed %s", quantity([]byte(text)))
}

func (t *T) typeQuietly(text string) {
	keyboard := t.Server.Operator()
	if k, ok := keyboard.(interface{ SetWriteDeadline(time.Time) error }); ok {
		k.SetWriteDeadline(time.Now().Add(t.Wait))
	}
	if _, err := io.WriteString(keyboard, text); err != nil {
		t.Fail("the server to read what the operator types", err.Error())
	}
}

var talkChecks = []Check{
	{
		ID: "talk/says", Level: report.Must, Service: "talk",
		Says:   "shows what a client says on the operator's screen, line by line, with its number",
		Causes: []string{"stdout-buffered", "read-as-line"},
		Try:    `sleep 5 | ./myserver PORT | cat & sleep 1; (printf 'hel'; sleep 0.1; printf 'lo\nand no newline') | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			c := t.guests(1)[0]
			t.Phase("lines")
			t.Type("go on\n")
			c.ExpectString("go on\n")
			c.SendApart([]byte("and a li"), []byte("ne in two par"), []byte("ts\n"))
			t.ExpectScreen(fmt.Sprintf("client %d says: and a line in two parts\n", c.number))
			t.Type("one more\n")
			c.ExpectString("one more\n")
			c.SendString("the last one, without an end")
			c.HalfClose()
			t.ExpectScreen(fmt.Sprintf("client %d says: the last one, without an end\n", c.number))
		},
	},
	{
		ID: "talk/operator-to-all", Level: report.Must, Service: "talk",
		Says:   "gives each line of the operator's to every client exactly once, in order",
		Causes: []string{"first-only"},
		Try:    `(sleep 2; printf 'one\n\nthree\n' | cat; sleep 2) | ./myserver PORT & sleep 1; for i in 1 2 3; do timeout 2 nc -d 127.0.0.1 PORT | sed "s/^/client $i hears: /" & done; sleep 3`,
		Run: func(t *T) {
			guests := t.guests(t.Most(3))
			const lines = "to all of you\n\none empty line before this\nand the end\n"
			t.Type(lines)
			for _, g := range guests {
				g.ExpectString(lines)
				g.HalfClose()
			}
			for _, g := range guests {
				g.ExpectFIN()
			}
		},
	},
	{
		ID: "talk/operator-to-one", Level: report.Must, Service: "talk",
		Says:   `gives a line that begins with "@3 " to client 3 only`,
		Causes: []string{"addressing"},
		Try:    `(sleep 2; printf '@2 for you alone\nfor all\n'; sleep 2) | ./myserver PORT & sleep 1; for i in 1 2 3; do timeout 2 nc -d 127.0.0.1 PORT | sed "s/^/client $i hears: /" & sleep 0.1; done; sleep 3`,
		Run: func(t *T) {
			guests := t.guests(t.Most(3))
			last := guests[len(guests)-1]
			t.Type(fmt.Sprintf("@%d for you alone\n@%d for nobody\nfor all\n", last.number, last.number+1))
			for _, g := range guests[:len(guests)-1] {
				g.ExpectString("for all\n")
			}
			last.ExpectString("for you alone\nfor all\n")
			for _, g := range guests {
				g.HalfClose()
			}
			for _, g := range guests {
				g.ExpectFIN()
			}
		},
	},
	{
		ID: "talk/exit", Level: report.Must, Service: "talk",
		Says:   `ends a client's session at the line "exit", however it is split, and at no other`,
		Causes: []string{"exit-line"},
		Try:    `(printf 'ex'; sleep 1; printf 'it\r\n'; sleep 2) | nc -N 127.0.0.1 PORT & sleep 2; ss -tan 'sport = :PORT'`,
		Run: func(t *T) {
			for _, parts := range [][]string{
				{"exit\n"},
				{"exit\r\n"},
				{"e", "xi", "t", "\n"},
				{"exit\r", "\n"},
				{"not yet\nexit\n"},
				{"exiting\n exit\nexit \nan exit\nexit\n"},
				{"exit\nand this is not said\n"},
			} {
				t.Tell("now with %q", parts)
				c := t.Dial()
				var segments [][]byte
				for _, part := range parts {
					segments = append(segments, []byte(part))
				}
				c.SendApart(segments...)
				c.ExpectFIN()
			}
			t.ExpectScreen(" says: an exit\n")
			if bytes.Contains(t.Server.Stdout(), []byte("is not said")) {
				t.Fail("nothing on the screen of what follows exit", "it is there")
			}
		},
	},
	{
		ID: "talk/slow-reader", Level: report.Must, Service: "talk",
		Says:   "is not stalled by a client that does not read what the operator says",
		Causes: []string{"operator-stalled"},
		Try:    `(sleep 3; yes $(seq 800) | head -n 2000; sleep 3) | ./myserver PORT >/dev/null & sleep 1; timeout 6 nc -d 127.0.0.1 PORT | sleep 6 & timeout 5 nc -d 127.0.0.1 PORT | wc -l`,
		Run: func(t *T) {
			if t.Limit == 1 {
				t.Skip("one at a time")
			}
			slow := t.DialNarrow()
			slow.SendString("I do not read\n")
			t.ExpectScreen(" says: I do not read\n")
			reader := t.guests(1)[0]
			const rounds = 2400
			fill := strings.Repeat("x", 3900)
			say := func(i int) {
				line := fmt.Sprintf("%d %s\n", i, fill)
				t.typeQuietly(line)
				reader.expectQuietly([]byte(line))
			}
			for i := range rounds { // 9 MB: up to 4 MiB are in the kernel, tcp(7), tcp_wmem, and 1,024 lines in goroutine
				say(i)
			}
			t.Tell("the operator typed %d lines, and %s received each of them at once", rounds, reader.name)
			screen := len(t.Server.Stdout())
			say(rounds)
			t.Tell("the operator typed one more")
			t.expectScreen(" does not read: it misses this line\n", screen)
			slow.expectWholeLines(fill)
		},
	},
	{
		ID: "talk/operator-gone", Level: report.Must, Service: "talk",
		Says:   "goes on without an operator when its standard input ends",
		Causes: []string{"operator-end"},
		Try:    `sleep 1 | ./myserver PORT & sleep 2; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT; top -b -n 2 -d 2 -p $! | tail -n 1`,
		Run: func(t *T) {
			c := t.guests(1)[0]
			t.Server.Operator().Close()
			t.Tell("the operator's input ended")
			c.SendString("is anybody there?\n")
			t.ExpectScreen(fmt.Sprintf("client %d says: is anybody there?\n", c.number))
			t.ExpectQuiet("after the operator left")
			c.HalfClose()
			c.ExpectFIN()
			t.guests(1)
		},
	},
	{
		ID: "talk/control-bytes", Level: report.Must, Service: "talk",
		Says:   "makes control bytes harmless before it shows them",
		Causes: []string{"raw-bytes"},
		Try:    `printf '\033[2Jhello\a\n' | nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			c := t.Dial()
			c.SendString("before \x1b[2J\x07\x00\x9b and after\n")
			line := t.ExpectScreen(" and after\n")
			for _, b := range []byte(strings.TrimSuffix(line, "\n")) {
				if b < ' ' || b == 0x7f || b == 0x9b {
					t.Fail("no control byte on the screen", fmt.Sprintf("byte 0x%02x", b))
				}
			}
		},
	},
}
