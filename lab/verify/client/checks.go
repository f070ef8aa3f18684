package client

import (
	"fmt"
	"strings"
	"time"

	"socketlab/lab/report"
)

// Checks are all of them, in the order in which they are shown.
var Checks = []Check{
	{
		ID: "client/serves", Level: report.Must,
		Says:  "sends each line that is typed, as it was typed, and shows the answer",
		Cause: "the whole buffer is sent instead of what is in it, or the newline is cut off; or what is printed stays in a buffer: fflush",
		Try:   "nc -l 127.0.0.1 7000 | od -c       and type a line into the client",
		Run: func(t *T) {
			t.Accept()
			for _, line := range []string{"hello\n", "how are you?\n"} {
				t.Type(line)
				t.Hears(line)
				t.HearsNothing(50 * time.Millisecond)
				t.Says("yes, " + line)
				t.Shows("yes, " + line)
			}
		},
	},
	{
		ID: "client/late", Level: report.Must,
		Says:  "waits for an answer that comes late, and shows it",
		Cause: "a time-out is taken for the end",
		Try:   "nc -l 127.0.0.1 7000, and answer after a while",
		Run: func(t *T) {
			t.Accept()
			t.Type("hello\n")
			t.Hears("hello\n")
			t.Stays(1500 * time.Millisecond)
			t.Says("here I am\n")
			t.Shows("here I am\n")
		},
	},
	{
		ID: "client/halves", Level: report.Must,
		Says:  "shows an answer that comes in pieces as what it is",
		Cause: "what one recv brings is taken for a line, and a newline is added to it",
		Try:   "(printf 'good '; sleep 1; printf 'day\\n') | nc -l 127.0.0.1 7000",
		Run: func(t *T) {
			t.Accept()
			t.Type("hello\n")
			t.Hears("hello\n")
			for _, piece := range []string{"go", "od d", "ay\n"} {
				t.Says(piece)
				time.Sleep(100 * time.Millisecond)
			}
			t.Shows("good day\n")
		},
	},
	{
		ID: "client/coalesced", Level: report.Must,
		Says:  "shows all lines that come together",
		Cause: "what one recv brings is taken for one line, and the rest is forgotten",
		Try:   "printf 'one\\ntwo\\nthree\\n' | nc -l 127.0.0.1 7000",
		Run: func(t *T) {
			t.Accept()
			t.Type("hello\n")
			t.Hears("hello\n")
			t.Says("one\ntwo\nthree\n")
			for _, line := range []string{"one\n", "two\n", "three\n"} {
				t.Shows(line)
			}
		},
	},
	{
		ID: "client/unasked", Level: report.Should,
		Says:  "shows what the server says while the user is silent",
		Cause: "the client sleeps in a read of the keyboard: wait for both, with select or poll",
		Try:   "nc -l 127.0.0.1 7000, and speak first",
		Run: func(t *T) {
			t.Accept()
			t.Says("welcome\n")
			t.Shows("welcome\n")
			t.Says("are you there?\n")
			t.Shows("are you there?\n")
		},
	},
	{
		ID: "client/short", Level: report.Must,
		Says:  "shows a short answer without the rest of a longer one",
		Cause: "recv does not write a NUL behind what it brings, and the buffer still holds what was there before",
		Run: func(t *T) {
			t.Accept()
			long := strings.Repeat("A", 700) + "\n"
			t.Type("hello\n")
			t.Hears("hello\n")
			t.Says(long)
			t.Shows(long)
			t.Type("and?\n")
			t.Hears("and?\n")
			t.Says("hi\n")
			t.Shows("hi\n")
			time.Sleep(100 * time.Millisecond)
			if rest := t.screen.After(t.shown); strings.Contains(rest, "AA") {
				t.fail(`"hi\n", and nothing of the answer before it`, "it also shows %s", quoted(rest))
			}
		},
	},
	{
		ID: "client/much", Level: report.Must, Pipe: true,
		Says:  "shows all of a long answer, in order",
		Cause: "the buffer is filled and the rest is thrown away",
		Run: func(t *T) {
			t.Accept()
			t.Type("tell me all\n")
			t.Hears("tell me all\n")
			var all strings.Builder
			for i := range 40000 {
				fmt.Fprintf(&all, "this is line number %d\n", i)
			}
			t.Says(all.String())
			t.Leave()
			t.Ends()
			<-t.copied
			shown := t.screen.String()
			for i, line := range strings.SplitAfter(all.String(), "\n") {
				_, rest, found := strings.Cut(shown, line)
				if !found {
					t.fail("all 40,000 lines, in order", "line %d is missing, or comes too late", i)
				}
				shown = rest
			}
			t.tell("the client showed all 40,000 lines")
		},
	},
	{
		ID: "client/binary", Level: report.Should, Pipe: true,
		Says:  "passes on all 256 byte values, NUL included",
		Cause: "what was received is printed as a C string, which ends at the first NUL: use write, or fwrite, and the length",
		Try:   "head -c 1000 /dev/urandom | nc -l 127.0.0.1 7000",
		Run: func(t *T) {
			t.Accept()
			var all []byte
			for b := range 256 {
				all = append(all, byte(b))
			}
			t.Type("give me bytes\n")
			t.Hears("give me bytes\n")
			t.Says(string(all) + "\n")
			t.Leave()
			t.Ends()
			<-t.copied
			t.Shows(string(all))
		},
	},
	{
		ID: "client/paste", Level: report.Must,
		Says:  "sends all lines that are typed at once, without one more being typed",
		Cause: "fgets has read them all into its buffer and returned one, and select does not know of the buffer",
		Try:   "lab exp stdio-and-select",
		Run: func(t *T) {
			t.Accept()
			t.Type("one\ntwo\nthree\n")
			for _, line := range []string{"one\n", "two\n", "three\n"} {
				t.Hears(line)
				t.Says("got " + line) // whoever takes turns goes on with it
				t.Shows("got " + line)
			}
		},
	},
	{
		ID: "client/empty", Level: report.Must,
		Says:  "sends an empty line, too",
		Cause: "the newline is cut off, and a send of 0 bytes sends nothing: both ends wait for ever",
		Try:   "lab exp empty-line",
		Run: func(t *T) {
			t.Accept()
			t.Type("\n")
			t.Hears("\n")
			t.Says("an empty line\n")
			t.Shows("an empty line\n")
		},
	},
	{
		ID: "client/silence", Level: report.Must,
		Says:  "waits without using CPU while the server never answers",
		Cause: "a non-blocking socket is asked again and again; or select's timeout is set once and counted down to 0",
		Run: func(t *T) {
			t.Accept()
			t.Stays(500 * time.Millisecond)
			t.Type("hello\n")
			t.Hears("hello\n")
			t.Stays(700 * time.Millisecond)
		},
	},
	{
		ID: "client/fin", Level: report.Must,
		Says:  "ends when the server closes, though nobody types",
		Cause: "recv returned 0 and nobody looked: it returns 0 again at once, for ever; or the client sleeps in a read of the keyboard",
		Try:   "timeout 2 nc -l 127.0.0.1 7000; top",
		Run: func(t *T) {
			t.Accept()
			t.Type("hello\n")
			t.Hears("hello\n")
			t.Says("goodbye\n")
			t.Shows("goodbye\n")
			t.Leave()
			t.Ends()
		},
	},
	{
		ID: "client/reset", Level: report.Must,
		Says:  "ends when the connection is reset, though nobody types",
		Cause: "recv returned −1 and nobody looked: test for n <= 0, or for both",
		Run: func(t *T) {
			t.Accept()
			t.Type("hello\n")
			t.Hears("hello\n")
			t.Says("yes\n")
			t.Shows("yes\n")
			t.Reset()
			t.Ends()
		},
	},
	{
		ID: "client/end", Level: report.Must,
		Says:  "tells the server the end of its input by FIN, sends nothing more, and ends with the server",
		Cause: "fgets returned NULL and nobody looked: the buffer is sent again and again; or the client waits for a keyboard that is gone",
		Try:   "lab exp operator-eof",
		Run: func(t *T) {
			t.Accept()
			t.Type("hello\n")
			t.Hears("hello\n")
			t.Says("yes\n")
			t.Shows("yes\n")
			t.EOF()
			t.HearsFIN()
			t.Leave()
			t.Ends()
		},
	},
	{
		ID: "client/owed", Level: report.Should,
		Says:  "shows the answer that it is owed after the end of its input",
		Cause: "the client closes at the end of its input, instead of shutdown(fd, SHUT_WR) and reading on",
		Try:   "printf 'hello\\n' | ./client 7000",
		Run: func(t *T) {
			t.Accept()
			t.Type("hello\n")
			t.EOF()
			t.Hears("hello\n")
			t.HearsFIN()
			t.Says("late, but here\n")
			t.Shows("late, but here\n")
			t.Leave()
			t.Ends()
		},
	},
	{
		ID: "client/refused", Level: report.Should,
		Says:  "ends with an exit code that is not 0 when nobody listens",
		Cause: "what connect returned was not looked at",
		Try:   "./client 1; echo $?",
		Run: func(t *T) {
			t.again() // to a port where nobody listens any more
			t.Ends()
			if code := t.cmd.ProcessState.ExitCode(); code == 0 {
				t.fail("an exit code that is not 0", "0")
			}
		},
	},
}

// again starts the client once more, when nobody listens.
func (t *T) again() {
	t.cmd.Process.Kill()
	<-t.ended
	<-t.copied
	t.listener.Close()
	t.tell("nobody listens")
	if err := t.start(); err != nil {
		panic(err)
	}
}
