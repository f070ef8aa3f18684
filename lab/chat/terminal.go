package chat

import (
	"bytes"
	"io"
	"unicode/utf8"

	"socketlab/models/session"
)

// A terminal shows text as it is meant to be read: a server cannot clear the
// screen, ring the bell or pretend to be the shell. Newlines and tabs do their
// work, CR LF is a newline, and all other control bytes appear as escapes.
type terminal struct {
	w    io.Writer
	held []byte // the beginning of a rune, or of CR LF
	last byte   // what was shown last
}

func (t *terminal) Write(p []byte) (int, error) {
	text := append(t.held, p...)
	whole := len(text) - unfinished(text)
	t.held = bytes.Clone(text[whole:])
	return len(p), t.show(text[:whole])
}

// Close shows what is left, and ends the last line: what follows on the
// terminal is not the server's.
func (t *terminal) Close() error {
	if len(t.held) == 0 && (t.last == '\n' || t.last == 0) {
		return nil
	}
	return t.show(append(t.held, '\n'))
}

func (t *terminal) show(text []byte) error {
	var out []byte
	for len(text) > 0 {
		end := bytes.IndexAny(text, "\n\t")
		if end < 0 {
			out = session.AppendHarmless(out, text)
			break
		}
		words := text[:end]
		if text[end] == '\n' {
			words = bytes.TrimSuffix(words, []byte("\r"))
		}
		out = append(session.AppendHarmless(out, words), text[end])
		text = text[end+1:]
	}
	if len(out) > 0 {
		t.last = out[len(out)-1]
	}
	_, err := t.w.Write(out)
	return err
}

// unfinished is how many bytes at the end of text make sense only together with
// what comes next.
func unfinished(text []byte) int {
	if bytes.HasSuffix(text, []byte("\r")) {
		return 1
	}
	for n := 1; n < min(utf8.UTFMax, len(text)+1); n++ {
		tail := text[len(text)-n:]
		if utf8.RuneStart(tail[0]) && !utf8.FullRune(tail) {
			return n
		}
	}
	return 0
}
