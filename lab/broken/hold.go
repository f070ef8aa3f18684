package broken

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"socketlab/lab/certs"
	"socketlab/lab/report"
	"socketlab/lab/verify"
)

// Seed is that of the first random schedule: the rare bug needs one in which a
// client that is owed much finishes, the server reads that, and another comes.
// One of six is such, of these five four: on a busy machine one may do no harm.
const Seed = 29

// needRights are checks that not every machine allows: of life/spawn, root without
// CAP_SYS_RESOURCE cannot set the limit.
var needRights = []string{"life/spawn"}

// A Finding is what the checks said about one server.
type Finding struct {
	Server
	CaughtBy  []string // ids of the checks that it failed, in their order
	Most      string   // the cause that is found most likely
	Whole     bool     // it met all checks that must catch it, so its cause can be judged
	Undecided int      // how many checks the machine was too busy for
	Untried   []string // ids of checks that must catch it, and cannot be played here
	Surprises []string // what should have been otherwise: "passes close/half"
}

// Hold holds servers to the checks. How many servers are done is told after each
// of them.
func Hold(ctx context.Context, lab string, servers []Server, o verify.Options, tell func(done int)) ([]Finding, error) {
	findings := make([]Finding, len(servers))
	var jobs errgroup.Group
	jobs.SetLimit(4)
	var done atomic.Int32
	for i, s := range servers {
		jobs.Go(func() (err error) {
			findings[i], err = s.hold(ctx, lab, o)
			tell(int(done.Add(1)))
			return err
		})
	}
	return findings, jobs.Wait()
}

// slow are checks that take seconds of a right server too. Only those broken
// servers meet them whom they must catch.
var slow = []string{"many/slow", "many/wall", "many/soak", "life/kept", "life/patience"}

// Some leaves out most of the checks, which all together take a quarter of an
// hour: each server meets those that must catch it, or one of catching if there
// are many, and one of passing of those that it must pass.
func Some(servers []Server, passing, catching, many int) (all []Server) {
	for i, s := range servers {
		var bugs []string // the checks that must catch it
		for _, c := range verify.Checks {
			if s.Concerns(c.ID) {
				bugs = append(bugs, c.ID)
			}
		}
		s.Spared = slices.Clone(s.Spared)
		for j, c := range verify.Checks {
			meets := (i+j)%passing == 0 && !slices.Contains(slow, c.ID) && !s.MayFail(c.ID)
			if n := slices.Index(bugs, c.ID); n >= 0 {
				meets = c.First || len(bugs) <= many || (i+n)%min(catching, len(bugs)) == 0
			}
			if !meets {
				s.Spared = append(s.Spared, c.ID)
			}
		}
		all = append(all, s)
	}
	return all
}

func (s Server) hold(ctx context.Context, lab string, o verify.Options) (Finding, error) {
	finding := Finding{Server: s}
	subject, err := s.Subject(lab)
	if err != nil {
		return finding, err
	}
	o.Checks = s.checks(o.Checks)
	finding.Whole = !slices.ContainsFunc(verify.Checks, func(c verify.Check) bool {
		played := slices.ContainsFunc(o.Checks, func(p verify.Check) bool { return p.ID == c.ID })
		return s.Serves(c) && s.Concerns(c.ID) && !played
	})
	result, err := verify.Verify(ctx, []verify.Server{subject}, o)
	if err != nil {
		return finding, err
	}
	held := result.Subjects[0]
	for _, c := range held.Checks {
		finding.take(c)
	}
	if len(held.Diagnosis) > 0 {
		finding.Most = held.Diagnosis[0].Cause
	}
	if s.Cause != "" && finding.Whole && finding.Most != s.Cause && finding.Undecided == 0 && len(finding.Untried) == 0 {
		finding.surprise("is said to have the cause %q, and not %q", finding.Most, s.Cause)
	}
	return finding, nil
}

