package diagram

import (
	"fmt"
	"strings"
)

// The traces of the tests are written by hand: nothing of them was measured,
// and nobody but the tests sees them.

func opening() *script {
	s := serving("open", "blocking", 1)
	s.does(server, 0, "socket", "", "3")
	s.does(server, 0, "bind", "3, 127.0.0.1:7000", "0")
	s.does(server, 0, "listen", "3, 1", "0")
	s.accepts(1)
	s.note("", "both ends may speak now")
	return s
}

func echoing() *script {
	s := serving("echo", "blocking", 1)
	s.accepts(1)
	read := s.sleeps(server, 1, "read", "4")
	s.rest()
	s.says(1, "hello\n")
	s.unread(1, 6)
	answer := s.sleeps("client 1", 1, "read", "3")
	s.returns(read, "6 bytes")
	s.unread(1, 0)
	write := s.begins(server, 1, "write", `4, "hello\n"`)
	s.sends(1, false, "PSH+ACK", "hello\n")
	s.sends(1, true, "ACK", "")
	s.returns(write, "6 bytes")
	s.sleeps(server, 1, "read", "4")
	s.returns(answer, "6 bytes")
	return s
}

func twoClients() *script {
	s := serving("two-clients", "blocking", 2)
	s.accepts(1)
	read := s.sleeps(server, 1, "read", "4")
	s.note("client 1", "thinks")
	s.connects(2, 1)
	s.says(2, "hello\n")
	s.unread(2, 6)
	answer := s.sleeps("client 2", 2, "read", "3")
	s.rest()
	shut := s.begins("client 1", 1, "close", "3")
	s.leaves(1)
	s.returns(shut, "0")
	s.returns(read, "0 bytes")
	done := s.begins(server, 1, "close", "4")
	s.parts(1)
	s.returns(done, "0")
	s.does(server, 2, "accept", "3", "4")
	s.event(Event{Queue: &Queue{Limit: 2}})
	s.does(server, 2, "read", "4", "6 bytes")
	s.unread(2, 0)
	write := s.begins(server, 2, "write", "4, 6 bytes")
	s.sends(2, false, "PSH+ACK", "hello\n")
	s.returns(write, "6 bytes")
	s.returns(answer, "6 bytes")
	s.sleeps(server, 2, "read", "4")
	return s
}

func closing() *script {
	s := serving("close-late", "blocking", 1)
	s.next[1] = [2]uint32{1, 1}
	read := s.sleeps(server, 1, "read", "4")
	s.does("client 1", 1, "shutdown", "3, SHUT_WR", "0")
	s.leaves(1)
	end := s.sleeps("client 1", 1, "read", "3")
	s.sends(1, false, "ACK", "")
	s.state(1, true, "FIN-WAIT-2")
	s.returns(read, "0 bytes")
	s.note(server, "takes its time")
	c := s.begins(server, 1, "close", "4")
	s.parts(1)
	s.returns(c, "0")
	s.returns(end, "0 bytes")
	return s
}

func resetting() *script {
	s := serving("unread", "./myserver {port}", 1)
	s.Rung, s.Source = Captured, "strace"
	s.next[1] = [2]uint32{1, 1}
	s.says(1, "hello\n")
	s.unread(1, 6)
	read := s.sleeps("client 1", 1, "read", "3")
	c := s.begins(server, 1, "close", "4")
	s.sends(1, false, "RST+ACK", "")
	s.state(1, false, "CLOSED")
	s.state(1, true, "CLOSED")
	s.returns(c, "0")
	s.returns(read, "ECONNRESET")
	return s
}

func family() *script {
	s := serving("process-life", "process", 2,
		Actor{"4720/4720", "child 4720", ServerThread},
		Actor{"4721/4721", "child 4721", ServerThread})
	children := []string{"4720/4720", "4721/4721"}
	var reads []*Call
	accept := s.sleeps(server, 1, "accept", "3")
	for i, child := range children {
		s.rest()
		s.connects(i + 1)
		s.returns(accept, "5")
		fork := s.begins(server, 0, "fork", "")
		s.life(child, "begins", server, "")
		s.returns(fork, strings.Split(child, "/")[0])
		s.does(server, i+1, "close", "5", "0")
		reads = append(reads, s.sleeps(child, i+1, "read", "3"))
		accept = s.sleeps(server, 0, "accept", "3")
	}
	for i, child := range children {
		s.rest()
		s.does(fmt.Sprintf("client %d", i+1), i+1, "close", "3", "0")
		s.sends(i+1, true, "FIN+ACK", "")
		s.returns(reads[i], "0 bytes")
		s.life(child, "ends", "", "exit code 0")
		s.sends(i+1, false, "FIN+ACK", "")
		s.sends(i+1, true, "ACK", "")
		s.life(child, "reaped", server, "")
	}
	return s
}

