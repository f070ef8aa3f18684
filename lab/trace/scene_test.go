package trace

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"socketlab/lab/diagram"
	"socketlab/lab/subject"
)

const (
	opening  = "> SYN, < SYN+ACK, > ACK"
	hello    = ", > PSH+ACK 6, < ACK, < PSH+ACK 6, > ACK"
	accepted = "SYN-RECEIVED ESTABLISHED"
	opened   = "SYN-SENT ESTABLISHED"
	active   = opened + " FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT"
	prompt   = opened + " FIN-WAIT-1 TIME-WAIT"
	passive  = " CLOSE-WAIT LAST-ACK CLOSED"
)

// What connection 1 looks like in each scene, on every model that is as prompt
// as a program can be: its segments, and the states of both ends.
var shown = map[string]struct{ segments, client, server string }{
	"open":         {opening, opened, accepted},
	"echo":         {opening + hello, opened, accepted},
	"close-client": {opening + hello + ", > FIN+ACK, < FIN+ACK, > ACK", prompt, accepted + passive},
	"close-server": {opening + ", > PSH+ACK 5, < ACK, < FIN+ACK, > ACK, > FIN+ACK, < ACK",
		opened + passive, accepted + " FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT"},
	"close-late":   {opening + ", > FIN+ACK, < ACK, < FIN+ACK, > ACK", active, accepted + passive},
	"close-prompt": {opening + ", > FIN+ACK, < FIN+ACK, > ACK", prompt, accepted + passive},
	"half-close": {opening + ", > PSH+ACK 6, < ACK, > FIN+ACK, < ACK, < PSH+ACK 6, > ACK, < FIN+ACK, > ACK",
		active, accepted + passive},
	"reset":            {opening + hello + ", > RST+ACK", opened + " CLOSED", accepted + " CLOSED"},
	"unread":           {opening + hello + ", > RST+ACK", opened + " CLOSED", accepted + " CLOSED"},
	"two-clients":      {opening + hello + ", > FIN+ACK, < FIN+ACK, > ACK", prompt, accepted + passive},
	"queue":            {"", "", ""},
	"refused":          {"> SYN, < RST+ACK", "SYN-SENT CLOSED", ""},
	"split-and-merged": {opening + ", > PSH+ACK 3, < ACK, > PSH+ACK 3, < ACK, < PSH+ACK 6, > ACK", opened, accepted},
	"nagle":            {"", opened, accepted}, // how late its ACKs are: TestScenesShowTheirLesson
	"zero-window":      {"", opened, accepted},
	"zombies":          {"", prompt, accepted + passive},
	"restart":          {"", opened + passive, accepted + " FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT"},
	"talk":             {"", opened + passive, accepted + " FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT"},
	"process-life":     {opening + hello + ", > FIN+ACK, < FIN+ACK, > ACK", prompt, accepted + passive},
	"wake":             {opening + hello, opened, accepted},
}

var (
	again     = regexp.MustCompile(`, [<>] (PSH|FIN)\+ACK( \d+)? again`)
	overtaken = regexp.MustCompile(`(< FIN\+ACK, > ACK), < ACK, > ACK, < RST$`)
)

// inTime makes a server that closes promptly of one that was too late for it,
// on a busy machine: its kernel acknowledges a FIN alone after 40 ms. Nor does
// it matter what a kernel sends again when an ACK is late, or says when all is
// over.
func inTime(got, want string) string {
	got = again.ReplaceAllString(got, "")
	got = strings.Replace(overtaken.ReplaceAllString(got, "$1"), "TIME-WAIT CLOSED", "TIME-WAIT", 1)
	for late, prompt := range map[string]string{
		"> FIN+ACK, < ACK, < FIN+ACK": "> FIN+ACK, < FIN+ACK",
		"FIN-WAIT-1 FIN-WAIT-2":       "FIN-WAIT-1",
	} {
		if !strings.Contains(want, late) {
			got = strings.ReplaceAll(got, late, prompt)
		}
	}
	return got
}

