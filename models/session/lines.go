package session

import (
	"bytes"
	"iter"
)

// MaxLine is the longest line in bytes, newline included; a longer one is cut
// into several. It is PIPE_BUF, what a pipe takes whole or not at all: pipe(7).
const MaxLine = 4096

// Lines cuts a stream into lines, however it was split on its way. The zero
// value is ready for use.
type Lines struct {
	part []byte // the beginning of a line whose end has not come yet
}

// Feed takes what one read brought and yields each line that it completes,
// ending in a newline. An empty p means that the stream has ended, and
// completes the last line. A line is valid until the next one.
func (l *Lines) Feed(p []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if len(p) == 0 && len(l.part) > 0 {
			p = []byte("\n")
		}
		for len(p) > 0 {
			room := MaxLine - len(l.part)
			end := bytes.IndexByte(p[:min(room, len(p))], '\n')
			switch {
			case end >= 0:
				l.part = append(l.part, p[:end+1]...)
				p = p[end+1:]
			case len(p) >= room: // no newline in time: cut it here
				l.part = append(append(l.part, p[:room-1]...), '\n')
				p = p[room-1:]
			default:
				l.part = append(l.part, p...)
				return
			}
			line := l.part
			l.part = l.part[:0]
			if !yield(line) {
				return
			}
			if len(p) == 0 {
				l.part = nil // a silent client holds no buffer
			}
		}
	}
}
