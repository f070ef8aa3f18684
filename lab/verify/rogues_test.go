package verify_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"socketlab/lab/broken"
	"socketlab/lab/report"
	"socketlab/lab/verify"
)

// TestRogues has the checks meet servers that are hardly any, each of them a
// third (go test -short: a ninth), and bytes/echo, which names the cause: never does the harness hang, nor pass what it did not see, nor leave
// anything behind.
func TestRogues(t *testing.T) {
	nothingLeaks(t)
	of := 3
	if testing.Short() {
		of = 9
	}
	var rogues []broken.Server
	for i, s := range broken.Rogues() {
		for j, c := range verify.Checks {
			if (i+j)%of != 0 && c.ID != "bytes/echo" {
				s.Spared = append(s.Spared, c.ID)
			}
		}
		rogues = append(rogues, s)
	}
	findings, err := broken.Hold(t.Context(), lab, rogues, verify.Options{
		Checks: verify.Checks, Wait: 500 * time.Millisecond, Start: 20 * time.Second, Together: 8, Rounds: 1, Seed: broken.Seed, All: true,
	}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		for _, surprise := range f.Surprises {
			t.Errorf("%s %s", f.Name, surprise)
		}
	}
}

// TestBoundedTime has each check end in its time, whatever the server does.
func TestBoundedTime(t *testing.T) {
	nothingLeaks(t)
	for _, name := range []string{"never-answers", "drips", "floods"} {
		const wait = 200 * time.Millisecond
		for _, c := range hold(t, named(t, name), verify.Options{
			Checks: verify.Select([]string{"bytes/sizes", "close/half", "many/flood", "random"}),
			Wait:   wait, Start: 20 * time.Second, Rounds: 1,
		}) {
			const most = 12*wait + wait + 20*time.Second // all its events, one round, and its start on a busy machine
			if took := time.Duration(c.MS) * time.Millisecond; took > most {
				t.Errorf("%s: %s took %v", name, c.ID, took)
			}
		}
	}
}

// TestChatter finds that a server may print as much as it likes.
func TestChatter(t *testing.T) {
	nothingLeaks(t)
	for _, c := range hold(t, named(t, "chatters"), verify.Options{
		Checks: verify.Select([]string{"bytes/echo", "bytes/silence", "life/term"}),
	}) {
		if c.Status != report.Pass {
			t.Errorf("%s: %s: expected %s; actual %s", c.ID, c.Status, c.Expected, c.Actual)
		}
	}
}

// TestFailureTells holds a failure to what a student needs: the story, the
// bytes, how the server ended, and what it printed.
func TestFailureTells(t *testing.T) {
	c := hold(t, named(t, "pads-its-answers"), verify.Options{Checks: verify.Select([]string{"bytes/echo"})})[0]
	want := []string{
		"expected  61 20 6c 6f 6e 67 65 72 20 6c 69 6e 65 2c 20 61  a longer line, a",
		"received  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................",
		"          ^^",
	}
	if got := strings.Join(c.Diff, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the difference is\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if c.Hint == "" || c.Try == "" || len(c.Story) < 3 {
		t.Errorf("hint %q, try %q, story %q", c.Hint, c.Try, c.Story)
	}
	c = hold(t, named(t, "dies-of-silence"), verify.Options{Checks: verify.Select([]string{"bytes/silence"})})[0]
	if !strings.Contains(c.Actual, "exit code 2") || !strings.Contains(c.Output, "index out of range") {
		t.Errorf("of a crash it says %q, and that it printed %q", c.Actual, c.Output)
	}
}

// TestCauses holds the cause to what was seen, whatever the check is about.
func TestCauses(t *testing.T) {
	for _, test := range []struct{ server, check, actual, cause string }{
		{"serves-one-at-a-time", "life/idle", "the server has not accepted client 2", "one client at a time"},
		{"serves-one-at-a-time", "many/half-line", "the server has not accepted client 2", "a whole line"},
		{"hangs-up", "life/stopped", "0 bytes, then", "EINTR"},
		{"hangs-up", "many/apart", "0 bytes, then", "closed at once"},
		{"forgets-to-close", "bytes/echo", "nothing for", "is not closed"},
		{"dies-of-silence", "bytes/silence", "exit code 2", "says nothing ends the server"},
		{"ends-in-the-middle", "life/memory", "exit code 3", "ends the server"},
	} {
		c := hold(t, named(t, test.server), verify.Options{Checks: verify.Select([]string{test.check}), Wait: time.Second, Start: 20 * time.Second})[0]
		if c.Status != report.Fail || !strings.Contains(c.Actual, test.actual) || !strings.Contains(c.Hint, test.cause) {
			t.Errorf("%s, %s: %s: actual %q, usual cause %q", test.server, test.check, c.Status, c.Actual, c.Hint)
		}
	}
}

// TestLimit finds that a server for one client at a time is right, if it says so.
func TestLimit(t *testing.T) {
	s := named(t, "serves-one-at-a-time")
	s.Limit = 1
	for _, c := range hold(t, s, verify.Options{Checks: verify.Select([]string{"many/*", "close", "life/idle"}), Seed: 1}) {
		if c.Status != report.Pass {
			t.Errorf("%s: %s: expected %s; actual %s", c.ID, c.Status, c.Expected, c.Actual)
		}
	}
}

// TestCannotStart finds that what never listens is told, and is no verdict.
func TestCannotStart(t *testing.T) {
	nothingLeaks(t)
	for what, command := range map[string][]string{
		"exit code 3":        {"/bin/sh", "-c", "echo no config; exit 3"},
		"it listens nowhere": {"/bin/sh", "-c", "read line"},
		"check the path":     {"./no-such-server"},
	} {
		s := verify.Server{Name: "it", Services: []string{"echo"}, Command: func(string) []string { return command }}
		_, err := verify.Verify(t.Context(), []verify.Server{s}, verify.Options{
			Checks: verify.Checks, Wait: 300 * time.Millisecond, Together: 4,
		})
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("of %q it says %v, want %q", command, err, what)
		}
	}
}