// sound holds a recording to what all of them owe.
func sound(t *testing.T, r Recording) {
	t.Helper()
	if err := r.Trace.JSON(new(strings.Builder)); err != nil {
		t.Errorf("the trace cannot be drawn: %v", err)
	}
	for _, wrong := range slices.Concat(causal(r.Trace), causal(r.Trace.Normalise())) {
		t.Error(wrong)
	}
	segments := 0
	last := map[string]*diagram.State{}
	sent, received := map[string]int{}, map[string]int{} // bytes, by client
	client := map[int]string{}
	for _, e := range r.Trace.Events {
		if c := e.Call; c != nil && c.Conn > 0 && strings.HasPrefix(c.Actor, "client ") {
			client[c.Conn] = c.Actor
		}
	}
	for _, e := range r.Trace.Events {
		switch {
		case e.Segment != nil:
			segments++
			s := e.Segment
			if s.Inferred != (r.Trace.Rung == diagram.Inferred) {
				t.Errorf("a segment is inferred: %v, on the rung %q", s.Inferred, r.Trace.Rung)
			}
			if s.Len > 0 && s.FromClient && sent[client[s.Conn]] < s.Len {
				t.Errorf("at %v %s has sent %d bytes before it called send", e.At, client[s.Conn], s.Len)
			}
			if s.Len > 0 && !s.FromClient {
				received[client[s.Conn]] += s.Len
			}
		case e.State != nil:
			last[fmt.Sprint(e.State.Conn, e.State.Client)] = e.State
		case e.Call != nil && e.Call.Name == "send":
			sent[e.Call.Actor] += len(e.Call.Args) // no less than it sends
			if _, many, found := strings.Cut(e.Call.Args, ", "); found && strings.HasSuffix(many, " bytes") {
				n, _ := strconv.Atoi(strings.TrimSuffix(many, " bytes"))
				sent[e.Call.Actor] += n
			}
		case e.Note != nil && strings.HasPrefix(e.Note.Text, "the kernel has"):
			t.Errorf("a contradiction: %s", e.Note.Text)
		}
	}
	for _, e := range r.Trace.Events {
		if c := e.Call; c != nil && c.Name == "recv" && strings.HasSuffix(c.Result, "bytes") {
			if arrived := firstData(r.Trace, c.Conn); arrived > e.At+c.Took {
				t.Errorf("%s has received at %v what came at %v", c.Actor, e.At+c.Took, arrived)
			}
		}
	}
	if r.Trace.Rung != diagram.Inferred && segments != len(r.Packets) {
		t.Errorf("%d segments, and %d packets", segments, len(r.Packets))
	}
	if segments == 0 {
		t.Error("no segment was seen")
	}
	for end, s := range last {
		if !s.Confirmed && s.To != "CLOSED" {
			t.Errorf("end %s: the kernel does not confirm the last state, %s", end, s.To)
		}
	}
}

// firstData is when the first data from the server came.
func firstData(tr diagram.Trace, conn int) time.Duration {
	for _, e := range tr.Events {
		if s := e.Segment; s != nil && s.Conn == conn && !s.FromClient && s.Len > 0 {
			return e.At
		}
	}
	return 1 << 62
}

// The rungs differ in what they see, not in what happened.
func TestRungsAgree(t *testing.T) {
	rung := seeing(t)
	for _, scene := range []string{"close-server", "half-close", "reset", "two-clients", "queue"} {
		t.Run(scene, func(t *testing.T) {
			t.Parallel()
			seen, inferred := play(t, scene, "select", rung), play(t, scene, "select", diagram.Inferred)
			sound(t, inferred)
			for conn := 1; conn <= 5; conn++ {
				for _, client := range []bool{true, false} {
					got, want := statesOf(inferred.Trace, conn, client), statesOf(seen.Trace, conn, client)
					if inTime(got, want) != inTime(want, got) {
						t.Errorf("connection %d, client %v: inferred %q, seen %q", conn, client, got, want)
					}
				}
			}
		})
	}
}

