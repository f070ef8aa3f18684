package verify

import (
	"slices"

	"socketlab/lab/report"
)

// A Cause is one thing that is wrong in a server, whatever checks it fails.
type Cause struct {
	ID    string // a stable name: "nul"
	Says  string // what the server does
	Looks string // how that shows from outside
	Cure  string // what to do

	// shows is how well a failure fits: no, perhaps, like or proof.
	shows func(facts) fit

	// leads are the symptoms that may follow from it elsewhere.
	leads []symptom
}

// A fit is how much a failure speaks for a cause.
type fit float64

const (
	no      fit = 0
	follows fit = 0.3  // it may be a consequence of the cause
	weak    fit = 0.65 // it is a little more likely than what is usual
	guess   fit = 0.6  // it is a usual cause of that check's failures
	perhaps fit = 1    // it may show like this
	like    fit = 2    // the cause shows like this
	proof   fit = 5    // nothing else shows like this
)

// CauseOf is the cause with that id.
func CauseOf(id string) (Cause, bool) {
	i := slices.IndexFunc(Causes, func(c Cause) bool { return c.ID == id })
	if i < 0 {
		return Cause{}, false
	}
	return Causes[i], true
}

// fits is how well a failure fits the cause: by what was seen, or because it is
// a usual one of that check, the first of them more than the next ones.
func (c Cause) fits(f facts, usual []string) fit {
	seen := no
	if c.shows != nil {
		seen = c.shows(f)
	}
	if i := slices.Index(usual, c.ID); i >= 0 {
		seen = max(seen, guess-fit(i)/20)
	}
	if slices.Contains(c.leads, f.symptom) && f.source != others { // to mix clients is a bug of its own
		seen = max(seen, follows)
	}
	return seen
}

// A failure is a check that failed, and what was seen.
type failure struct {
	facts
	usual []string // causes of that check's failures, the most usual first
}

// diagnose ranks the causes by how much of what was seen they explain. Each
// further one is the best for what those before it leave unexplained.
func diagnose(failures []failure) (all []report.Diagnosis) {
	for len(failures) > 0 {
		var best Cause
		most := no
		for _, c := range Causes {
			sum, strongest := no, no
			for _, f := range failures {
				fits := c.fits(f.facts, f.usual)
				sum, strongest = sum+fits, max(strongest, fits)
			}
			if strongest > follows && sum > most {
				best, most = c, sum
			}
		}
		if most == no {
			return all
		}
		diagnosis := report.Diagnosis{Cause: best.ID, Says: best.Says, Cure: best.Cure, See: "docs/causes.md#" + best.ID}
		failures = slices.DeleteFunc(slices.Clone(failures), func(f failure) bool {
			explained := best.fits(f.facts, f.usual) > no
			if explained {
				diagnosis.Explains = append(diagnosis.Explains, f.check)
			}
			return explained
		})
		all = append(all, diagnosis)
	}
	return all
}

func (f facts) in(checks ...string) bool { return slices.Contains(checks, f.check) }

func (f facts) shows(symptoms ...symptom) bool { return slices.Contains(symptoms, f.symptom) }

// when is a fit, if something is so.
func when(so bool, strength fit) fit {
	if so {
		return strength
	}
	return no
}
