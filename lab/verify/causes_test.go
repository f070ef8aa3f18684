package verify_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"socketlab/lab/verify"
)

var update = flag.Bool("update", false, "write docs/causes.md again")

// TestCausesDocumented holds docs/causes.md to the catalogue: a section for each
// cause, with what shows it and what cures it, and the checks that name it.
func TestCausesDocumented(t *testing.T) {
	const file = "../../docs/causes.md"
	var page strings.Builder
	fmt.Fprint(&page, `# What is wrong when checks fail

`+"`lab verify`"+` names the most likely cause of what failed, and these are the causes it knows. Each section
says what the server does, how that shows from outside, and what to do. The checks themselves are in
[verify.md](verify.md).

A cause is concluded from what was seen: where the first wrong byte is and where it comes from, FIN or
RST, in which call the server sleeps, how it ended, what it printed. Causes are ranked by how much of
that they explain, so the first one is the one to start with; what follows from it often goes with it.
It is a conclusion, not a proof: the story of the check is what happened.
`)
	for _, c := range verify.Causes {
		fmt.Fprintf(&page, "\n## %s\n\n**%s.**\n\n%s\n\nCure: %s\n", c.ID, upper(c.Says), c.Looks, c.Cure)
		var checks []string
		for _, check := range verify.Checks {
			for _, id := range check.Causes {
				if id == c.ID {
					checks = append(checks, fmt.Sprintf("[%s](verify.md#%s)", check.ID, strings.ReplaceAll(check.ID, "/", "")))
				}
			}
		}
		if len(checks) > 0 {
			fmt.Fprintf(&page, "\nOften found by %s.\n", strings.Join(checks, ", "))
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != page.String() {
		t.Errorf("docs/causes.md is not what the catalogue says (%v): go test ./lab/verify -run CausesDocumented -update", err)
	}
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// Every cause is complete, and every check names causes that there are.
func TestCausesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range verify.Causes {
		if seen[c.ID] || !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(c.ID) || c.Says == "" || c.Looks == "" || c.Cure == "" {
			t.Errorf("cause %q is there twice or not complete", c.ID)
		}
		seen[c.ID] = true
	}
	for _, c := range verify.Checks {
		for _, id := range c.Causes {
			if !seen[id] {
				t.Errorf("%s names the cause %q, which there is not", c.ID, id)
			}
		}
	}
}