func TestQueueScene(t *testing.T) {
	t.Parallel()
	r := play(t, "queue", "blocking", seeing(t))
	longest := diagram.Queue{}
	for _, e := range r.Trace.Events {
		if e.Queue != nil && e.Queue.Conn == 0 && e.Queue.Length > longest.Length {
			longest = *e.Queue
		}
	}
	if longest != (diagram.Queue{Length: 2, Limit: 2}) {
		t.Errorf("at its longest the queue is %+v, want 2 of 2", longest)
	}
	for conn := 4; conn <= 5; conn++ {
		if got := statesOf(r.Trace, conn, true); got != opened {
			t.Errorf("client %d goes through %s, want %s", conn, got, opened)
		}
		if got := segmentsOf(r.Trace, conn); !strings.HasPrefix(got, "> SYN, > SYN again") || !strings.HasSuffix(got, "again, < SYN+ACK, > ACK") {
			t.Errorf("client %d: segments %s; want a SYN that is dropped, and one that is answered", conn, got)
		}
	}
	var svg strings.Builder
	if err := r.Trace.SVG(&svg, diagram.Style{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SYN queue ■", "accept queue ■□", "accept queue ■■", "accept queue □□", "SYN seq=0: dropped", "SYN again, SYN+ACK, ACK"} {
		if !strings.Contains(svg.String(), want) {
			t.Errorf("the picture does not show %q", want)
		}
	}
}

// Of a blocking server the second client is connected, and what it sends waits.
func TestTwoClientsOfABlockingServer(t *testing.T) {
	r := play(t, "two-clients", "blocking", seeing(t))
	var waits, empty bool
	for _, e := range r.Trace.Events {
		waits = waits || e.Queue != nil && *e.Queue == diagram.Queue{Conn: 2, Length: 8}
		empty = empty || waits && e.Queue != nil && *e.Queue == diagram.Queue{Conn: 2}
	}
	if !waits || !empty {
		t.Errorf("8 bytes of client 2 wait unread: %v, and then no more: %v", waits, empty)
	}
}

// A child's life is seen in /proc where nothing else tells of it.
func TestProcessLife(t *testing.T) {
	r := play(t, "process-life", "process", seeing(t))
	lives := map[string][]string{}
	for _, e := range r.Trace.Events {
		if e.Life != nil {
			lives[e.Life.Actor] = append(lives[e.Life.Actor], e.Life.Event)
		}
	}
	// Package os may start another one, for a moment, to see what the kernel is able to do.
	for _, life := range lives {
		if strings.Join(life, " ") == "begins ends reaped" {
			return
		}
	}
	t.Errorf("the child's life: %v", lives)
}

// A server that does not do its part is recorded up to there.
func TestStuckScene(t *testing.T) {
	t.Parallel()
	scene, _ := Find("echo")
	spec := serverOf("deaf", scene)
	r, err := Record(t.Context(), Options{Scene: "echo", Server: spec, Rung: seeing(t), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if missing := strings.Join(r.Trace.Missing, "\n"); !strings.Contains(missing, "client 1 sleeps in recv") {
		t.Errorf("missing: %q; want that client 1 sleeps in recv", missing)
	}
	if got := segmentsOf(r.Trace, 1); got != opening+", > PSH+ACK 6, < ACK" {
		t.Errorf("segments: %s", got)
	}
	for _, e := range r.Trace.Events {
		if c := e.Call; c != nil && c.Name == "recv" && (c.Result != "" || !c.Slept) {
			t.Errorf("recv has returned %q, slept: %v; want that it sleeps still", c.Result, c.Slept)
		}
	}
}

// Of a server that ends in the middle is drawn what was seen of it.
func TestServerThatEnds(t *testing.T) {
	for _, scene := range []string{"echo", "close-late", "talk"} {
		t.Run(scene, func(t *testing.T) {
			t.Parallel()
			found, _ := Find(scene)
			r, err := Record(t.Context(), Options{Scene: scene, Server: serverOf("ending", found), Rung: seeing(t), Calls: "proc", Timeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Trace.JSON(new(strings.Builder)); err != nil {
				t.Errorf("the trace cannot be drawn: %v", err)
			}
			if got := segmentsOf(r.Trace, 1); !strings.HasPrefix(got, opening) {
				t.Errorf("segments: %s", got)
			}
			if missing := strings.Join(r.Trace.Missing, "\n"); scene == "talk" && !strings.Contains(missing, "the server has ended, exit code 3") {
				t.Errorf("missing: %q; want that the server has ended", missing)
			}
		})
	}
}

// One that never sleeps is not waited for, and that is said.
func TestSpinningServer(t *testing.T) {
	t.Parallel()
	scene, _ := Find("open")
	r, err := Record(t.Context(), Options{Scene: "open", Server: serverOf("spinning", scene), Rung: seeing(t), Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	if missing := strings.Join(r.Trace.Missing, "\n"); !strings.Contains(missing, "it uses CPU while nothing happens") || strings.Contains(missing, errStuck.Error()) {
		t.Errorf("missing: %q; want only that the server uses CPU", missing)
	}
	if got := segmentsOf(r.Trace, 1); got != opening {
		t.Errorf("segments: %s, want %s", got, opening)
	}
}

func TestQueueSceneRefuses(t *testing.T) {
	echo, _ := Find("echo")
	_, err := Record(t.Context(), Options{Scene: "queue", Server: serverOf("select", echo), Rung: diagram.Inferred})
	if err == nil || !strings.Contains(err.Error(), "backlog of 1") {
		t.Errorf("with a long queue: %v; want that it asks for a backlog of 1", err)
	}
}

func TestServerThatCannotStart(t *testing.T) {
	for _, rung := range []diagram.Rung{"", diagram.Inferred} {
		_, err := Record(t.Context(), Options{Scene: "open", Rung: rung, Server: subject.Spec{Command: []string{"/nonexistent"}}})
		if err == nil || !strings.Contains(err.Error(), "/nonexistent") {
			t.Errorf("rung %q: %v; want that it names the command", rung, err)
		}
	}
}

func TestSceneOverIPv6(t *testing.T) {
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		lacking(t, "this machine has no IPv6")
	}
	scene, _ := Find("close-late")
	spec := serverOf("poll", scene)
	spec.Command[len(spec.Command)-1] = "[::1]:{port}"
	for _, rung := range []diagram.Rung{seeing(t), diagram.Inferred} {
		r, err := Record(t.Context(), Options{Scene: scene.Name, Server: spec, Rung: rung})
		if err != nil {
			t.Fatal(err)
		}
		sound(t, r)
		if got, want := segmentsOf(r.Trace, 1), opening+", > FIN+ACK, < ACK, < FIN+ACK, > ACK"; got != want {
			t.Errorf("%s: segments %s, want %s", rung, got, want)
		}
	}
}

// Each of these scenes shows what its title says.
func TestScenesShowTheirLesson(t *testing.T) {
	calls := func(r Recording, actor, name string) (results []string) {
		for _, e := range r.Trace.Events {
			if c := e.Call; c != nil && strings.HasPrefix(c.Actor, actor) && c.Name == name {
				results = append(results, c.Result)
			}
		}
		return results
	}
	probed := func(scene, model string) Recording {
		found, _ := Find(scene)
		server := serverOf(model, found)
		server.Command[1] = "watched"
		r, err := Record(t.Context(), Options{Scene: scene, Server: server, Rung: seeing(t), Calls: "probes", Timeout: 3 * patience})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	equal := func(t *testing.T, what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	t.Run("refused", func(t *testing.T) {
		equal(t, "connect", calls(probed("refused", "select"), "client 1", "connect"), "ECONNREFUSED")
	})
	t.Run("split-and-merged", func(t *testing.T) {
		r := probed("split-and-merged", "blocking")
		equal(t, "two sends", calls(r, "client 1", "send"), "3 bytes", "3 bytes")
		equal(t, "one read, and one that sleeps", calls(r, r.Trace.Actors[len(r.Trace.Actors)-1].ID, "read"), "6 bytes", "")
		equal(t, "two recvs", calls(r, "client 1", "recv"), "3 bytes", "3 bytes")
	})
	t.Run("zero-window", func(t *testing.T) {
		full := false
		for _, e := range probed("zero-window", "select").Trace.Events {
			full = full || e.Segment != nil && e.Segment.Full && e.Segment.FromClient
		}
		if !full {
			t.Error("no segment of the client's says window 0")
		}
	})
	t.Run("nagle", func(t *testing.T) {
		var at []time.Duration // of the segments "ab" and "cd", without and with TCP_NODELAY
		for _, e := range probed("nagle", "select").Trace.Events {
			if s := e.Segment; s != nil && s.FromClient && !s.Retransmit && (s.Len == 2 || s.Len == 3) {
				at = append(at, e.At)
			}
		}
		if len(at) != 4 || at[1]-at[0] < 30*time.Millisecond || at[3]-at[2] > (at[1]-at[0])/2 {
			t.Errorf("the segments were sent at %v; want the second to wait some 40 ms, and the fourth not", at)
		}
	})
	t.Run("zombies", func(t *testing.T) {
		if r := probed("zombies", "process"); !strings.HasPrefix(r.Trace.Lesson, "3 children have ended and are zombies") {
			t.Errorf("lesson: %q; want 3 zombies", r.Trace.Lesson)
		}
	})
	t.Run("restart", func(t *testing.T) {
		r := probed("restart", "select")
		equal(t, "bind", calls(r, "new server", "bind"), "EADDRINUSE", "0")
		equal(t, "listen", calls(r, "new server", "listen"), "0")
	})
}
