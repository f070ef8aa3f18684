package verify_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"socketlab/lab/verify"
)

// TestDocs holds docs/verify.md to the checks: a section for each of them, in
// the order of lab verify --list, that says what the check says and shows how
// to see it by hand.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	sections := map[string]string{}
	for section := range strings.SplitSeq("\n"+string(text), "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		if strings.Contains(title, "/") {
			ids = append(ids, title)
			sections[title] = body
		}
	}
	var want []string
	for _, c := range verify.Checks {
		want = append(want, c.ID)
	}
	if !slices.Equal(ids, want) {
		t.Errorf("sections %q, want those of lab verify --list: %q", ids, want)
	}
	for _, c := range verify.Checks {
		for _, part := range []string{
			"\n**" + string(c.Level) + "**: " + c.Says + "\n",
			"```sh\n" + c.Try + "\n```\n",
		} {
			if !strings.Contains("\n"+sections[c.ID], part) {
				t.Errorf("%s: its section lacks %q", c.ID, part)
			}
		}
	}
}

// TestTry finds what a shell would not even parse; a student is to copy it.
func TestTry(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	for _, c := range verify.Checks {
		if out, err := exec.Command(bash, "-n", "-c", c.Try).CombinedOutput(); err != nil {
			t.Errorf("%s: %s: %v\n%s", c.ID, c.Try, err, out)
		}
		if !strings.Contains(c.Try, "PORT") && !strings.Contains(c.Try, "{port}") {
			t.Errorf("%s: %s names no port", c.ID, c.Try)
		}
	}
}
