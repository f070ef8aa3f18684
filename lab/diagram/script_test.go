package diagram

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"socketlab/lab/text"
)

// A script writes a trace, one event after the other.
type script struct {
	Trace
	now  time.Duration
	next map[int][2]uint32 // by connection: the client's and the server's next seq
	last map[string]string // by connection and end: its state
}

func scene(name, subject string, actors ...Actor) *script {
	return &script{
		Trace: Trace{
			Schema: Schema, Scene: name, Subject: subject, Rung: Namespace, Source: "probes",
			Actors: actors,
		},
		next: map[int][2]uint32{},
		last: map[string]string{},
	}
}

const server = "4711/4711"

// serving is a scene with so many clients and the server, a process.
func serving(name, subject string, n int, more ...Actor) *script {
	return scene(name, subject, slices.Concat(clients(n), []Actor{{server, "server", ServerThread}}, more)...)
}

func clients(n int) (all []Actor) {
	for i := range n {
		id := fmt.Sprintf("client %d", i+1)
		all = append(all, Actor{id, id, ClientProgram})
	}
	return append(all,
		Actor{"kernel/client", "client's kernel", ClientKernel},
		Actor{"kernel/server", "server's kernel", ServerKernel})
}

func (s *script) event(e Event) {
	s.now += 17 * time.Microsecond
	e.At = s.now
	s.Events = append(s.Events, e)
	s.Took = s.now
}

// begins is a call that lasts until returns; one that returns at once is does.
func (s *script) begins(actor string, conn int, name, args string) *Call {
	c := &Call{Actor: actor, Conn: conn, Name: name, Args: args}
	s.event(Event{Call: c})
	c.Took = s.now // until it returns, when it began
	return c
}

func (s *script) returns(c *Call, result string) {
	s.now += 11 * time.Microsecond
	c.Took, c.Result = s.now-c.Took, result
}

func (s *script) does(actor string, conn int, name, args, result string) {
	s.returns(s.begins(actor, conn, name, args), result)
}

func (s *script) sleeps(actor string, conn int, name, args string) *Call {
	c := s.begins(actor, conn, name, args)
	c.Slept = true
	return c
}

func (s *script) sends(conn int, client bool, flags, data string) {
	next := s.next[conn]
	mine, other := &next[0], &next[1]
	if !client {
		mine, other = other, mine
	}
	seg := &Segment{
		Conn: conn, FromClient: client, Flags: flags, Seq: *mine, Window: 65536 + len(s.Events),
		Len: len(data), Data: []byte(data)[:min(len(data), MaxData)],
		Inferred: s.Rung == Inferred,
	}
	if strings.Contains(flags, "ACK") {
		seg.Ack = *other
	}
	*mine += uint32(len(data))
	if strings.Contains(flags, "SYN") || strings.Contains(flags, "FIN") {
		*mine++
	}
	s.next[conn] = next
	s.event(Event{Segment: seg})
}

func (s *script) state(conn int, client bool, to string) {
	end := fmt.Sprint(conn, client)
	s.event(Event{State: &State{conn, client, s.last[end], to, len(s.Events)%2 == 0}})
	s.last[end] = to
}

func (s *script) unread(conn, n int) { s.event(Event{Queue: &Queue{Conn: conn, Length: n}}) }

// rest ends a step of the scene.
func (s *script) rest() { s.Steps = append(s.Steps, s.now) }

func (s *script) note(actor, text string) { s.event(Event{Note: &Note{actor, text}}) }

func (s *script) life(actor, event, by, how string) {
	s.event(Event{Life: &Life{actor, event, by, how}})
}

// connects opens a connection, up to the client's ACK; queue, if any, is how
// many wait to be accepted then.
func (s *script) connects(conn int, queue ...int) {
	client := fmt.Sprintf("client %d", conn)
	s.does(client, 0, "socket", "", "3")
	c := s.sleeps(client, conn, "connect", "3, 127.0.0.1:7000")
	s.sends(conn, true, "SYN", "")
	s.state(conn, true, "SYN-SENT")
	s.state(conn, false, "SYN-RECEIVED")
	s.sends(conn, false, "SYN+ACK", "")
	s.state(conn, true, "ESTABLISHED")
	s.sends(conn, true, "ACK", "")
	s.state(conn, false, "ESTABLISHED")
	for _, n := range queue {
		s.event(Event{Queue: &Queue{Length: n, Limit: 2}})
	}
	s.returns(c, "0")
}

func (s *script) says(conn int, words string) {
	c := s.begins(fmt.Sprintf("client %d", conn), conn, "write", fmt.Sprintf("3, %d bytes", len(words)))
	s.sends(conn, true, "PSH+ACK", words)
	s.returns(c, text.Count(len(words), "byte", "bytes"))
}

// accepts is a server that sleeps until a connection opens.
func (s *script) accepts(conn int) {
	accept := s.sleeps(server, conn, "accept", "3")
	s.rest()
	s.connects(conn)
	s.returns(accept, "4")
}

// leaves is the client's FIN.
func (s *script) leaves(conn int) {
	s.sends(conn, true, "FIN+ACK", "")
	s.state(conn, true, "FIN-WAIT-1")
	s.state(conn, false, "CLOSE-WAIT")
}

// parts is the server's FIN in answer, which ends the connection.
func (s *script) parts(conn int) {
	s.sends(conn, false, "FIN+ACK", "")
	s.state(conn, false, "LAST-ACK")
	s.state(conn, true, "TIME-WAIT")
	s.sends(conn, true, "ACK", "")
	s.state(conn, false, "CLOSED")
}
