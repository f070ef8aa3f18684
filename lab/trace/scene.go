package trace

import (
	"fmt"
	"slices"

	"socketlab/lab/proc"
)

// A Scene is a short conversation that shows one thing.
type Scene struct {
	Name    string
	Shows   string
	Service string // what the server must serve: "echo" or "talk"
	Backlog int    // what it must give to listen(2); 0: anything
	TLS     bool   // it speaks TLS
	Mutual  bool   // and asks the client for a certificate
	play    func(s *stage)
}

// AllScenes are those over TCP and those over TLS.
func AllScenes() []Scene { return slices.Concat(Scenes, SecuredScenes) }

// Find is the scene with a name.
func Find(name string) (Scene, bool) {
	all := AllScenes()
	i := slices.IndexFunc(all, func(s Scene) bool { return s.Name == name })
	if i < 0 {
		return Scene{}, false
	}
	return all[i], true
}

// Scenes are all there are, in the order in which they are best shown.
//
// Some need a server that is late. Any server can be made late: its program is
// stopped for a while, and the kernel goes on without it.
var Scenes = []Scene{
	{
		Name: "open", Service: "echo",
		Shows: "the three-way handshake, and where socket, bind, listen, connect and accept happen",
		play: func(s *stage) {
			s.arrive()
		},
	},
	{
		Name: "echo", Service: "echo",
		Shows: "a message and its answer: sequence numbers and acknowledgements",
		play: func(s *stage) {
			s.greet("hello\n")
		},
	},
	{
		Name: "close-client", Service: "echo",
		Shows: "the client closes first, and goes through FIN-WAIT to TIME-WAIT",
		play: func(s *stage) {
			c := s.greet("hello\n")
			c.close()
			s.closed(c)
		},
	},
	{
		Name: "close-server", Service: "talk",
		Shows: `the server closes first, at the line "exit", and TIME-WAIT is on its side`,
		play: func(s *stage) {
			c := s.arrive()
			c.send("exit\n")
			c.end()
			s.done(c)
			c.close()
			s.closed(c)
		},
	},
	{
		Name: "close-late", Service: "echo",
		Shows: "closing in four segments: the kernel acknowledges the FIN, the program closes later",
		play: func(s *stage) {
			c := s.arrive()
			s.hold()
			c.close()
			s.done(c)
			s.until("the client is in FIN-WAIT-2", func(l look) bool {
				return !l.ends[0][0].known || l.ends[0][0].state == proc.FinWait2
			})
			s.release()
			s.closed(c)
		},
	},
	{
		Name: "close-prompt", Service: "echo",
		Shows: "closing in three segments: who closes at once answers FIN with FIN+ACK",
		play: func(s *stage) {
			c := s.arrive()
			c.close()
			s.closed(c)
		},
	},
	{
		Name: "half-close", Service: "echo",
		Shows: "the client finishes sending, and still receives what it is owed",
		play: func(s *stage) {
			c := s.arrive()
			s.hold()
			c.send("hello\n")
			c.halfClose()
			c.recv(6)
			c.end()
			s.settle()
			s.release()
			s.done(c)
			c.close()
			s.closed(c)
		},
	},
	{
		Name: "reset", Service: "echo",
		Shows: "the client aborts the connection: one RST, and no TIME-WAIT",
		play: func(s *stage) {
			c := s.greet("hello\n")
			c.reset()
			s.closed(c)
		},
	},
	{
		Name: "unread", Service: "echo",
		Shows: "closing while bytes are unread sends RST instead of FIN",
		play: func(s *stage) {
			c := s.client()
			c.connect()
			c.send("hello\n")
			s.until("the answer is there", func(l look) bool { return !l.ends[0][0].known || l.ends[0][0].unread == 6 })
			s.note(c, "does not read the answer")
			c.close()
			s.closed(c)
		},
	},
	{
		Name: "two-clients", Service: "echo",
		Shows: "client 1 thinks: is client 2 served meanwhile, and who waits where?",
		play: func(s *stage) {
			one := s.greet("hello\n")
			s.note(one, "thinks")
			two := s.client()
			two.connect()
			two.send("and me?\n")
			two.recv(8)
			s.settle()
			one.close()
			s.done(one, two)
			two.close()
			s.closed(two)
		},
	},
	{
		Name: "queue", Service: "echo", Backlog: 1,
		Shows: "a backlog of 1 and five clients: connected but not accepted, and not connected at all",
		play:  playQueue,
	},
	{
		Name: "talk", Service: "talk",
		Shows: "both ends speak: what the client says, what the operator answers",
		play: func(s *stage) {
			c := s.client()
			c.connect()
			c.send("hello\n")
			s.screen("says: hello\n")
			c.recv(len("good day\n"))
			s.settle()
			s.types("good day\n")
			s.done(c)
			c.send("exit\n")
			c.end()
			s.done(c)
			c.close()
			s.closed(c)
		},
	},
	{
		Name: "process-life", Service: "echo",
		Shows: "what the server starts for a client, and what becomes of it: spawn, serve, exit, reap",
		play: func(s *stage) {
			s.settle()
			c := s.greet("hello\n")
			c.close()
			s.closed(c)
		},
	},
	{
		Name: "wake", Service: "echo",
		Shows: "what one message wakes up, while two other clients are silent",
		play: func(s *stage) {
			var all []*client
			for range 3 {
				c := s.client()
				c.connect()
				s.settle()
				all = append(all, c)
			}
			s.note(nil, "all is quiet; now client 1 speaks")
			all[0].send("hello\n")
			all[0].recv(6)
			s.done(all[0])
		},
	},
}

// arrive is a client that is connected.
func (s *stage) arrive() *client {
	c := s.client()
	c.connect()
	s.done(c)
	return c
}

// greet is a client that has had an answer.
func (s *stage) greet(text string) *client {
	c := s.arrive()
	c.send(text)
	c.recv(len(text))
	s.done(c)
	return c
}

// closed waits until the server has closed its end too.
func (s *stage) closed(c *client) {
	s.done(c)
	i := slices.Index(s.clients, c)
	s.until("the server has closed too", func(l look) bool {
		e := l.ends[i][1]
		return !e.known || e.state == proc.Closed || e.state == proc.TimeWait
	})
}

// playQueue fills the accept queue: of a server that is busy with one client
// by design, or else of one that is held.
//
// That is all: those who did not get in send their SYN again, after a second,
// and who of them gets in then is a matter of timers.
func playQueue(s *stage) {
	s.settle()
	if s.err != nil {
		return
	}
	const clients = 5
	if limit := s.looks[0].limit; limit > clients-2 {
		s.err = fmt.Errorf("five clients do not fill an accept queue of %d; the scene queue needs a server that calls listen(2) with a backlog of 1", limit)
		return
	}
	if s.server.Spec.Limit != 1 {
		s.hold()
	}
	for range clients {
		s.client().connect()
		s.settle()
	}
}
