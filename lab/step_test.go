//go:build linux

package main

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"socketlab/lab/probe"
	"socketlab/models/all"
	"socketlab/models/sys"
)

// stepping is a server at a terminal, before its first call.
func stepping(t *testing.T, args ...string) (server *actor, addr string) {
	t.Helper()
	server = atTerminal(t, labRun("127.0.0.1:0", append(args, "--step")...))
	return server, server.opens()
}

const question = "quit: q"

// server is the process that the stepper has started.
func (a *actor) server() procfs.ProcStat {
	a.t.Helper()
	children := a.children()
	if len(children) != 1 {
		a.t.Fatalf("the stepper has %d children, want the server alone", len(children))
	}
	return children[0]
}

// workers are the server's own children.
func (a *actor) workers() []procfs.ProcStat {
	a.t.Helper()
	server := a.server().PID
	return processes(a.t, func(_ procfs.Proc, stat procfs.ProcStat) bool { return stat.PPID == server })
}

// Enter by Enter a client is accepted, read and answered, on every page. The
// person sees each of these calls, where it stands, and what it returned.
func TestStepByEnter(t *testing.T) {
	everyModel(t, func(t *testing.T, model string) {
		server, addr := stepping(t, "--model="+model)
		client := dial(t, addr)
		client.Write([]byte("hello\n"))
		answered := make(chan bool)
		go func() {
			defer close(answered)
			io.ReadFull(client, make([]byte, 6))
		}()
		if steps := server.entersUntil(answered); steps < 3 {
			t.Errorf("it took %d steps, want accept, read and write at least", steps)
		}
		all := server.screen.all()
		wants := []string{
			"before the page: socket() = ", "listen(", // what led there
			" of 21\n", // the queue
			"\n > accept(", "client 1 from " + client.LocalAddr().String() + "\n",
			"\n > read(", " = 6, \"hello\\n\"\n", // at once, or after it slept
			"\n > write(",
		}
		if model == "iouring" { // all three in one call
			wants = append(wants[:3],
				"\n > io_uring_enter(", "{accept ", "client 1 from "+client.LocalAddr().String()+"\n",
				"client 1 (", "read ", " = 6}\n", "{write ")
		}
		for _, want := range wants {
			_, rest, found := strings.Cut(all, want)
			if !found {
				t.Fatalf("the screen does not show %q in its place:\n%s", want, server.screen.all())
			}
			all = rest
		}
		source := pageOf(t, model)
		for _, line := range quotedLines(server.screen.all()) {
			if !strings.Contains(source, line) {
				t.Errorf("this line is not on the page: %q", line)
			}
		}
		fits(t, server)
	})
}

// entersUntil types Enter at each question.
func (a *actor) entersUntil(enough <-chan bool) (steps int) {
	a.t.Helper()
	late := time.After(patience)
	for {
		_, more, asked := a.screen.find(question)
		if asked {
			a.types("\n")
			steps++
			continue
		}
		select {
		case <-enough:
			return steps
		case <-more:
		case <-late:
			a.t.Fatalf("after %d steps it printed %q", steps, a.screen.all())
		}
	}
}

