package diagram

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// grown draws what happens in several goes.
func grown(t *testing.T, columns []Actor, goes ...[]Beat) string {
	t.Helper()
	var b bytes.Buffer
	g := Grow(&b, Style{}, "watch: ./server")
	g.Columns(columns, nil, map[int]string{1: "client 1", 2: "client 2"})
	for _, beats := range goes {
		if err := g.Draw(beats); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	return b.String()
}

var two = []Actor{
	{ID: "client 1", Name: "client 1", Kind: ClientProgram},
	{ID: "client 2", Name: "client 2", Kind: ClientProgram},
	{ID: "kernel/server", Name: "server's kernel", Kind: ServerKernel},
	{ID: "server", Name: "./server", Kind: ServerThread},
}

func calls(id int, slept bool) Beat {
	return Beat{Event: Event{Call: &Call{Actor: "server", Name: "read", Args: "4", Slept: slept, Result: "6 bytes"}}, ID: id}
}

func returns(id int) Beat {
	b := calls(id, true)
	b.Returns = true
	return b
}

// A bar that begins in one go is there in the next, and its end says of which
// call it is.
func TestGrow(t *testing.T) {
	fin := Beat{Event: Event{Segment: &Segment{Conn: 2, FromClient: true, Flags: "FIN+ACK", Seq: 7, Ack: 7}}}
	state := Beat{Event: Event{State: &State{Conn: 2, From: "ESTABLISHED", To: "CLOSE-WAIT"}}}
	got := grown(t, two, []Beat{calls(0, true)}, []Beat{fin, state}, []Beat{returns(0), calls(1, false), returns(1)})
	want := []string{
		"▒ read(4)",
		"├─FIN+ACK seq=7 ack=7", // of client 2
		"read = 6 bytes",
		"read(4) = 6 bytes", // at once: one row
	}
	rest := got
	for _, row := range want {
		_, after, found := strings.Cut(rest, row)
		if !found {
			t.Fatalf("it does not show %q in its place:\n%s", row, got)
		}
		rest = after
	}
	for line := range strings.Lines(got) {
		if strings.Contains(line, "FIN+ACK") && (!strings.HasPrefix(line, "│") || !strings.Contains(line, "│ CLOSE-WAIT") || !strings.Contains(line, "▒")) {
			t.Errorf("the row of FIN is %q: want client 1's line, the state and the bar", line)
		}
	}
}

// New columns take over who is asleep.
func TestGrowColumns(t *testing.T) {
	var b bytes.Buffer
	g := Grow(&b, Style{}, "watch: ./server")
	g.Columns(two, nil, map[int]string{1: "client 1", 2: "client 2"})
	if err := g.Draw([]Beat{calls(0, true)}); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	child := append(two[1:len(two):len(two)], Actor{ID: "child 1", Name: "child 1", Kind: ServerThread})
	g.Columns(child, nil, map[int]string{1: "client 1", 2: "client 2"})
	begins := Beat{Event: Event{Life: &Life{Actor: "child 1", Event: "begins", By: "server"}}}
	note := Beat{Event: Event{Note: &Note{Text: "all quiet"}}}
	if err := g.Draw([]Beat{note, begins, note}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if !strings.HasPrefix(lines[1], "client 2") || !strings.Contains(lines[1], "child 1") || strings.Contains(b.String(), "client 1") {
		t.Errorf("the names are %q", lines[1])
	}
	before, after := lines[2], lines[4]
	if !strings.HasSuffix(before, "▒") || !strings.HasSuffix(after, "│") || !strings.Contains(after, "▒") {
		t.Errorf("the child is there too early, or not at all, or the server is awake:\n%s", b.String())
	}
}

// Who is idle has a place beside the others who are, until something happens to
// them.
func TestGrowIdle(t *testing.T) {
	var b bytes.Buffer
	g := Grow(&b, Style{}, "watch: ./server")
	var idle []Actor
	var sleep []Beat
	for i := range 4 {
		id := fmt.Sprint("child ", i+1)
		idle = append(idle, Actor{ID: id, Name: id, Kind: ServerThread})
		sleep = append(sleep, Beat{Event: Event{Call: &Call{Actor: id, Name: "accept", Args: "3", Slept: true}}, ID: i})
	}
	g.Columns(two, [][]Actor{idle}, map[int]string{1: "client 1", 2: "client 2"})
	if err := g.Draw(sleep); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "child 1-4") || !strings.Contains(got, "child 3: accept(3) ▒") {
		t.Errorf("want one column, and who sleeps there:\n%s", got)
	}
	b.Reset()
	idle = slices.Delete(idle, 1, 2)
	g.Columns(append(two[:len(two):len(two)], Actor{ID: "child 2", Name: "child 2", Kind: ServerThread}), [][]Actor{idle}, map[int]string{1: "client 1"})
	wakes := Beat{Event: Event{Call: &Call{Actor: "child 2", Name: "accept", Args: "3", Slept: true, Result: "4"}}, Returns: true, ID: 1}
	if err := g.Draw([]Beat{wakes}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if names, last := lines[len(lines)-2], lines[len(lines)-1]; !strings.Contains(names, "child 2") || strings.Contains(names, "child 1-4") || !strings.HasSuffix(last, "│ accept = 4") {
		t.Errorf("child 2 wakes, and the others sleep:\n%s", b.String())
	}
}

// Of more than anybody could follow, the middle is left out, and counted.
func TestGrowFlood(t *testing.T) {
	var beats []Beat
	for i := range 5000 {
		beats = append(beats, Beat{Event: Event{At: time.Duration(i), Segment: &Segment{Conn: 1, Flags: "ACK"}}})
	}
	got := grown(t, two, beats)
	if n := strings.Count(got, "\n"); n > mostRows+10 {
		t.Errorf("there are %d rows", n)
	}
	if !strings.Contains(got, "… 4,850 segments left out …") {
		t.Errorf("it does not say what is left out:\n%s", got)
	}
}
