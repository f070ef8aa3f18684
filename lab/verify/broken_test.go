package verify_test

import (
	"slices"
	"testing"
	"time"

	"socketlab/lab/broken"
	"socketlab/lab/report"
	"socketlab/lab/verify"
)

// TestBroken holds the checks to servers with one known bug each: they must be
// caught by the checks that their bugs concern, and by no other. All that takes
// minutes, and lab verify --broken does it. Here each server meets an eighth of
// the checks that must pass, and all of those that must catch it, or a third if
// there are many; go test -short makes that even fewer.
func TestBroken(t *testing.T) {
	t.Parallel() // beside TestForeign: each of them waits much
	passing, catching := 8, 3
	if testing.Short() {
		passing, catching = 24, 12
	}
	var servers []broken.Server
	met := map[string]bool{} // checks that had to catch somebody
	for i, s := range broken.Servers() {
		const few = 8
		bugs := 0
		for _, c := range verify.Checks {
			if s.Concerns(c.ID) {
				bugs++
			}
		}
		for j, c := range verify.Checks {
			concerned := s.Concerns(c.ID) && s.Serves(c)
			switch {
			case concerned && (bugs <= few || (i+j)%catching == 0):
				met[c.ID] = true
			case concerned || (i+j)%passing != 0:
				s.Spared = append(s.Spared, c.ID)
			}
		}
		servers = append(servers, s)
	}
	for _, c := range verify.Checks {
		if !met[c.ID] {
			t.Errorf("%s does not meet a server that it must catch", c.ID)
		}
	}
	findings, err := broken.Hold(t.Context(), lab, servers, verify.Options{
		Checks: verify.Checks, Wait: 5 * time.Second, Together: 4, Rounds: 5, Seed: broken.Seed, All: true,
	}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if len(f.CaughtBy) == 0 && f.Undecided == 0 {
			t.Errorf("%s is caught by nothing", f.Name)
		}
		for _, surprise := range f.Surprises {
			t.Errorf("%s %s", f.Name, surprise)
		}
	}
}

// TestDiagnosis holds the first cause that is named to what is known to be wrong:
// it is right for nearly all broken servers. Each of them meets the
// checks that catch it and those that are played first; lab verify --broken has
// them meet all.
func TestDiagnosis(t *testing.T) {
	var servers []broken.Server
	right, wrong := 0, 0
	for _, s := range broken.Servers() {
		for _, c := range verify.Checks {
			if !s.Concerns(c.ID) && !c.First {
				s.Spared = append(s.Spared, c.ID)
			}
		}
		servers = append(servers, s)
	}
	findings, err := broken.Hold(t.Context(), lab, servers, verify.Options{
		Checks: verify.Checks, Wait: 5 * time.Second, Together: 4, Rounds: 5, Seed: broken.Seed,
	}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if right++; f.Most != f.Cause && f.Undecided == 0 {
			right, wrong = right-1, wrong+1
			t.Logf("%s: %q, and it is %q", f.Name, f.Most, f.Cause)
		}
	}
	t.Logf("of %d causes %d are right", right+wrong, right)
	const most = 20 // of 100
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
