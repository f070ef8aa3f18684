package session

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The story of each client 3 that said these words: what the operator reads.
func TestTalkHeard(t *testing.T) {
	const here, left = "client 3 is here\n", "client 3 left\n"
	long := strings.Repeat("x", MaxLine-1)
	for name, test := range map[string]struct{ input, said string }{
		"a silent client":               {"", ""},
		"a line":                        {"hello\n", "hello"},
		"a carriage return":             {"hello\r\n", "hello"},
		"only the last of them is cut":  {"a\rb\r\r\n", `a\rb\r`},
		"several lines at once":         {"one\ntwo\n", "one|two"},
		"an empty line is a line":       {"\n\r\n", "|"},
		"no newline at the end":         {"one\ntwo", "one|two"},
		"exit":                          {"exit\n", ""},
		"exit with a carriage return":   {"exit\r\n", ""},
		"exit without a newline":        {"exit", ""},
		"exit in mid-stream":            {"one\nexit\ntwo\n", "one"},
		"exit, then half a line":        {"one\nexit\r\ntwo", "one"},
		"exit twice":                    {"exit\nexit\n", ""},
		"exit is a line, not a word":    {"exit now\n exit\nexits\nEXIT\n", "exit now| exit|exits|EXIT"},
		"an over-long line":             {long + "yz\n", long + "|yz"},
		"an escape sequence":            {"\x1b[2J\x1b]0;title\a\n", `\x1b[2J\x1b]0;title\a`},
		"a C1 control":                  {"\u009b2J\n", `\u009b2J`},
		"a bell, a backspace, a delete": {"\a\b\x7f\x00\n", `\a\b\x7f\x00`},
		"a tab":                         {"a\tb\n", `a\tb`},
		"a bidi override":               {"\u202egnp.exe\u2066\n", `\u202egnp.exe\u2066`},
		"a line separator":              {"a\u2028b\ufeff\n", `a\u2028b\ufeff`},
		"invalid UTF-8":                 {"\xff\xc3(\xe2\x82\n", `\xff\xc3(\xe2\x82`},
		"a real replacement character":  {"\ufffd\n", "\ufffd"},
		"what can be printed":           {"Grüße, 世界 🙂 \\ \" '\n", "Grüße, 世界 🙂 \\ \" '"},
	} {
		t.Run(name, func(t *testing.T) {
			want := here
			if test.said != "" {
				for line := range strings.SplitSeq(test.said, "|") {
					want += "client 3 says: " + line + "\n"
				}
			}
			want += left
			input := []byte(test.input)
			for _, i := range splits(len(input)) {
				p := newPage(t, Service{Name: "talk"}, 3)
				p.read(p.read(input[:i], BufferSize), BufferSize)
				p.read(input[i:], BufferSize)
				p.finish()
				if string(p.heard) != want {
					t.Fatalf("split at %d the screen shows %.200q,\nwant %.200q", i, p.heard, want)
				}
				if len(p.sent) > 0 {
					t.Fatalf("nobody said %q to the client", p.sent)
				}
			}
		})
	}
}

func TestTalkExitEndsReading(t *testing.T) {
	p := newPage(t, Service{Name: "talk"}, 1)
	p.say("one\n")
	p.read([]byte("exit\n"), 0)
	if p.WantRead() || p.Done() {
		t.Errorf("after exit, a line owed: WantRead %v, Done %v", p.WantRead(), p.Done())
	}
	p.say("two\n")
	p.write(BufferSize)
	if !p.Done() {
		t.Error("it has said exit and got its line, and is not Done")
	}
	if string(p.sent) != "one\n" {
		t.Errorf("the client got %q, want what was said before it left", p.sent)
	}
}

func TestTalkSay(t *testing.T) {
	for line, want := range map[string]string{ // client 3 gets
		"hello\n":                   "hello\n",
		"\n":                        "\n",
		"@3 hello\n":                "hello\n",
		"@3  two blanks\n":          " two blanks\n",
		"@3 \n":                     "\n",
		"@3 @4 hello\n":             "@4 hello\n",
		"@4 hello\n":                "",
		"@33 hello\n":               "",
		"@-3 hello\n":               "",
		"@3\n":                      "@3\n", // says nothing to nobody: it is a line like others
		"@home hello\n":             "@home hello\n",
		"@ 3 hello\n":               "@ 3 hello\n",
		" @4 hello\n":               " @4 hello\n",
		"@99999999999999999999 h\n": "@99999999999999999999 h\n",
		"exit\n":                    "exit\n", // is the client's word
		"\x1b[2J\xff\n":             "\x1b[2J\xff\n",
	} {
		t.Run(line, func(t *testing.T) {
			p := newPage(t, Service{Name: "talk"}, 3)
			p.say(line)
			p.finish()
			if string(p.sent) != want {
				t.Errorf("client 3 got %q, want %q", p.sent, want)
			}
		})
	}
}

