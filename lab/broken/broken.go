// Package broken is a collection of servers that are wrong in one way each.
//
// The harness is held to them: a check is worth what it catches. And a class
// may study them: what does each bug look like from outside? They are real
// servers with real sockets, right in everything but one line or two; what is
// right stands in threads.go, children.go and loop.go, so that the bug is all
// that is left to see in a server's own function.
//
// Many of the bugs come from two tutorials on TCP programming in C++. Source
// names the programs: A is a chat server for one client on select, C one for
// many clients on three threads; E is a client that takes turns with the
// servers F (one client), G (a process for each) and H (a thread for each); Q
// is a chat server that greets.
package broken

import (
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// A Server is wrong in one way.
type Server struct {
	Name    string // what it does, as it looks from outside: "forgets-to-close"
	Bug     string // what is wrong in it
	Cause   string // the id of that in the catalogue of causes
	Source  string // the programs it was found in; "": elsewhere
	Service string // "echo", "talk", or "tls", which is an echo over TLS
	Limit   int    // clients it serves at once, as declared; 0: no limit

	Caught  []string // patterns of the checks that must catch it; all others must pass
	Perhaps []string // those that catch it only when the timing is right
	Spared  []string // those not made, since they would take the whole machine down

	Listen func(port uint16) (lfd int, err error) // nil: listen
	Serve  func(lfd int)                          // until SIGTERM
	Client func(cfd int)                          // in a child that Serve started; nil: echo
}

// Servers is the catalogue, in the order of the checks that catch them.
func Servers() []Server {
	return slices.Concat(bytesServers(), closeServers(), manyServers(), lifeServers(), kindsServers(), randomServers(), talkServers(), tlsServers())
}

// Named is the server with that name.
func Named(name string) (Server, error) {
	for _, s := range slices.Concat(Servers(), Rogues()) {
		if s.Name == name {
			return s, nil
		}
	}
	return Server{}, fmt.Errorf("no broken server %q; lab verify --broken shows all", name)
}

// slowEnd is how long the server takes to end.
var slowEnd time.Duration

// Run is the server, on a port of 127.0.0.1. It ends with SIGTERM.
func (s Server) Run(port uint16) error {
	if s.Listen == nil {
		s.Listen = listen
	}
	lfd, err := s.Listen(port)
	if err != nil {
		return err
	}
	// The Go runtime opens an epoll for its first timer, and dies if there is no
	// descriptor left.
	time.AfterFunc(time.Hour, func() {}).Stop()
	term := make(chan os.Signal, 1)
	signal.Notify(term, unix.SIGTERM)
	go func() {
		<-term
		time.Sleep(slowEnd)
		os.Exit(0)
	}()
	s.Serve(lfd)
	return nil
}

// RunClient is the server's child for one client, who is on descriptor 3.
func (s Server) RunClient() {
	if s.Client == nil {
		s.Client = echo
	}
	s.Client(3)
}

func listen(port uint16) (lfd int, err error) {
	return sys.Listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), 128)
}
