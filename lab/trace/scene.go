package trace

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
	"socketlab/lab/text"
)

// A Scene is a short conversation that shows one thing.
type Scene struct {
	Name    string
	Shows   string
	Lesson  string                       // the title of its picture
	learn   func(t diagram.Trace) string // the lesson, where servers differ
	About   string                       // what its picture draws in full: diagram.Segments, …
	Service string                       // what the server must serve: "echo" or "talk"
	Backlog int                          // what it must give to listen(2); 0: anything
	TLS     bool                         // it speaks TLS
	Mutual  bool                         // and asks the client for a certificate
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
		Shows:  "the three-way handshake, and where socket, bind, listen, connect and accept happen",
		Lesson: "The kernels open the connection, accept takes it out of a queue",
		About:  diagram.Opening,
		play: func(s *stage) {
			s.arrive()
		},
	},
	{
		Name: "echo", Service: "echo",
		Shows:  "a message and its answer: sequence numbers and acknowledgements",
		Lesson: "Each byte has a number, and each number is acknowledged",
		About:  diagram.Segments,
		play: func(s *stage) {
			s.greet("hello\n")
		},
	},
	{
		Name: "close-client", Service: "echo",
		Shows:  "the client closes first, and goes through FIN-WAIT to TIME-WAIT",
		Lesson: "Who closes first ends in TIME-WAIT: here the client",
		About:  diagram.Segments,
		play: func(s *stage) {
			c := s.greet("hello\n")
			c.close()
			s.closed(c)
		},
	},
	{
		Name: "close-server", Service: "talk",
		Shows:  `the server closes first, at the line "exit", and TIME-WAIT is on its side`,
		Lesson: "Who closes first ends in TIME-WAIT: here the server",
		About:  diagram.Segments,
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
		Shows:  "closing in four segments: the kernel acknowledges the FIN, the program closes later",
		Lesson: "Four segments close: the kernel acknowledges FIN before the program closes",
		About:  diagram.Segments,
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
		Shows:  "closing in three segments: who closes at once answers FIN with FIN+ACK",
		Lesson: "Three segments close: the ACK travels with the second FIN",
		About:  diagram.Segments,
		play: func(s *stage) {
			c := s.arrive()
			c.close()
			s.closed(c)
		},
	},
	{
		Name: "half-close", Service: "echo",
		Shows:  "the client finishes sending, and still receives what it is owed",
		Lesson: "FIN ends one direction: the client still receives its answer",
		About:  diagram.Segments,
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
		Shows:  "the client aborts the connection: one RST, and no TIME-WAIT",
		Lesson: "RST ends both directions at once, and nobody waits in TIME-WAIT",
		About:  diagram.Segments,
		play: func(s *stage) {
			c := s.greet("hello\n")
			c.reset()
			s.closed(c)
		},
	},
	{
		Name: "unread", Service: "echo",
		Shows:  "closing while bytes are unread sends RST instead of FIN",
		Lesson: "Who closes with unread bytes sends RST instead of FIN",
		About:  diagram.Segments,
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
		learn: whoIsServed,
		About: diagram.Waiting,
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
		Shows:  "a backlog of 1 and five clients: connected but not accepted, or a SYN dropped, and sent again",
		Lesson: "Connected is not accepted yet, and a full queue drops the SYN",
		About:  diagram.Queues,
		play:   playQueue,
	},
	{
		Name: "refused", Service: "echo",
		Shows:  "nobody listens there: the kernel answers SYN with RST, and connect fails",
		Lesson: "Nobody listens there: the answer to SYN is RST, and connect fails at once",
		About:  diagram.Opening,
		play: func(s *stage) {
			s.settle()
			c := s.client()
			if !c.addr.Addr().Is4() || s.err != nil {
				s.err = cmp.Or(s.err, errors.New("the scene refused is for servers that listen on 127.0.0.1"))
				return
			}
			c.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 2}), c.addr.Port())
			c.bound = true
			s.note(c, "takes another address, where nobody listens")
			c.connect()
			s.done(c)
		},
	},
	{
		Name: "split-and-merged", Service: "echo",
		Shows:  "bytes, not messages: two sends become one read, and one write becomes two recvs",
		Lesson: "TCP carries bytes, not messages: two sends, one read; one write, two recvs",
		About:  diagram.Segments,
		play: func(s *stage) {
			c := s.arrive()
			s.hold()
			c.send("hel")
			c.send("lo\n")
			s.done(c)
			s.release()
			s.until("the answer is there", func(l look) bool { return !l.ends[0][0].known || l.ends[0][0].unread == 6 })
			c.recvAtMost(3)
			c.recvAtMost(3)
			s.done(c)
		},
	},
	{
		Name: "nagle", Service: "echo",
		Shows:  "two small sends: the second waits for a late ACK; with TCP_NODELAY it does not",
		Lesson: "Nagle holds the second small segment until the first is acknowledged",
		About:  diagram.Segments,
		play: func(s *stage) {
			c := s.arrive()
			pair := func() { // a dialogue, in which the server's kernel delays its ACKs, and no pause
				c.send("hello\n")
				c.recv(6)
				c.then(s.holdAtRest)
				c.send("ab")
				c.send("cd\n")
				s.done(c)
				s.release()
				c.recv(5)
				s.done(c)
			}
			pair()
			c.noDelay()
			pair()
		},
	},
	{
		Name: "zero-window", Service: "echo",
		Shows:  "the client does not read: its kernel says window 0, and the server's kernel stops",
		Lesson: "Window 0: who does not read stops the sender, and the answer waits",
		About:  diagram.Segments,
		play: func(s *stage) {
			c := s.client()
			c.room = 2048
			c.connect()
			s.done(c)
			c.sendMany(4000)
			s.stops("the answer waits at both ends", func(l look) bool { return l.ends[0][0].unread > 0 && l.ends[0][1].unsent > 0 })
			s.note(c, "reads at last")
			c.recv(4000)
			s.done(c)
		},
	},
	{
		Name: "zombies", Service: "echo",
		Shows: "children that end while their parent is busy: zombies, until it collects them",
		learn: howManyZombies,
		About: diagram.Waiting,
		play: func(s *stage) {
			var all []*client
			for range 3 {
				all = append(all, s.arrive())
				if s.server.Spec.Limit == 1 {
					break
				}
			}
			s.note(nil, "the server is held (SIGSTOP), but not its children")
			s.holdAlone()
			for _, c := range all {
				c.close()
				s.done(c)
			}
			s.release()
			for _, c := range all {
				s.closed(c)
			}
		},
	},
	{
		Name: "restart", Service: "talk",
		Shows:  "a server closes first, ends, and is started again: its port is in TIME-WAIT",
		Lesson: "TIME-WAIT keeps the port: bind fails, until SO_REUSEADDR is set",
		About:  diagram.Segments,
		play: func(s *stage) {
			c := s.arrive()
			c.send("exit\n")
			c.end()
			s.done(c)
			c.close()
			s.closed(c)
			s.note(nil, "the server ends (SIGTERM); another one wants its port at once")
			s.endServer()
			again := s.program("new server")
			again.serve()
			for !again.idle() && s.pause() {
			}
		},
	},
	{
		Name: "talk", Service: "talk",
		Shows:  "both ends speak: what the client says, what the operator answers",
		Lesson: "The server waits for two things: its client and its operator",
		About:  diagram.Segments,
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
		Shows:  "what the server starts for a client, and what becomes of it: spawn, serve, exit, reap",
		Lesson: "What the server starts for a client ends with the client",
		About:  diagram.Waiting,
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
		learn: whoWakes,
		About: diagram.Waiting,
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

// whoIsServed is what two clients learn: client 2 has its answer before client 1
// closes, or it has not.
func whoIsServed(t diagram.Trace) string {
	for _, e := range t.Events {
		switch c := e.Call; {
		case c != nil && c.Actor == clientName(1) && c.Name == "close":
			return "Client 2 is connected, and nobody reads it"
		case e.Segment != nil && e.Segment.Conn == 2 && !e.Segment.FromClient && e.Segment.Len > 0:
			return "Client 2 is answered while client 1 thinks"
		}
	}
	return ""
}

// whoWakes is how many threads of the server one message wakes up.
func whoWakes(t diagram.Trace) string {
	woken := map[string]bool{}
	var from time.Duration
	for _, e := range t.Events {
		if e.Note != nil {
			from = e.At
		}
	}
	for _, e := range t.Events {
		if c := e.Call; c != nil && e.At+c.Took > from && c.Result != "" && !strings.HasPrefix(c.Actor, "client") {
			woken[c.Actor] = true
		}
	}
	if len(woken) == 1 {
		return "One message wakes one thread, all others sleep on"
	}
	return fmt.Sprintf("One message wakes %d threads", len(woken))
}

// howManyZombies is how many children had ended at once, and were not collected.
func howManyZombies(t diagram.Trace) string {
	most, now := 0, 0
	for _, e := range t.Events {
		switch {
		case e.Life == nil:
		case e.Life.Event == "ends":
			now++
			most = max(most, now)
		case e.Life.Event == "reaped":
			now--
		}
	}
	if most == 0 {
		return "No child, no zombie: no process of this server ends with its client"
	}
	return text.Count(most, "child has ended and is a zombie", "children have ended and are zombies") + " until the parent waits"
}

// lesson is the title of what was recorded.
func (s Scene) lesson(t diagram.Trace) string {
	if s.learn != nil {
		return s.learn(t)
	}
	return s.Lesson
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
// by design, or else of one that is held. Those who did not get in send their
// SYN again after a second. By then there is room for both.
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
	single := s.server.Spec.Limit == 1
	if !single {
		s.hold()
	}
	for range clients {
		s.client().connect()
		s.settle()
	}
	if single {
		for _, c := range s.clients[:2] {
			c.close()
			s.closed(c)
		}
	} else {
		s.release()
		s.settle()
	}
	s.note(nil, "there is room now; after a second, who was dropped sends SYN again")
	s.done(s.clients...)
}
