// Package models says what a model is: one way to serve many clients at once.
//
// Each folder beside this file is one model, and its page is the one file to
// read. The pages hold the same conversation, package session, in different
// ways. What they owe is this contract, the same for every page:
//
//   - The caller binds, listens and closes the listening descriptor. Shutting
//     it down, shutdown(lfd, SHUT_RDWR), is the signal to stop: accept then
//     fails with EINVAL. The page forgets it, serves the clients that are left
//     until they leave, and returns nil. How long that may take is the caller's
//     business.
//   - Out of descriptors, or at its limit, a page stops accepting until a
//     client leaves. Clients wait in the accept queue; nothing spins, and
//     nobody is dropped.
//   - A client's error ends that client only. The server's error is returned.
//   - A client that does not read stalls no other client, and does not make the
//     server grow without bound.
//   - After the client's FIN everything it is owed is sent; then the server
//     closes. Nothing is lost and nothing is added.
//   - No zombie and no descriptor is left behind, and no CPU is used while
//     nothing happens.
//   - The end of the operator's input means that there is no operator any more,
//     never the end of the server.
//
// A page that serves one client at a time keeps these promises towards that
// one client; the others wait.
//
// What can wait stands on the page, what cannot wait is shared. Shared too is
// what is no model's idea: who is here, and whom the operator speaks to. So
// pages of a family repeat each other word for word where they do the same, and
// the diff between two neighbours is the difference between two models.
package models

import (
	"crypto/tls"
	"fmt"
	"path"
	"reflect"
	"runtime"
	"strings"
	"time"

	"socketlab/models/session"
)

// A Model is one way to serve many clients at once.
type Model struct {
	Name    string          // what --model takes: "poll"
	Summary string          // one line for `lab models`
	Holds   string          // what one client costs: "a slice entry"
	Waits   string          // the calls in which it sleeps: "poll(2)"
	Limit   int             // clients served at once by design; 0: no limit
	TLS     bool            // it speaks TLS: see Job
	Variant string          // of which model, if not the next step in reading order
	Serve   func(Job) error // until the listener is shut down and all have left

	// Available says why this machine cannot run it, and what would help. A
	// model without it runs on every Linux.
	Available func() error
}

// Runs says why the model cannot run on this machine, and what would help.
func (m Model) Runs() error {
	if m.Available == nil {
		return nil
	}
	if err := m.Available(); err != nil {
		return fmt.Errorf("%s cannot run here: %w", m.Name, err)
	}
	return nil
}

// Page is the file that the model is: "models/pollloop/poll.go".
func (m Model) Page() string {
	serve := runtime.FuncForPC(reflect.ValueOf(m.Serve).Pointer())
	file, _ := serve.FileLine(serve.Entry())
	folder := strings.TrimPrefix(strings.TrimSuffix(serve.Name(), ".Serve"), "socketlab/")
	return path.Join(folder, path.Base(file))
}

// A Job is what a model is given to do.
type Job struct {
	Listener int             // lfd, listening; the caller closes it
	Siblings []int           // more of the same, with SO_REUSEPORT; prefork only
	Service  session.Service // what is said on each connection
	Keyboard int             // the operator's lines; -1: there is no operator
	Screen   int             // shows what the clients say; -1: to nobody
	TLS      *tls.Config     // who the server is, and whom it lets in; tls only
	Grace    time.Duration   // how long after it stops listening to say goodbye; tls only
}
