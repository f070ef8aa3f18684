package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"socketlab/lab/subject"
)

// A streamed stream is one that a test runs and looks at.
type streamed struct {
	*Stream
	stop context.CancelFunc
	done chan error

	mu  sync.Mutex // guards what follows
	all []Event
}

// streams opens a stream of models, or of other roles, and runs it.
func streams(t *testing.T, o StreamOptions, servers ...subject.Spec) *streamed {
	t.Helper()
	seeing(t)
	s, err := Open(t.Context(), servers, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	st := &streamed{Stream: s, stop: stop, done: make(chan error, 1)}
	go func() {
		st.done <- s.Run(ctx, func(events []Event) error {
			st.mu.Lock()
			defer st.mu.Unlock()
			st.all = append(st.all, events...)
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		<-st.done
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// tells waits for an event, and returns it.
func (s *streamed) tells(t *testing.T, what string, is func(Event) bool) (found Event) {
	t.Helper()
	within(t, what, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		i := slices.IndexFunc(s.all, is)
		if i >= 0 {
			found = s.all[i]
		}
		return i >= 0
	})
	return found
}

func (s *streamed) events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

func (s *streamed) does(t *testing.T, client int, do, data string) {
	t.Helper()
	if err := s.Do(Action{Client: client, Do: do, Data: data}); err != nil {
		t.Fatal(err)
	}
}

func watchedModel(model string) subject.Spec {
	scene, _ := Find("echo")
	server := serverOf(model, scene)
	server.Command[1] = "watched"
	return server
}

func received(server, client string, bytes string) func(Event) bool {
	return func(e Event) bool {
		return e.Server == server && e.Call != nil && e.Call.Actor == client && e.Call.Name == "recv" && e.Call.Phase == Returns && e.Call.Result == bytes
	}
}

// Two servers get the same clients: of the one that serves one at a time, the
// second client waits. Each event is as the schema says, in order, and a call is
// told when it begins, falls asleep and returns.
func TestStream(t *testing.T) {
	s := streams(t, StreamOptions{}, watchedModel("blocking"), watchedModel("select"))
	s.does(t, 1, Connect, "")
	s.does(t, 1, Send, "hello\n")
	for _, server := range []string{"blocking", "select"} {
		s.tells(t, "client 1 is answered by "+server, received(server, "client 1", "6 bytes"))
	}
	s.does(t, 2, Connect, "")
	s.does(t, 2, Send, "and me?\n")
	s.tells(t, "client 2 is answered by select", received("select", "client 2", "8 bytes"))
	s.tells(t, "client 2 waits in the accept queue of blocking", func(e Event) bool {
		return e.Server == "blocking" && e.Queue != nil && e.Queue.Conn == 0 && e.Queue.Length == 1
	})
	s.tells(t, "what client 2 sent waits", func(e Event) bool {
		return e.Server == "blocking" && e.Queue != nil && e.Queue.Conn == 2 && e.Queue.Length == 8 && e.Action == 4
	})
	s.does(t, 1, Leave, "")
	s.tells(t, "client 2 is answered by blocking", received("blocking", "client 2", "8 bytes"))
	s.does(t, 2, HalfClose, "")
	s.does(t, 3, Connect, "")
	s.does(t, 3, Reset, "")
	s.tells(t, "a RST", func(e Event) bool { return e.Segment != nil && strings.Contains(e.Segment.Flags, "RST") })
	s.tells(t, "blocking sleeps in read", func(e Event) bool {
		return e.Server == "blocking" && e.Call != nil && e.Call.Name == "read" && e.Call.Phase == Sleeps
	})
	s.Servers()[1].Signal(9)
	s.tells(t, "the end of select", func(e Event) bool { return e.Server == "select" && e.End != nil })
	holdToSchema(t, s.events())
	inPhases(t, s.events())
}

// holdToSchema holds events to the schema, to their order, and to what has to
// come first.
func holdToSchema(t *testing.T, events []Event) {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	schema, err := compiler.Compile("../../docs/schema/stream-1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	started, named := map[string]bool{}, map[string]bool{}
	var last time.Duration
	for _, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		document, _ := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if e.At < last {
			t.Errorf("%s comes after %v", text, last)
		}
		last = e.At
		started[e.Server] = started[e.Server] || e.Start != nil
		if e.Actor != nil {
			named[e.Server+" "+e.Actor.ID] = true
		}
		if e.Call != nil && !named[e.Server+" "+e.Call.Actor] {
			t.Errorf("%s: nobody has named the actor", text)
		}
	}
	for server, was := range started {
		if !was {
			t.Errorf("%s has no start", server)
		}
	}
}

// inPhases holds each call to its phases.
func inPhases(t *testing.T, events []Event) {
	t.Helper()
	before := map[string]Call{}
	for _, e := range events {
		if e.Call == nil {
			continue
		}
		id := fmt.Sprint(e.Server, " ", e.Call.ID)
		was := before[id]
		allowed := map[Phase][]Phase{Held: {""}, Begins: {"", Held}, Sleeps: {Begins}, Returns: {Begins, Sleeps}}
		if !slices.Contains(allowed[e.Call.Phase], was.Phase) {
			t.Errorf("%s %s: %q after %q", id, e.Call.Name, e.Call.Phase, was.Phase)
		}
		if slept := was.Phase == Sleeps; e.Call.Phase == Returns && e.Call.Slept != slept {
			t.Errorf("%s %s: it slept: %v, and that was told: %v", id, e.Call.Name, e.Call.Slept, slept)
		}
		before[id] = *e.Call
	}
}

// A server's calls are held until they are let go one by one.
func TestStreamSteps(t *testing.T) {
	s := streams(t, StreamOptions{Hold: true}, watchedModel("poll"))
	phase := func(name string, p Phase) {
		t.Helper()
		s.tells(t, name+" "+string(p), func(e Event) bool { return e.Call != nil && e.Call.Name == name && e.Call.Phase == p })
	}
	phase("poll", Held)
	s.does(t, 1, Connect, "")
	s.tells(t, "a client in the queue", func(e Event) bool { return e.Queue != nil && e.Queue.Length == 1 })
	steps := 0
	for _, name := range []string{"poll", "accept"} {
		phase(name, Held)
		steps += s.Step("", false)
		phase(name, Returns)
	}
	if steps != 2 {
		t.Errorf("there were %d steps, want 2", steps)
	}
	inPhases(t, s.events())
}

// What cannot be done is refused, with what can.
func TestStreamRefuses(t *testing.T) {
	s := &Stream{}
	for a, want := range map[Action]string{
		{Client: 1, Do: "dance"}:                   "it can do",
		{Client: 0, Do: Connect}:                   "numbered from 1",
		{Client: 1, Do: Connect, Server: "nobody"}: `no server "nobody"`,
	} {
		if err := s.Do(a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", a, err, want)
		}
	}
}

// A server that polls all the time under strace does not make the stream fall
// behind, nor grow.
func TestStreamOfABusyPoller(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		lacking(t, "strace is not installed; make setup installs what the tests need")
	}
	if _, err := exec.LookPath("python3"); err != nil {
		lacking(t, "python3 is not installed; make setup installs what the tests need")
	}
	const poller = `import select, socket, sys
l = socket.create_server(("127.0.0.1", int(sys.argv[1])))
l.setblocking(False)
while True:
    if select.select([l], [], [], 0)[0]:
        c, _ = l.accept()
        c.send(b"you are here\n")
`
	s := streams(t, StreamOptions{}, subject.Spec{Name: "poller", Kind: "command", Command: []string{"python3", "-c", poller, "{port}"}})
	for client := 1; client <= 5; client++ {
		s.does(t, client, Connect, "")
		began := time.Now()
		s.tells(t, "the answer", received("poller", clientName(client), "13 bytes"))
		if took := time.Since(began); took > patience/4 {
			t.Errorf("client %d: the answer was told after %v", client, took)
		}
	}
	w := s.servers[0]
	a := w.source.log()
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.calls); n > 100_000 {
		t.Errorf("%d calls are kept", n)
	}
}
