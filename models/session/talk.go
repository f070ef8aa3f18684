package session

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// talk is a conversation in lines between a client and the operator. What the
// client says is shown on the operator's screen; what the operator types goes
// to the client. The line "exit" ends it.
type talk struct {
	id    int
	lines Lines  // what the client says
	out   []byte // what the operator said, not yet sent
	heard []byte // text for the operator's screen
	ended bool   // the client has finished, or said "exit"
}

func newTalk(id int, greeting string) *talk {
	t := &talk{id: id, heard: fmt.Appendf(nil, "client %d is here\n", id)}
	if greeting != "" {
		t.out = append([]byte(greeting), '\n')
	}
	return t
}

func (t *talk) Feed(p []byte) {
	for line := range t.lines.Feed(p) {
		if t.ended {
			return // what follows "exit" is not said
		}
		said := bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		if string(said) == "exit" {
			t.leave()
			return
		}
		t.heard = fmt.Appendf(t.heard, "client %d says: ", t.id)
		t.heard = append(AppendHarmless(t.heard, said), '\n')
	}
}

func (t *talk) FeedEOF() {
	t.Feed(nil)
	if !t.ended {
		t.leave()
	}
}

func (t *talk) leave() {
	t.ended = true
	t.heard = fmt.Appendf(t.heard, "client %d left\n", t.id)
}

// Say sends a line to the client, unless it begins with the number of another
// one. A client that does not read misses whole lines, never half of one, and
// the operator is told.
func (t *talk) Say(line []byte) (mine bool) {
	line, mine = Addressed(line, t.id)
	switch {
	case t.ended || !mine:
	case len(t.out)+len(line) > HighWater:
		t.heard = append(t.heard, Missed(t.id)...)
	default:
		t.out = append(t.out, line...)
	}
	return mine
}

func (t *talk) Pending() []byte { return t.out }

func (t *talk) Sent(n int) {
	t.out = t.out[n:]
	if len(t.out) == 0 {
		t.out = nil
	}
}

func (t *talk) Heard() []byte {
	heard := t.heard
	t.heard = nil
	return heard
}

func (t *talk) WantRead() bool { return !t.ended }
func (t *talk) Done() bool     { return t.ended && len(t.out) == 0 }

// Missed tells the operator that a line did not reach client id, which has
// left too much unread already.
func Missed(id int) []byte {
	text := "client %d does not read: it misses this line\n"
	return fmt.Appendf(nil, text, id)
}

// Addressed reports whether a line of the operator's is meant for client id,
// and what remains to be said: "hello\n" is for everyone, "@3 hello\n" is
// "hello\n" for client 3.
func Addressed(line []byte, id int) (text []byte, mine bool) {
	if !bytes.HasPrefix(line, []byte("@")) {
		return line, true
	}
	number, text, found := bytes.Cut(line[1:], []byte(" "))
	to, err := strconv.Atoi(string(number))
	if !found || err != nil {
		return line, true
	}
	return text, to == id
}

// About is a line to the operator about client id, which the page has to say.
func About(id int, text string) []byte {
	line := fmt.Appendf(nil, "client %d: ", id)
	return append(AppendHarmless(line, []byte(text)), '\n')
}

// Remark is what the operator has to know about a line, if anything: that there
// is no such client, or that a number alone does not choose one. heard is false
// if the line was for nobody who is here.
func Remark(line []byte, heard bool) []byte {
	number, at := bytes.CutPrefix(bytes.TrimSuffix(line, []byte("\n")), []byte("@"))
	number, _, found := bytes.Cut(number, []byte(" "))
	id, err := strconv.Atoi(string(number))
	switch {
	case !at || err != nil:
		return nil
	case !found:
		const text = "@%d alone went to all clients: for client %d only, type @%d TEXT\n"
		return fmt.Appendf(nil, text, id, id, id)
	case !heard:
		return fmt.Appendf(nil, "no client %d\n", id)
	}
	return nil
}

// AppendHarmless appends text to b so that a terminal shows it and does not
// obey it: what cannot be printed appears as an escape, such as \x1b.
func AppendHarmless(b, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch escaped := strconv.QuoteRune(r); {
		case r == utf8.RuneError && n == 1: // not UTF-8
			b = fmt.Appendf(b, `\x%02x`, text[0])
		case unicode.IsPrint(r):
			b = append(b, text[:n]...)
		default:
			b = append(b, escaped[1:len(escaped)-1]...)
		}
		text = text[n:]
	}
	return b
}
