// Package chat is a terminal client for any server that talks in lines, and the
// smallest program that needs select(2): it waits for the person and for the
// server at once. The page to read is loop.go; what stands around it connects,
// and explains.
package chat

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/term"

	"socketlab/lab/certs"
)

// A Chat is one conversation to be held.
type Chat struct {
	Addr      string        // HOST:PORT, or only one of them
	Heartbeat time.Duration // say "waiting…" after each silence of this length; 0: never
	Turns     bool          // send a line, wait for a line, send the next
	TLS       *certs.Client // speak TLS; nil: plain

	Stdin, Stdout, Stderr *os.File // the caller closes them
}

// An Error ends the program with an exit code of its own.
type Error struct {
	Code int // 1: the server reset the connection; 2: there never was one
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }
func (e *Error) ExitCode() int { return e.Code }

// Run connects and holds the conversation until the server closes the
// connection. It fails if the server resets it instead.
func (c Chat) Run() error {
	conn, err := connect(c.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	socket, err := conn.File() // a copy of the descriptor, for select
	if err != nil {
		return err
	}
	defer socket.Close()
	var tls *secured
	if c.TLS != nil {
		if tls, err = c.secure(conn); err != nil {
			return err
		}
		defer tls.Close()
		socket = tls.loops
	}
	if isTerminal(c.Stdin) {
		c.greet(conn, tls)
	}
	l := &loop{
		keyboard:  int(c.Stdin.Fd()),
		socket:    int(socket.Fd()),
		screen:    c.Stdout,
		notes:     c.Stderr,
		heartbeat: c.Heartbeat,
		turns:     c.Turns,
	}
	shown := &terminal{w: c.Stdout}
	if isTerminal(c.Stdout) {
		l.screen = shown
	}
	err = l.hold()
	shown.Close()
	if tls != nil && errors.Is(err, io.EOF) {
		err = cmp.Or(<-tls.end, err)
	}
	if errors.Is(err, io.EOF) {
		if !l.fin || isTerminal(c.Stdin) { // otherwise we sent FIN first, and this is the answer
			fmt.Fprintln(c.Stderr, farewell(len(l.unsent)+len(l.queue)))
		}
		return nil
	}
	return err
}

// greet tells a person where they are, and how to get out.
func (c Chat) greet(conn net.Conn, tls *secured) {
	hint := "Ctrl-D finishes"
	if c.Turns {
		hint = "you speak in turns; Ctrl-D finishes when it is yours"
	}
	fmt.Fprintf(c.Stderr, "connected to %s from %s; %s\n", conn.RemoteAddr(), conn.LocalAddr(), hint)
	if tls != nil {
		fmt.Fprintln(c.Stderr, tls.says())
	}
}

// farewell tells how it ended, and how much came too late.
func farewell(unsent int) string {
	if unsent > 0 {
		return fmt.Sprintf("the server closed the connection; %d bytes were not sent", unsent)
	}
	return "the server closed the connection"
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