// A client that does not read misses whole lines, and the operator is told of
// each; what fits is kept, to the last byte.
func TestTalkMissesWholeLines(t *testing.T) {
	p := newPage(t, Service{Name: "talk"}, 2)
	p.show()
	line := strings.Repeat("x", 999) + "\n"
	kept := HighWater / len(line)
	for range kept {
		p.say(line)
	}
	p.heard = nil
	p.say(line)
	p.say("@2 " + line)
	if want := strings.Repeat(string(Missed(2)), 2); string(p.heard) != want {
		t.Errorf("two lines were missed, and the screen shows %q, want %q", p.heard, want)
	}
	p.say("@1 " + line) // is not for this client, and so not missed
	last := strings.Repeat("y", HighWater-kept*len(line)-1) + "\n"
	p.say(last)
	if len(p.Pending()) != HighWater {
		t.Errorf("%d bytes are pending, want HighWater exactly, %d", len(p.Pending()), HighWater)
	}
	if !p.WantRead() {
		t.Error("it may speak, though it does not read")
	}
	p.write(1)
	p.say("\n")
	p.finish()
	if want := strings.Repeat(line, kept) + last + "\n"; string(p.sent) != want {
		t.Errorf("the client got %d bytes, want the %d of the lines that it did not miss",
			len(p.sent), len(want))
	}
}

func TestAddressedAndMissedName(t *testing.T) {
	if got, want := string(Missed(7)), "client 7 does not read: it misses this line\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	text, mine := Addressed([]byte("@7 hello\n"), 8)
	if string(text) != "hello\n" || mine {
		t.Errorf("a line for client 7 reads %q for client 8, mine: %v", text, mine)
	}
}

// oracle is what the operator reads of client id, by the plainest way.
func oracle(id int, input string) string {
	screen := fmt.Sprintf("client %d is here\n", id)
	if input != "" {
		for _, line := range cut(input) {
			line = strings.TrimSuffix(line, "\n")
			line = strings.TrimSuffix(line, "\r")
			if line == "exit" {
				break
			}
			screen += fmt.Sprintf("client %d says: %s\n", id, quoted(line))
		}
	}
	return screen + fmt.Sprintf("client %d left\n", id)
}

// quoted is the text as a Go string has it between its quotes, where only what
// cannot be printed is escaped.
func quoted(text string) string {
	q := strconv.Quote(text)
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(q[1 : len(q)-1])
}

func FuzzTalk(f *testing.F) {
	f.Add([]byte("hello\r\nexit\r\nmore"), uint16(1), []byte{2, 0, 2, 0})
	f.Add([]byte("exi"), uint16(1), []byte{2})
	f.Add([]byte("\x1b[2J\xff\u202e\n"), uint16(3), []byte{2, 0})
	f.Add([]byte("x"), uint16(3*MaxLine), []byte{7, 2, 8, 9})
	f.Fuzz(func(t *testing.T, input []byte, times uint16, steps []byte) {
		input = many(input, times)
		p := newPage(t, Service{Name: "talk"}, 3)
		p.run(input, steps)
		if want := oracle(3, string(input)); string(p.heard) != want {
			t.Errorf("the screen shows %.300q,\nwant %.300q", p.heard, want)
		}
		for _, b := range p.heard {
			if b < ' ' && b != '\n' || b == 0x7f {
				t.Fatalf("a control byte %#x reached the screen", b)
			}
		}
	})
}

// Client and operator speak in any order, and the kernel takes what it likes:
// each hears the other whole, in order, and in lines.
func TestTalkInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPage(t, Service{Name: "talk"}, 3)
		var fed, owed []byte
		misses := 0
		t.Repeat(map[string]func(*rapid.T){
			"client": func(t *rapid.T) {
				said := rapid.SampledFrom([]string{
					"hello\n", "hel", "\r", "\n", "ex", "it", "exit\n", "\x1b", "\xe2\x82",
					strings.Repeat("long ", 1000),
				}).Draw(t, "said")
				if p.WantRead() {
					fed = append(fed, said...)
				}
				p.read([]byte(said), rapid.SampledFrom(sizes).Draw(t, "room"))
			},
			"operator": func(t *rapid.T) {
				line := strings.Repeat("x", rapid.SampledFrom([]int{0, 1, MaxLine - 1}).Draw(t, "n")) + "\n"
				to := rapid.SampledFrom([]string{"", "@3 ", "@4 "}).Draw(t, "to")
				switch full := len(p.Pending())+len(line) > HighWater; {
				case !p.WantRead() || to == "@4 ":
				case full:
					misses++
				default:
					owed = append(owed, line...)
				}
				p.say(to + line)
			},
			"kernel": func(t *rapid.T) { p.write(rapid.SampledFrom(sizes).Draw(t, "room")) },
		})
		p.finish()
		if !bytes.Equal(p.sent, owed) {
			t.Fatalf("the client got %d bytes, want %d", len(p.sent), len(owed))
		}
		missed := string(Missed(3))
		if n := strings.Count(string(p.heard), missed); n != misses {
			t.Fatalf("%d lines were missed, and the operator was told of %d", misses, n)
		}
		heard := strings.ReplaceAll(string(p.heard), missed, "")
		if want := oracle(3, string(fed)); heard != want {
			t.Fatalf("the screen shows %.300q,\nwant %.300q", heard, want)
		}
	})
}
