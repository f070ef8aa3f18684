package report

import (
	"time"

	"socketlab/lab/diagram"
)

// began is when the samples were made.
var began = time.Date(2026, 3, 4, 15, 6, 7, 0, time.UTC)

// sample has all there can be: two models and a command, and every outcome.
func sample() Verify {
	command := Subject{
		Name: "myserver", Kind: "command", Command: []string{"./myserver", "-p", "{port}"},
		Checks: []Check{
			{ID: "bytes/echo", Level: Must, Status: Pass, MS: 12, Says: "returns what it was sent, and nothing else: no banner, no padding"},
			failed(),
			{ID: "close/half", Level: Must, Status: Fail, MS: 5031, Weight: 3, Says: "after the client's FIN sends all it owes, then FIN",
				Expected: "1,048,576 bytes, then FIN", Actual: "720,896 bytes, then RST",
				Hint:    "the server closes the socket when read returns 0, while answers are still unsent",
				Try:     `head -c 1M /dev/zero | nc -N 127.0.0.1 PORT | wc -c`,
				Story:   []string{"client 1 connected from 127.0.0.1:40112", "client 1 sent 1,048,576 bytes", "client 1 sent FIN"},
				Output:  "listening\nrecv: 100% done, <b>bold</b> & \"quoted\"\n",
				Diagram: drawn("./myserver <1>")},
			{ID: "many/two", Level: Must, Status: Skip, MS: 3, Says: "serves the second client while the first is silent", Note: "one at a time"},
			{ID: "many/crowd", Level: Should, Status: Fail, MS: 2500, Says: "serves 1,000 clients at once",
				Expected: "1,000 clients", Actual: "511 clients, then nothing for 5s", Hint: "the limit of open files: ulimit -n",
				Story: []string{"511 clients are served"}},
			{ID: "life/idle", Level: Must, Status: Error, MS: 60000, Says: "uses no CPU while its clients are silent",
				Expected: "to be able to look at the server's processes", Actual: "permission denied"},
			{ID: "random/schedules", Level: Must, Status: Fail, MS: 900, Says: "gives the same bytes under random schedules",
				Expected: "3 bytes", Actual: "nothing for 5s", Schedule: "seed 42\n1 connect\n1 send \"abc\"\n1 leave\n"},
			{ID: "many/soak", Level: Must, Status: Fail, Says: "never mixes clients", Follows: "close/half",
				Expected: "a server that passes close/half", Actual: "not played; --all plays it"},
		},
		Diagnosis: []Diagnosis{
			{Cause: "closes-owing", Says: "the server closes when the client has finished, though it still owes answers",
				Cure: "Close when your own buffer is empty.", Explains: []string{"close/half", "random/schedules", "many/soak"}, See: "docs/causes.md#closes-owing"},
			{Cause: "nul", Says: "bytes after a NUL are lost", Cure: "Send as many bytes as read returned.",
				Explains: []string{"bytes/binary"}, See: "docs/causes.md#nul"},
		},
	}
	v := Verify{
		Schema: "lab.verify/1", Started: began, MS: 6123,
		Subjects: []Subject{model("blocking"), model("poll"), command},
	}
	v.Subjects[0].Checks[3].Note = "waits"
	for i := range v.Subjects {
		v.Subjects[i].Count()
	}
	return v
}

// failed is a check with bytes that differ.
func failed() Check {
	return Check{ID: "bytes/binary", Level: Must, Status: Fail, MS: 7, Says: "returns all 256 byte values, NUL included",
		Expected: "256 bytes", Actual: "another byte at position 0",
		Hint:    "the bytes are treated as a C string or as text: strlen stops at NUL, decoding changes what is not UTF-8",
		Try:     `printf '\000\377\200' | nc -N 127.0.0.1 PORT | od -An -tx1`,
		Picture: `lab verify --check=bytes/binary --trace-failures -- ./myserver -p {port}`,
		Story: []string{
			"client 1 connected from 127.0.0.1:40110",
			"client 1 sent 256 bytes",
			"client 1 received 1 byte, and it is not the one that was expected at this position of the stream",
		},
		Diff: []string{
			"expected  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  ................",
			"received  20                                                ",
			"          ^^",
		},
	}
}

