//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"socketlab/lab/subject"
)

// The chat programs of the tutorials that this lab grew from, acted out: an
// operator at a terminal, clients at theirs, and what the originals got wrong.

// One client and the operator; either may speak at any time. The client's
// "exit" ends it, and the server starts again at once on the same port, though
// the connection that it closed is still in TIME-WAIT.
func TestOneClientAndOperator(t *testing.T) {
	severalAtOnce(t, func(t *testing.T, model string) {
		port, err := subject.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		defer port.Release()
		addr := fmt.Sprintf("127.0.0.1:%d", port.Number)
		talk := func() {
			operator := atTerminal(t, labRun(addr, "--model="+model, "--service=talk"))
			operator.opens()
			client := atTerminal(t, exec.Command("lab", "chat", addr))
			operator.shows("client 1 is here\n")

			operator.types("who is there?\n") // before the client has said a word
			client.shows("who is there?\n")
			client.types("me\n")
			client.types("may I come in?\n") // twice in a row: these are no turns
			operator.shows("client 1 says: me\n")
			operator.shows("client 1 says: may I come in?\n")
			operator.types("yes\nand close the door\n")
			client.shows("yes\nand close the door\n")

			client.types("exit\n")
			client.shows("the server closed the connection\n")
			client.leaves(0)
			operator.shows("client 1 left\n")
			operator.types("anybody else?\n") // to nobody, and nobody minds
			operator.types("\x03")            // Ctrl-C
			operator.leaves(0)
		}
		talk()
		if !anySocket(t, addr, func(s socket) bool { return s.state == timeWait }) {
			t.Error("the connection is not in TIME-WAIT: this proves nothing about starting again")
		}
		talk()
	})
}

// Many clients: each line of the operator's goes to all of them, one that
// begins with a number to that one alone. Who said what is shown, and who left,
// however they leave; the others go on.
func TestManyClientsAndOperator(t *testing.T) {
	needs(t, "nc")
	needs(t, "socat")
	severalAtOnce(t, func(t *testing.T, model string) {
		operator := atTerminal(t, labRun("127.0.0.1:0", "--model="+model, "--service=talk"))
		addr := operator.opens()
		host, port, _ := strings.Cut(addr, ":")

		anna := atTerminal(t, exec.Command("lab", "chat", addr))
		operator.shows("client 1 is here\n")
		ben := enters(t, exec.Command("nc", "-N", host, port))
		operator.shows("client 2 is here\n")
		clara := enters(t, exec.Command("socat", "-", "TCP:"+addr))
		operator.shows("client 3 is here\n")
		david := enters(t, exec.Command("nc", host, port))
		operator.shows("client 4 is here\n")

		operator.types("hello everybody\n")
		for _, client := range []*actor{anna, ben, clara, david} {
			client.shows("hello everybody\n")
		}
		clara.types("this is Clara\n")
		operator.shows("client 3 says: this is Clara\n")
		ben.types("and I am Ben\n")
		operator.shows("client 2 says: and I am Ben\n")
		operator.types("@2 between you and me\n")
		ben.shows("between you and me\n")

		david.gets(unix.SIGKILL)
		operator.shows("client 4 left\n")
		ben.types("bye\nexit\n")
		operator.shows("client 2 says: bye\nclient 2 left\n")
		ben.finishes() // nc waits for its own end too
		ben.leaves(0)
		anna.types("\x04") // Ctrl-D
		operator.shows("client 1 left\n")
		anna.leaves(0)

		operator.types("Clara, we are alone\n")
		clara.shows("Clara, we are alone\n")
		clara.finishes()
		operator.shows("client 3 left\n")
		clara.leaves(0)

		const all, alone = "hello everybody\n", "Clara, we are alone\n"
		for _, heard := range []struct {
			client *actor
			want   string
		}{
			{ben, all + "between you and me\n"},
			{clara, all + alone},
			{david, all},
		} {
			if got := heard.client.screen.all(); got != heard.want {
				t.Errorf("%v heard %q, want %q", heard.client, got, heard.want)
			}
		}
		if text := anna.screen.all(); strings.Contains(text, "between") || strings.Contains(text, "alone") {
			t.Errorf("client 1 heard what was not for it: %q", text)
		}
		operator.types("\x03")
		operator.leaves(0)
	})
}