func inferring() *script {
	s := scene("open", "python3 server.py {port}", append(clients(1), Actor{server, "python3", ServerThread})...)
	s.Rung, s.Source = Inferred, "proc"
	s.Missing = []string{
		"the segments: no right to capture and no namespace of its own; setcap cap_net_raw+ep bin/lab, or run as root",
		"the calls: strace is not installed; apt-get install strace",
	}
	accept := s.sleeps(server, 1, "accept4", "3")
	s.connects(1)
	s.returns(accept, "4")
	return s
}

func crowd() *script {
	actors := append(clients(5), Actor{server, "server", ServerThread})
	for i := range 4 {
		id := fmt.Sprintf("4711/%d", 4712+i)
		actors = append(actors, Actor{id, fmt.Sprintf("thread %d", 4712+i), ServerThread})
	}
	s := scene("queue", "thread", actors...)
	accept := s.sleeps(server, 1, "accept", "3")
	for i := range 5 {
		if i == 4 {
			s.connects(5, 1)
			break
		}
		s.connects(i + 1)
		thread := fmt.Sprintf("4711/%d", 4712+i)
		s.returns(accept, fmt.Sprint(4+i))
		s.life(thread, "begins", server, "")
		s.sleeps(thread, i+1, "read", fmt.Sprint(4+i))
		accept = s.sleeps(server, i+2, "accept", "3")
	}
	s.says(3, "hello\n")
	return s
}

func long() *script {
	s := serving("echo", "select", 1)
	s.next[1] = [2]uint32{1, 1}
	s.sleeps(server, 0, "select", "70, {"+strings.Repeat("3 5 7 ", 20)+"}, {}, forever")
	s.says(1, strings.Repeat("The quick brown fox jumps over the lazy dog. ", 2000))
	s.unread(1, 65483)
	s.sends(1, false, "ACK", "")
	s.Events[len(s.Events)-1].Segment.Retransmit = true
	s.note("", strings.Repeat("a word of the scene's that takes more room than there is ", 4))
	return s
}

func hostile() *script {
	evil := "\x1b[31m</text><script>alert('1')</script>\"; %%{init}%% #x; \u202eltr שלום 漢字\x00\xff$$x$$ end"
	s := scene("<b>&amp;"+evil, evil, append(clients(1), Actor{server, evil, ServerThread})...)
	s.Missing = []string{evil + "\nsecond line"}
	s.next[1] = [2]uint32{1, 1}
	c := s.begins(server, 1, "read<"+evil, evil)
	s.sends(1, true, "PSH+ACK", evil)
	s.state(1, true, evil)
	s.returns(c, evil)
	s.note(server, evil)
	s.life(server, "ends", "", evil)
	s.note("", "end")
	return s
}

// pool is a server with workers started beforehand, of whom these are woken, in
// this order.
func pool(woken ...int) *script {
	s := serving("two-clients", "prefork", 2)
	id := func(worker int) string { return fmt.Sprintf("%d/%d", 4730+worker, 4730+worker) }
	accepts := make([]*Call, 5)
	for worker := range accepts {
		s.Actors = append(s.Actors, Actor{id(worker), fmt.Sprint("child ", 4730+worker), ServerThread})
		fork := s.begins(server, 0, "fork", "")
		s.life(id(worker), "begins", server, "")
		s.returns(fork, fmt.Sprint(4730+worker))
	}
	s.sleeps(server, 0, "waitpid", "-1")
	for _, worker := range append(woken, 0, 1, 2, 3, 4) { // whoever comes first is woken first
		if accepts[worker] == nil {
			accepts[worker] = s.sleeps(id(worker), 0, "accept", "3")
		}
	}
	for i, worker := range woken {
		s.rest()
		s.connects(i + 1)
		accepts[worker].Conn = i + 1
		s.returns(accepts[worker], "4")
		s.sleeps(id(worker), i+1, "read", "4")
	}
	return s
}

// many has more columns than any terminal.
func many() *script {
	actors := append(clients(40), Actor{server, "server", ServerThread})
	for i := range 40 {
		actors = append(actors, Actor{fmt.Sprintf("4711/%d", i), fmt.Sprintf("thread %d", i), ServerThread})
	}
	s := scene("many", "thread", actors...)
	for i := range 40 {
		s.connects(i + 1)
		s.life(fmt.Sprintf("4711/%d", i), "begins", server, "")
		s.does(fmt.Sprintf("4711/%d", i), i+1, "read", "4", "0 bytes")
	}
	return s
}

func nothing() *script { return scene("none", "poll") }

var traces = map[string]func() *script{
	"open": opening, "echo": echoing, "two-clients": twoClients, "close-late": closing,
	"unread": resetting, "process-life": family, "inferred": inferring, "crowd": crowd,
	"pool": func() *script { return pool(3, 1) }, "long": long, "hostile": hostile, "many": many, "nothing": nothing,
}