// drawn is a diagram: the client sends FIN, and is reset.
func drawn(name string) *diagram.Trace {
	segment := func(at time.Duration, fromClient bool, flags string) diagram.Event {
		return diagram.Event{At: at, Segment: &diagram.Segment{Conn: 1, FromClient: fromClient, Flags: flags, Seq: 1, Ack: 1}}
	}
	return &diagram.Trace{
		Schema: diagram.Schema, Scene: "close/half", Subject: name, Rung: diagram.Captured, Source: "strace", Took: 3,
		Missing: []string{"nothing that " + name + " knows of"},
		Actors: []diagram.Actor{
			{ID: "client 1", Name: "client 1", Kind: diagram.ClientProgram},
			{ID: "kernel/server", Name: "server's kernel", Kind: diagram.ServerKernel},
			{ID: "server", Name: name, Kind: diagram.ServerThread},
		},
		Events: []diagram.Event{
			segment(1, true, "FIN+ACK"),
			{At: 2, Call: &diagram.Call{Actor: "server", Name: "close", Args: "4 " + name, Result: "0", Conn: 1}},
			segment(3, false, "RST+ACK"),
			{At: 3, Note: &diagram.Note{Text: "here it fails: " + name}},
		},
	}
}

// model is one that passes everything.
func model(name string) Subject {
	s := Subject{Name: name, Kind: "model", Command: []string{"lab", "run", "--model=" + name}}
	for _, id := range []string{"bytes/echo", "bytes/binary", "close/half", "many/two", "many/crowd", "life/idle", "random/schedules", "talk/operator-to-one"} {
		s.Checks = append(s.Checks, Check{ID: id, Level: Must, Status: Pass, MS: 12, Says: "does what it should"})
	}
	s.Count()
	return s
}

// hostile is a server whose every word is meant to break out of the page, the
// terminal or the file that it is shown in.
func hostile() Verify {
	const evil = "<script>document.title='broken'</script>\"'><img src=x onerror=alert(1)>" +
		"\x1b]0;owned\a\x1b[2J\x00\x0b\ufffe\u202e\u0085\xff" +
		" ]]> --> {{.}} </pre></textarea> # TODO \\# ::error::x %0A ``` | `| **b** [l](javascript:alert(1)) &amp; ✓ 漢字 \r"
	const more = evil + "\n::stop-commands::x\n...\n  ---\nok 1 - I passed\n  ...\nBail out!\n````\n</details>\n1. # heading\n" + evil
	c := Check{ID: "bytes/echo", Level: Must, Status: Fail, Says: evil, Note: evil,
		Expected: more, Actual: more, Hint: evil, Try: evil,
		Story: []string{evil, more}, Diff: []string{evil}, Schedule: evil, Output: more, Picture: evil, Diagram: drawn(more)}
	should, skip, undecided, pass := c, c, c, c
	should.ID, should.Level = "bytes/should", Should
	skip.ID, skip.Status = "bytes/skip", Skip
	undecided.ID, undecided.Status = "bytes/error", Error
	pass.ID, pass.Status = "bytes/pass", Pass
	s := Subject{Name: more, Kind: "command", Command: []string{more, more}, Checks: []Check{c, should, skip, undecided, pass}}
	s.Count()
	return Verify{Schema: "lab.verify/1", Started: began, Subjects: []Subject{s, s}}
}

// tame has the form of hostile, and harmless words.
func tame() Verify {
	v := hostile()
	for i := range v.Subjects {
		s := &v.Subjects[i]
		s.Name, s.Command = "server", []string{"server"}
		checks := s.Checks
		s.Checks = nil
		for _, c := range checks {
			c.Says, c.Note, c.Expected, c.Actual, c.Hint, c.Try = "word", "word", "word", "word", "word", "word"
			c.Story, c.Diff, c.Schedule, c.Output = []string{"word", "word"}, []string{"word"}, "word", "word"
			c.Picture, c.Diagram = "word", drawn("word")
			s.Checks = append(s.Checks, c)
		}
	}
	return v
}

// silent was held to no check, and deaf could not be looked at.
func silent() Verify {
	return Verify{Schema: "lab.verify/1", Started: began, MS: 3,
		Subjects: []Subject{{Name: "socat", Kind: "command", Command: []string{"socat"}}}}
}

func deaf() Verify {
	return Verify{Schema: "lab.verify/1", Started: began, MS: 1003,
		Failure: "myserver ended with exit code 1 before it listened on port 40001; it printed:\n    # bind: permission denied"}
}