// pageOf is the text of a model's page.
func pageOf(t *testing.T, model string) string {
	t.Helper()
	m, err := all.Named(model)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../" + m.Page())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// quotedLines are the lines of the page that the screen shows.
func quotedLines(screen string) (lines []string) {
	for line := range strings.Lines(screen) {
		if text, found := strings.CutPrefix(line, "   | "); found {
			text, _, _ = strings.Cut(strings.TrimSuffix(text, "\n"), "   (a deferred call)")
			lines = append(lines, strings.TrimSuffix(text, "…"))
		}
	}
	return lines
}

// fits checks that nothing on the screen is wider than 80 columns, or hidden
// from somebody without colours.
func fits(t *testing.T, a *actor) {
	t.Helper()
	_, all, _ := strings.Cut(a.screen.all(), "before the page: ")
	if strings.Contains(all, "\x1b") {
		t.Errorf("there are escape sequences in %q", all)
	}
	for line := range strings.Lines(all) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestStepMany(t *testing.T) {
	server, addr := stepping(t, "--model=select")
	server.shows(question)
	client := dial(t, addr)
	client.Write([]byte("hello\n"))
	server.types("5\n")
	server.shows("accept(")
	server.shows("EAGAIN")
	server.shows("read(")
	server.shows("\n > write(")
	server.shows(question)
	server.types("\n")
	hears(t, client, "hello\n")
	server.shows("\n > select(")
	server.types("hm?\n")
	server.shows("hm?? next: Enter")
}

// To the next sleep: everything that one message causes, and no more.
func TestStepToSleep(t *testing.T) {
	server, addr := stepping(t, "--model=poll")
	server.shows(question)
	server.types("w\n")
	server.shows(" = asleep")
	client := dial(t, addr)
	server.shows("woke after ")
	server.shows("a client comes")
	server.shows("\n > accept(")
	server.shows(question)
	server.types("\n")
	server.shows("\n > accept(")
	server.shows(question)
	server.types("\n")
	server.shows("\n > poll(")
	client.Write([]byte("hello\n"))
	server.types("w\n")
	server.shows("read(")
	server.shows("write(")
	server.shows("asleep, until one of them is ready\n")
	hears(t, client, "hello\n")
	client.Write([]byte("more\n"))
	server.shows("woke after ")
	server.shows("client 1\n")
	server.shows("\n > read(")
}

func TestStepRunsOn(t *testing.T) {
	everyModel(t, func(t *testing.T, model string) {
		server, addr := stepping(t, "--model="+model)
		server.shows(question)
		server.types("r\n")
		server.shows("Enter: stop at the next call\n")
		client := dial(t, addr)
		echoes(t, client, "hello\n")
		echoes(t, client, "again\n")
		server.types("\n")
		server.shows("asking again, at the next call\n")
		client.Write([]byte("stop\n"))
		server.shows(question)
		if strings.Contains(server.screen.all(), "hello") {
			t.Errorf("it told what it did while it was to run:\n%s", server.screen.all())
		}
		server.types("r\n")
		hears(t, client, "stop\n")
	})
}

// However the server is told to stop, it stops as ever: what is held is let go.
func TestStepStops(t *testing.T) {
	for how, stop := range map[string]func(server *actor){
		"q":       func(server *actor) { server.types("q\n") },
		"Ctrl-C":  func(server *actor) { server.types("\x03") },
		"SIGTERM": func(server *actor) { server.gets(unix.SIGTERM) },
	} {
		t.Run(how, func(t *testing.T) {
			everyModel(t, func(t *testing.T, model string) {
				server, addr := stepping(t, "--model="+model, "--grace=150ms")
				server.shows(question)
				dial(t, addr)
				server.types("\n")
				server.shows("\n = ")
				server.shows(question)
				all := append(server.workers(), server.server())
				stop(server)
				server.leaves(0)
				gone(t, all)
			})
		})
	}
}

// Nobody is at the keyboard any more: the server runs.
func TestStepEndOfInput(t *testing.T) {
	everyModel(t, func(t *testing.T, model string) {
		server := enters(t, labRun("127.0.0.1:0", "--step", "--model="+model))
		addr := server.opens()
		server.notesThat(question)
		client := dial(t, addr)
		client.Write([]byte("hello\n"))
		server.finishes()
		hears(t, client, "hello\n")
		echoes(t, client, "again\n")
		server.gets(unix.SIGINT)
		client.CloseWrite()
		server.leaves(0)
	})
}

// A child's calls are held as the parent's are, and each question says whose.
func TestStepChildren(t *testing.T) {
	server, addr := stepping(t, "--model=process")
	server.shows(question)
	client := dial(t, addr)
	client.Write([]byte("hello\n"))
	server.types("\n")
	server.shows("\n > fork()")
	server.types("\n")
	server.shows(" = pid ")
	for asked := ""; !strings.Contains(asked, "\n process, child 1  models/process/process.go:"); {
		asked = server.shows(question)
		if !strings.Contains(asked, "child 1") {
			server.types("\n")
		}
	}
	children := server.workers()
	if len(children) != 1 {
		t.Fatalf("there are %d children, want 1", len(children))
	}
	server.types("r\n")
	hears(t, client, "hello\n")
	client.CloseWrite()
	hears(t, client, "")
	gone(t, children)
}

// The operator's words and the steps come from one keyboard.
func TestStepTalk(t *testing.T) {
	everyModel(t, func(t *testing.T, model string) {
		server, addr := stepping(t, "--model="+model, "--service=talk")
		server.shows("say: >hello\n")
		client := dial(t, addr)
		server.types("r\n")
		server.shows("client 1 is here\n")
		client.Write([]byte("good day\n"))
		server.shows("client 1 says: good day\n")
		server.types("> and to you\n")
		hears(t, client, "and to you\n")
		server.types(">exit is what you say\n")
		if oneAtATime(t, model) { // in turns
			client.Write([]byte("go on\n"))
		}
		hears(t, client, "exit is what you say\n")
		fits(t, server)
	})
}

// A server with one client at a time: the person sees who waits where.
func TestStepSaysWhoWaits(t *testing.T) {
	server, addr := stepping(t, "--model=blocking")
	server.shows(question)
	first := dial(t, addr)
	server.types("w\n")
	server.shows("until client 1 speaks")
	dial(t, addr).Write([]byte("hello\n"))
	eventually(t, "client 2 has come and spoken", func() bool {
		server.types("\n")
		return strings.Contains(server.shows("one more client:  lab chat "+addr), "a client waits in the queue, sent 6 bytes")
	})
	all := server.screen.all()
	for _, want := range []string{"nothing to do: server sleeps in read(", ", until client 1 speaks\n   client 1 (", ") idle · a client waits"} {
		if !strings.Contains(all, want) {
			t.Errorf("the screen does not show %q: %s", want, all)
		}
	}
	first.Write([]byte("go on\n"))
	server.shows("woke after ")
	fits(t, server)
}

// What was typed before the server listens is for when it does; an end of input
// then is one too; and a line may have any length.
func TestStepInputAtOnce(t *testing.T) {
	cmd := labRun("127.0.0.1:0", "--step", "--model=select")
	cmd.Stdin = strings.NewReader("\n\n" + strings.Repeat("x", 100_000) + "\n")
	screen := newScreen()
	cmd.Stderr = screen
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(unix.SIGTERM)
		cmd.Wait()
	}()
	for _, want := range []string{" on ", "\n > select(", "…? next: Enter"} {
		eventually(t, "the screen shows "+want, func() bool { return strings.Contains(screen.all(), want) })
	}
	if strings.Contains(screen.all(), "invalid") || strings.Contains(screen.all(), "too long") {
		t.Errorf("it prints %q", screen.all())
	}
}

// Whatever ends the stepper, its server does not stay.
func TestStepperIsKilled(t *testing.T) {
	server, addr := stepping(t, "--model=process", "--grace=100ms")
	server.shows(question)
	dial(t, addr)
	all := append(server.workers(), server.server())
	server.cmd.Process.Kill()
	gone(t, all)
}

// A watcher that goes away, in whatever way, takes nothing with it: calls that
// it holds are made, and go on unreported.
func TestWatcherGoesAway(t *testing.T) {
	everyModel(t, func(t *testing.T, model string) {
		held := make(chan probe.Report, 1000)
		watcher, err := probe.NewWatcher(true, func(r probe.Report) {
			if r.Phase == sys.Before {
				held <- r
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		cmd := labRun("127.0.0.1:0", "--model="+model, "--grace=100ms")
		cmd.Env = append(os.Environ(), watcher.Env())
		server := enters(t, cmd)
		var names []string
		for !slices.Contains(names, "listen") {
			r := <-held
			names = append(names, r.Name)
			watcher.Release(r.Call)
		}
		addr := server.opens()
		client := dial(t, addr)
		client.Write([]byte("hello\n"))
		if r := <-held; !strings.HasPrefix(r.Page, "models/") {
			t.Errorf("%+v is held, want a call of the page", r)
		}
		watcher.Close()
		hears(t, client, "hello\n")
		client.Close() // blocking has no time for two
		echoes(t, dial(t, addr), "somebody else\n")
		server.gets(unix.SIGTERM)
		server.leaves(0)
	})
}
