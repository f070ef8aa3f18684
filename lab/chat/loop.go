package chat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/session"
	"socketlab/models/sys"
)

// A loop is a conversation between a person and a server, held by one thread.
//
// Either side may speak at any time, so the thread must never sleep in a read
// of the one while the other speaks. It sleeps in select(2), which wakes up for
// both, and then does only what does not have to wait.
type loop struct {
	keyboard  int           // what the person types comes from here
	socket    int           // what the server says comes from here
	screen    io.Writer     // shows what the server says
	notes     io.Writer     // shows what the client itself has to say
	heartbeat time.Duration // "waiting…" after each such silence; 0: never
	turns     bool          // one line, one answer, one line, ...

	unsent []byte // what the kernel has not taken yet
	ended  bool   // the person has finished
	fin    bool   // and the server has been told
	end    error  // what it means when nothing more can be read

	lines    session.Lines // turns: what the person types
	queue    []byte        // turns: whole lines that wait for their turn
	awaiting bool          // turns: it is the server's

	buf [session.BufferSize]byte
}

// errReset: the server did not close the connection but threw it away.
var errReset = &Error{1, errors.New("the server reset the connection")}

// hold holds the conversation until the server leaves, which is io.EOF, or
// until something fails.
func (l *loop) hold() error {
	l.end = io.EOF
	if err := sys.FitSet(l.keyboard, l.socket); err != nil {
		return err // a descriptor that no fd_set can hold
	}
	if err := sys.SetNonblock(l.socket); err != nil {
		return err
	}
	for {
		l.takeTurn()
		l.finish()
		nfd, timeout := max(l.keyboard, l.socket)+1, l.patience()
		readable, writable := l.interest()
		n, err := sys.Select(nfd, readable, writable, timeout) // sleeps
		if err != nil {
			return err
		}
		if n == 0 { // the time is up, and nothing happened
			fmt.Fprintln(l.notes, "waiting…")
		}
		if readable.IsSet(l.socket) {
			if err := l.onServer(); err != nil {
				return err
			}
		}
		if readable.IsSet(l.keyboard) {
			if err := l.onKeyboard(); err != nil {
				return err
			}
		}
		if writable.IsSet(l.socket) {
			l.onWritable()
		}
	}
}

// interest is whom to ask about. It is put together for each select, which
// leaves in the sets only who is ready.
func (l *loop) interest() (readers, writers *unix.FdSet) {
	readers, writers = new(unix.FdSet), new(unix.FdSet)
	readers.Set(l.socket) // always: the server may speak, or leave, at any time
	if !l.ended && !l.awaiting && len(l.unsent) <= session.HighWater {
		readers.Set(l.keyboard)
	}
	if len(l.unsent) > 0 { // if asked without need, select would return at once, always
		writers.Set(l.socket)
	}
	return readers, writers
}

// patience is how long to sleep at most. It too is new for each select: Linux
// counts it down in place, and who sets it once soon does not sleep at all.
func (l *loop) patience() *unix.Timeval {
	if l.heartbeat <= 0 {
		return nil // for ever
	}
	timeout := unix.NsecToTimeval(int64(l.heartbeat))
	return &timeout
}

// onServer shows what the server said. The server has the last word on how the
// conversation ends, so even a failed write is judged only here, when all that
// came before it has been shown.
func (l *loop) onServer() error {
	n, err := sys.Read(l.socket, l.buf[:])
	if n == 0 && err == nil {
		err = l.end
	}
	switch {
	case sys.Again(err): // readiness is only a hint: select(2), BUGS
		return nil
	case errors.Is(err, unix.ECONNRESET):
		return errReset
	case err != nil:
		return err
	}
	if bytes.IndexByte(l.buf[:n], '\n') >= 0 {
		l.awaiting = false
	}
	_, err = l.screen.Write(l.buf[:n]) // may sleep too, while nobody takes it
	return err
}

// onKeyboard takes what the person typed: whole lines from a terminal,
// anything from a pipe, and nothing at the end.
//
// The keyboard is not made non-blocking: the shell shares it, and would have to
// live with that afterwards: fcntl(2), O_NONBLOCK.
func (l *loop) onKeyboard() error {
	n, err := sys.Read(l.keyboard, l.buf[:])
	switch {
	case sys.Again(err): // somebody else made it so
		return nil
	case err != nil:
		return err
	}
	l.ended = n == 0
	if !l.turns {
		l.unsent = append(l.unsent, l.buf[:n]...)
		return nil
	}
	for line := range l.lines.Feed(l.buf[:n]) {
		l.queue = append(l.queue, line...)
	}
	return nil
}

// onWritable sends what the kernel takes now; the rest waits.
func (l *loop) onWritable() {
	n, err := sys.Write(l.socket, l.unsent)
	switch {
	case err == nil, sys.Again(err):
	case errors.Is(err, unix.EPIPE): // it has left; onServer will see that
	default:
		l.end = err // told only once: reading would now say "the end"
	}
	l.unsent = l.unsent[n:]
}

// takeTurn sends the next line, if it is our turn and there is one.
func (l *loop) takeTurn() {
	if l.awaiting || len(l.queue) == 0 {
		return
	}
	end := bytes.IndexByte(l.queue, '\n') + 1
	l.unsent = append(l.unsent, l.queue[:end]...)
	l.queue = l.queue[end:]
	l.awaiting = true
}

// finish tells the server that the person has finished, when all that they
// said is sent. This half of the connection ends; the answers still come.
func (l *loop) finish() {
	if l.fin || !l.ended || l.awaiting || len(l.queue)+len(l.unsent) > 0 {
		return
	}
	l.fin = true
	sys.Shutdown(l.socket, unix.SHUT_WR) // if it fails, so will the next read
}
