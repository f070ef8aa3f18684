package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// TAP writes the Test Anything Protocol, version 14: one flat list, and YAML
// below what did not pass.
func (v Verify) TAP(w io.Writer) error { return v.tap(w, 14) }

// TAP13 writes the same for readers that refuse a later number, such as the
// prove of Perl 5.36; they understand all that there is.
func (v Verify) TAP13(w io.Writer) error { return v.tap(w, 13) }

func (v Verify) tap(w io.Writer, version int) error {
	v = v.shown()
	points := 0
	for _, s := range v.Subjects {
		points += len(s.Checks)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "TAP version %d\n", version)
	switch {
	case v.Failure != "":
		first, _, _ := strings.Cut(v.Failure, "\n")
		fmt.Fprintln(&b, "1..1\nnot ok 1 - the server can be looked at")
		diagnose(&b, []field{{"message", v.Failure}})
		fmt.Fprintf(&b, "Bail out! %s\n", tapped(first))
	case points == 0:
		fmt.Fprintln(&b, "1..0 # SKIP no check applies")
	default:
		fmt.Fprintf(&b, "1..%d\n", points)
	}
	n := 0
	for _, s := range v.Subjects {
		fmt.Fprintf(&b, "# %s\n", s.Name)
		for _, p := range (Verify{Subjects: []Subject{s}}).likely() {
			fmt.Fprintf(&b, "# %s\n", p)
		}
		for _, c := range s.Checks {
			n++
			c.point(&b, n, s.Name, v.Strict)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// point writes one check. TODO is TAP's word for what may fail.
func (c Check) point(w io.Writer, n int, subject string, strict bool) {
	ok, directive := "ok", ""
	switch {
	case c.Status == Skip:
		directive = " # SKIP " + tapped(c.Note)
	case c.forgiven(strict):
		ok, directive = "not ok", " # TODO should pass, but need not"
	case c.Status != Pass:
		ok = "not ok"
	}
	fmt.Fprintf(w, "%s %d - %s%s\n", ok, n, tapped(fmt.Sprintf("%s: %s %s", c.ID, subject, c.Says)), strings.TrimRight(directive, " "))
	if c.Status != Fail && c.Status != Error {
		return
	}
	diagnose(w, []field{
		{"severity", string(c.Status)},
		{"level", string(c.Level)},
		{"duration_ms", c.MS},
		{"expected", c.Expected},
		{"actual", c.Actual},
		{"cause", c.Hint},
		{"try", c.Try},
		{"story", c.Story},
		{"bytes", c.Diff},
		{"schedule", split(c.Schedule)},
		{"diagram", split(c.Drawn(0))},
		{"picture", c.Picture},
		{"output", split(c.Output)},
	})
}

// tapped is text in which # begins no directive.
func tapped(s string) string {
	return strings.NewReplacer(`\`, `\\`, `#`, `\#`).Replace(s)
}

func split(text string) []string {
	if text = strings.TrimRight(text, "\n"); text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

type field struct {
	name  string
	value any
}

// diagnose writes a YAML block. Its values are JSON, which is YAML as well, and
// its lists are numbered: prove takes the colon in - "a: b" for that of a key.
func diagnose(w io.Writer, fields []field) {
	fmt.Fprintln(w, "  ---")
	for _, f := range fields {
		list, isList := f.value.([]string)
		switch {
		case len(list) > 0:
			fmt.Fprintf(w, "  %s:\n", f.name)
			for i, item := range list {
				fmt.Fprintf(w, "    %d: %s\n", i+1, scalar(item))
			}
		case !isList && f.value != "":
			fmt.Fprintf(w, "  %s: %s\n", f.name, scalar(f.value))
		}
	}
	fmt.Fprintln(w, "  ...")
}

func scalar(value any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(value) // of a string or a number: cannot fail
	return strings.TrimSuffix(b.String(), "\n")
}
