package verify_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"socketlab/lab/broken"
	"socketlab/lab/report"
	"socketlab/lab/verify"
)

// held is what the checks say about the servers with one known bug each: as
// lab verify --broken has it, or in full.
var held = sync.OnceValues(func() ([]broken.Finding, error) {
	servers := broken.Some(broken.Servers(), 8, 3, 8)
	if testing.Short() {
		servers = broken.Some(broken.Servers(), 24, 12, 4)
	}
	return broken.Hold(context.Background(), lab, servers, verify.Options{
		Checks: verify.Checks, Wait: 2 * time.Second, Together: 4, Rounds: 5, Seed: broken.Seed, All: true,
	}, func(int) {})
})

// TestBroken holds the checks to servers with one known bug each: they must be
// caught by the checks that their bugs concern, and by no other.
func TestBroken(t *testing.T) {
	t.Parallel() // beside TestForeign: each of them waits much
	findings, err := held()
	if err != nil {
		t.Fatal(err)
	}
	met := map[string]bool{} // checks that had to catch somebody
	for _, f := range findings {
		for _, id := range f.CaughtBy {
			met[id] = met[id] || f.Concerns(id)
		}
		for _, c := range verify.Checks {
			met[c.ID] = met[c.ID] || f.Undecided > 0 && f.Concerns(c.ID) // the machine was too busy
		}
		for _, id := range f.Untried {
			met[id] = true
			t.Logf("%s cannot be played here with %s", id, f.Name)
		}
		if len(f.CaughtBy) == 0 && f.Undecided == 0 && len(f.Untried) == 0 {
			t.Errorf("%s is caught by nothing", f.Name)
		}
		for _, surprise := range f.Surprises {
			t.Errorf("%s %s", f.Name, surprise)
		}
	}
	for _, c := range verify.Checks {
		if !met[c.ID] && !testing.Short() { // which leaves out too many
			t.Errorf("%s does not catch a server that it must catch", c.ID)
		}
	}
}

// TestDiagnosis holds the first cause that is named to what is known to be wrong.
// A server that does not echo at all is told so at once, and meets no more.
func TestDiagnosis(t *testing.T) {
	t.Parallel()
	findings, err := held()
	if err != nil {
		t.Fatal(err)
	}
	var servers []broken.Server
	for _, f := range findings {
		if f.Concerns("bytes/echo") {
			servers = append(servers, f.Server)
		}
	}
	again, err := broken.Hold(t.Context(), lab, servers, verify.Options{
		Checks: verify.Select([]string{"bytes/echo"}), Wait: 5 * time.Second, Together: 4,
	}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	right, wrong := 0, 0
	for _, f := range findings {
		if i := slices.IndexFunc(again, func(a broken.Finding) bool { return a.Name == f.Name }); i >= 0 && again[i].Most != "" {
			f = again[i]
		}
		switch {
		case f.Most == f.Cause:
			right++
		case f.Undecided == 0 && (f.Whole || !testing.Short()):
			wrong++
			t.Logf("%s: %q, and it is %q; caught by %v", f.Name, f.Most, f.Cause, f.CaughtBy)
		}
	}
	t.Logf("of %d causes %d are right", right+wrong, right)
	const most = 5 // of 100
	if wrong*100 > most*(right+wrong) {
		t.Error("that is not enough")
	}
}

// TestCatalogue finds what in the catalogue leads nowhere.
func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range slices.Concat(broken.Servers(), broken.Rogues()) {
		if seen[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		seen[s.Name] = true
		if _, known := verify.CauseOf(s.Cause); s.Bug == "" || s.Serve == nil || !known && s.Cause != "" {
			t.Errorf("%s is not complete", s.Name)
		}
		for _, pattern := range slices.Concat(s.Caught, s.Perhaps, s.Spared) {
			if selected := verify.Select([]string{pattern}); !slices.ContainsFunc(selected, s.Serves) {
				t.Errorf("%s: %s matches no check of %s", s.Name, pattern, s.Service)
			}
		}
	}
}

// hold is the verdicts of some checks on one server.
func hold(t *testing.T, s verify.Server, o verify.Options) []report.Check {
	t.Helper()
	if o.Wait == 0 {
		o.Wait = 5 * time.Second
	}
	if o.Together == 0 {
		o.Together = 4
	}
	result, err := verify.Verify(t.Context(), []verify.Server{s}, o)
	if err != nil {
		t.Fatal(err)
	}
	return result.Subjects[0].Checks
}