// One client at a time, in strict turns: the operator answers each line. The
// second client is connected and may speak, but nobody listens before the first
// has left; then nothing of what it said is lost.
func TestInTurns(t *testing.T) {
	needs(t, "nc")
	operator := atTerminal(t, labRun("127.0.0.1:0", "--model=blocking", "--service=talk", "--backlog=1"))
	addr := operator.opens()
	host, port, _ := strings.Cut(addr, ":")

	first := atTerminal(t, exec.Command("lab", "chat", "--turns", addr))
	first.shows("you speak in turns")
	first.types("what is a socket?\nand what is a port?\n") // typed ahead
	operator.shows("client 1 says: what is a socket?\n")

	second := enters(t, exec.Command("nc", "-N", host, port))
	const question = "I have a question too\n"
	second.types(question)
	eventually(t, "the second client connected, and its question unread", func() bool {
		return anySocket(t, addr, func(s socket) bool {
			return s.state == established && s.inode == 0 && s.unread == uint64(len(question))
		})
	})

	operator.types("an end of a connection\n")
	first.shows("an end of a connection\n")
	operator.shows("client 1 says: and what is a port?\n")
	operator.types("a number\n")
	first.shows("a number\n")
	first.types("thanks\n")
	operator.shows("client 1 says: thanks\n")
	if strings.Contains(operator.screen.all(), "client 2") {
		t.Errorf("client 2 was served while client 1 was there: %q", operator.screen.all())
	}
	operator.types("bye\n")
	first.shows("bye\n")
	first.types("\x04")
	first.leaves(0)

	operator.shows("client 1 left\nclient 2 is here\nclient 2 says: I have a question too\n")
	operator.types("go on\n")
	second.shows("go on\n")
	second.types("exit\n")
	operator.shows("client 2 left\n")
	second.finishes() // nc waits for its own end too
	second.leaves(0)
	if got := second.screen.all(); got != "go on\n" {
		t.Errorf("client 2 heard %q, want its own answer only", got)
	}
	operator.types("\x03")
	operator.leaves(0)
}

// A process for each client. All of them hear the operator, each exactly once,
// though children share no memory and one terminal; the child goes with its
// client, and of ten that go at once none stays behind as a zombie.
func TestProcessForEachClient(t *testing.T) {
	operator := atTerminal(t, labRun("127.0.0.1:0", "--model=process", "--service=talk"))
	addr := operator.opens()
	const n = 10
	var clients []*net.TCPConn
	for i := 1; i <= n; i++ {
		client := dial(t, addr)
		operator.shows(fmt.Sprintf("client %d is here\n", i))
		fmt.Fprintf(client, "I am number %d\n", i)
		operator.shows(fmt.Sprintf("client %d says: I am number %d\n", i, i))
		clients = append(clients, client)
		welcome := fmt.Sprintf("welcome, number %d\n", i)
		operator.types(welcome)
		for _, c := range clients {
			hears(t, c, welcome)
		}
	}
	if children := operator.children(); len(children) != n {
		t.Errorf("the server has %d children, want %d", len(children), n)
	}
	for _, c := range clients[1:] {
		c.Close()
	}
	eventually(t, "one child left, and no zombie", func() bool { return len(operator.children()) == 1 })

	// Ctrl-C means the server and its children alike, but the client is yet
	// to finish.
	operator.types("\x03")
	operator.shows("no new clients")
	operator.types("one more word?\n")
	hears(t, clients[0], "one more word?\n")
	io.WriteString(clients[0], "no\nexit\n")
	operator.shows("client 1 says: no\nclient 1 left\n")
	operator.leaves(0)
}

// A goroutine for each client is no thread for each client. And one client that
// is gone when the operator speaks to it takes nobody with it: no SIGPIPE.
func TestGoroutineForEachClient(t *testing.T) {
	operator := atTerminal(t, labRun("127.0.0.1:0", "--model=goroutine", "--service=talk"))
	addr := operator.opens()
	const n = 100
	clients := make([]*net.TCPConn, n)
	for i := range clients {
		clients[i] = dial(t, addr)
		operator.shows(" is here\n")
	}
	process, err := procfs.NewProc(operator.pid())
	if err != nil {
		t.Fatal(err)
	}
	stat, err := process.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if stat.NumThreads > n/4 || len(operator.children()) > 0 {
		t.Errorf("%d threads and %d children serve %d clients, want a few threads", stat.NumThreads, len(operator.children()), n)
	}
	for i := range n / 2 { // every second one leaves with a reset
		clients[2*i].SetLinger(0)
		clients[2*i].Close()
	}
	operator.types("who is still there?\n")
	for i := range n / 2 {
		hears(t, clients[2*i+1], "who is still there?\n")
	}
	io.WriteString(clients[n-1], "I am\n")
	operator.shows("client " + strconv.Itoa(n) + " says: I am\n")
	for i := range n / 2 {
		clients[2*i+1].Close()
	}
	eventually(t, "all have left", func() bool { return strings.Count(operator.screen.all(), " left\n") == n })
	operator.types("\x03")
	operator.leaves(0)
}