// TestInterrupted ends a check in its middle: it neither passes nor fails.
func TestInterrupted(t *testing.T) {
	nothingLeaks(t)
	ctx, interrupt := context.WithCancel(t.Context())
	result, err := verify.Verify(ctx, []verify.Server{named(t, "stops-at-nul")}, verify.Options{
		Checks: verify.Select([]string{"bytes/echo", "bytes/binary"}), // it passes one, and is silent in the other
		Wait:   time.Hour, Together: 2,
		Progress: func(verify.Progress) { interrupt() },
	})
	if err != nil {
		t.Fatal(err)
	}
	c := result.Subjects[0].Checks[1]
	if c.Status != report.Error || c.Actual != "interrupted" {
		t.Errorf("%s: %s: %q", c.ID, c.Status, c.Actual)
	}
}

// named is one of the broken servers.
func named(t *testing.T, name string) verify.Server {
	t.Helper()
	s, err := broken.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := s.Subject(lab)
	if err != nil {
		t.Fatal(err)
	}
	return subject
}

// nothingLeaks compares the goroutines and the children at the end of the test
// with those at its beginning.
func nothingLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		goleak.VerifyNone(t, before)
		if left := children(t); len(left) > 0 {
			t.Errorf("left behind: %s", strings.Join(left, ", "))
		}
	})
}

// children are the processes that this one started and those that came to it,
// ended or not.
func children(t *testing.T) (all []string) {
	t.Helper()
	folders, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		stat, _ := os.ReadFile("/proc/" + folder.Name() + "/stat") // or it is no process, or has ended
		var parent int
		_, after, _ := strings.Cut(string(stat), ") ")
		if _, err := fmt.Sscanf(after, "%1s %d", new(string), &parent); err == nil && parent == os.Getpid() {
			all = append(all, string(stat))
		}
	}
	return all
}

// TestReplay finds a rare bug with a random schedule, shrinks it, and plays what
// is left on that server again, and on one that is right.
func TestReplay(t *testing.T) {
	nothingLeaks(t)
	random := verify.Options{Checks: verify.Select([]string{"random"}), Seed: broken.Seed, Rounds: 1}
	c := hold(t, named(t, "tidies-up-too-early"), random)[0]
	if c.Status != report.Fail || c.Schedule == "" {
		t.Fatalf("seed %d: %s, with the schedule %q", broken.Seed, c.Status, c.Schedule)
	}
	replay, err := verify.ReadSchedule(strings.NewReader(c.Schedule))
	if err != nil {
		t.Fatal(err)
	}
	if whole := verify.RandomSchedule(broken.Seed); len(replay) >= len(whole)/2 {
		t.Errorf("of %d steps %d are left:\n%s", len(whole), len(replay), c.Schedule)
	}
	random.Replay = replay
	fails := false
	for range 10 { // on a busy machine things may happen in another order
		fails = fails || hold(t, named(t, "tidies-up-too-early"), random)[0].Status == report.Fail
	}
	if !fails {
		t.Errorf("replayed, it does not fail:\n%s", replay)
	}
	if c := hold(t, named(t, "keeps-everything"), random)[0]; c.Status != report.Pass {
		t.Errorf("replayed on a server that is right in this: %s: expected %s; actual %s", c.Status, c.Expected, c.Actual)
	}
}
