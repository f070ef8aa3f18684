package guests

import (
	"iter"

	"golang.org/x/sys/unix"

	"socketlab/models/session"
	"socketlab/models/sys"
)

// Typed yields what the operator types, line by line, until their input ends.
// It sleeps until there is a line; a line is valid until the next one.
func Typed(keyboard int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var lines session.Lines
		buf := make([]byte, session.BufferSize)
		for n := -1; n != 0 && keyboard >= 0; {
			n, _ = sys.WaitRead(keyboard, buf)
			for line := range lines.Feed(buf[:n]) {
				if !yield(line) {
					return
				}
			}
		}
	}
}

// Read yields the lines that are there now. It is for a caller that knows that
// there is something to read and must not wait. At the end of the operator's input
// it sets keyboard to -1: there is no operator any more.
func Read(keyboard *int, lines *session.Lines, buf []byte) iter.Seq[[]byte] {
	n, err := sys.Read(*keyboard, buf)
	if sys.Again(err) { // readiness is only a hint
		return func(func([]byte) bool) {}
	}
	if n == 0 {
		*keyboard = -1
	}
	return lines.Feed(buf[:n])
}

// An Operator is the person at the server's terminal, in one conversation.
type Operator struct {
	Keyboard int           // what they type; -1: there is no operator
	Screen   int           // what they see; -1: nothing
	lines    session.Lines // of what they type
}

// OperatorOf is the person at this program's standard input and output, if the
// service has an operator.
func OperatorOf(service session.Service) Operator {
	if service.Name == "talk" {
		return Operator{Keyboard: 0, Screen: 1}
	}
	return Operator{Keyboard: -1, Screen: -1}
}

// Show shows text to the operator, if there is any.
func (o *Operator) Show(text []byte) { sys.Show(o.Screen, text) }

// Speak sleeps until the operator has typed something, reads it into buf, and
// says it to the client.
func (o *Operator) Speak(c session.Session, buf []byte) {
	n, _ := sys.WaitRead(o.Keyboard, buf[:session.MaxLine])
	for line := range o.lines.Feed(buf[:n]) {
		mine := c.Say(line)
		o.Show(session.Remark(line, mine))
	}
	if n == 0 {
		o.Keyboard = -1 // no operator any more
	}
}

// Forget reads what was typed for the client before, without waiting.
func (o *Operator) Forget(buf []byte) {
	o.lines = session.Lines{}
	for o.Keyboard >= 0 {
		fds := []unix.PollFd{{Fd: int32(o.Keyboard), Events: unix.POLLIN}}
		if n, _ := sys.Poll(fds, 0); n == 0 {
			return
		}
		if n, _ := sys.Read(o.Keyboard, buf); n == 0 {
			o.Keyboard = -1 // there is no operator
		}
	}
}

// A Pipe passes the operator's lines to a thread or process that sleeps in system
// calls: only a descriptor can wake it. Without an operator both ends are -1.
type Pipe struct{ Reader, Writer int }

// NewPipe makes a pipe, if there is a keyboard.
func NewPipe(keyboard int) (p Pipe, err error) {
	if keyboard < 0 {
		return Pipe{-1, -1}, nil
	}
	p.Reader, p.Writer, err = sys.Pipe()
	return p, err
}

// Tell writes a line into the pipe. One of at most MaxLine bytes goes in whole
// or not at all: pipe(7). If the reader has gone, the line is dropped.
func (p Pipe) Tell(line []byte) bool {
	_, err := sys.Write(p.Writer, line)
	return !sys.Again(err)
}

// Close closes both ends.
func (p Pipe) Close() {
	sys.Close(p.Writer)
	sys.Close(p.Reader)
}
