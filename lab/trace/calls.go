package trace

import (
	"net/netip"

	"socketlab/lab/diagram"
	"socketlab/lab/subject"
)

// A Source tells which system calls the server's threads make. A recording
// takes its methods in this order, each once.
type Source interface {
	// Prepare may change how the server is started: its command, its
	// environment.
	Prepare(*subject.Spec) error

	// Attach is told that the server listens.
	Attach(*subject.Subject) error

	// Collect is told that the scene is over; the server still runs. Number
	// is the connection of a client, by its address, or 0.
	Collect(number func(client netip.AddrPort) int) (Calls, error)

	// Close gives back what it holds, whatever happened.
	Close()
}

// Calls are what a Source saw.
type Calls struct {
	Actors  []diagram.Actor // the server's threads
	Events  []Happening     // Call and Life events
	Missing []string        // what could not be seen, and how to see it
}

// sources are the kinds of Source there are, by the names that Options.Calls
// and diagram.Trace.Source have for them.
var sources = map[string]func() Source{"probes": watchProbes, "strace": watchStrace, "proc": sampleProc}