// take adds a verdict to what was found out.
func (f *Finding) take(v report.Check) {
	if v.Status == report.Fail {
		f.CaughtBy = append(f.CaughtBy, v.ID)
	}
	switch {
	case v.Status == report.Error && strings.HasSuffix(v.Actual, "too busy to decide"):
		f.Undecided++ // that is right, and no verdict
	case v.Status == report.Error:
		f.surprise("%s could not be decided: %s", v.ID, v.Actual)
	case v.Status == report.Skip && f.Concerns(v.ID) && slices.Contains(needRights, v.ID):
		f.Untried = append(f.Untried, v.ID)
	case v.Status != report.Fail && f.Concerns(v.ID):
		f.surprise("passes %s", v.ID)
	case v.Status == report.Fail && !f.Concerns(v.ID) && !f.MayFail(v.ID):
		f.surprise("fails %s: expected %s; actual %s", v.ID, v.Expected, v.Actual)
	}
}

func (f *Finding) surprise(format string, args ...any) {
	f.Surprises = append(f.Surprises, fmt.Sprintf(format, args...))
}

// Concerns reports whether a check must catch the server.
func (s Server) Concerns(id string) bool { return match(s.Caught, id) }

// checks are those of the selected checks that the server is held to.
func (s Server) checks(selected []verify.Check) []verify.Check {
	return slices.DeleteFunc(slices.Clone(selected), func(c verify.Check) bool {
		return !s.Serves(c) || match(s.Spared, c.ID)
	})
}

// broad are checks with many clients, or for a long time, or that look at the
// process more than at what it says: what concerns bytes, connections or many
// clients may show there too.
var broad = []string{
	"close/vanish",
	"many/chatter", "many/slow", "many/wall", "many/soak", "many/waiting",
	"life/kept", "life/joined", "life/half-closed", "life/wakeups", "life/patience", "life/address", "life/alone",
	"life/ends", "life/spawn", "life/shed",
}

// MayFail reports whether a check that need not catch the server may.
func (s Server) MayFail(id string) bool {
	return match(s.Perhaps, id) || slices.Contains(broad, id) && slices.ContainsFunc(verify.Checks, func(c verify.Check) bool {
		return s.Concerns(c.ID) && c.Group() != "life"
	})
}

// allBut are the ids of all checks of an echo but these, and the broad ones.
func allBut(ids ...string) (all []string) {
	for _, c := range verify.Checks {
		if c.Service == "echo" && !slices.Contains(ids, c.ID) && !slices.Contains(broad, c.ID) {
			all = append(all, c.ID)
		}
	}
	return all
}

func match(patterns []string, id string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := path.Match(pattern, id)
		return ok
	})
}

// Serves reports whether a check is about what the server serves: TLS is an echo
// too.
func (s Server) Serves(c verify.Check) bool {
	return c.Service == s.Service || s.Service == "tls" && c.Service == "echo"
}

// Subject is the server to be held to checks, given where the lab's own program is.
func (s Server) Subject(lab string) (verify.Server, error) {
	command := []string{lab, "broken", s.Name, "{port}"}
	subject := verify.Server{
		Name:     s.Name,
		Kind:     "command",
		Limit:    s.Limit,
		Services: []string{s.Service},
		Command:  func(string) []string { return command },
	}
	if s.Service != "tls" {
		return subject, nil
	}
	made, err := certs.InMemory("127.0.0.1")
	if err != nil {
		return subject, err
	}
	command = append(command, "--cert="+made.Cert, "--key="+made.Key)
	subject.Services = []string{"echo", "tls"}
	subject.Mutual = append(slices.Clone(command), "--client-ca="+made.CA)
	cert, key, err := made.Client("lab verify")
	if err != nil {
		return subject, err
	}
	subject.TLS, err = certs.Client{CA: made.CA, Cert: cert, Key: key}.Config("127.0.0.1")
	return subject, err
}
