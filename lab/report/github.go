package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
)

// GitHub writes workflow commands, which the log of a GitHub Actions run turns
// into annotations: an error for each failure, a warning for what only should
// pass. They are to go to standard output, --report=github=-.
func (v Verify) GitHub(w io.Writer) error {
	v = v.shown()
	var b bytes.Buffer
	if v.Failure != "" {
		annotate(&b, "error", "lab verify", v.Failure)
	}
	for _, s := range v.Subjects {
		if likely := (Verify{Subjects: []Subject{s}}).likely(); len(likely) > 0 {
			annotate(&b, "notice", s.Name, strings.Join(likely, "\n"))
		}
		for _, c := range s.Checks {
			level := "error"
			if c.forgiven(v.Strict) {
				level = "warning"
			}
			if c.Status == Fail || c.Status == Error {
				brief := c
				brief.Story, brief.Diff, brief.Schedule, brief.Output, brief.Diagram = nil, nil, "", "", nil
				annotate(&b, level, fmt.Sprintf("%s (%s)", c.ID, s.Name), c.Says+"\n"+brief.tell(0))
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// annotate escapes as the runner unescapes. Only its source documents that:
// actions/toolkit, command.ts.
func annotate(w io.Writer, level, title, message string) {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	fmt.Fprintf(w, "::%s title=%s::%s\n", level, property.Replace(title), data.Replace(strings.TrimRight(message, "\n")))
}

// stepSummary adds the report to the page of the run, if this is one. GitHub
// shows nothing at all of a summary that is larger than 1 MiB, so there the
// stories are left out.
func (v Verify) stepSummary() error {
	const most = 1 << 20
	name := os.Getenv("GITHUB_STEP_SUMMARY")
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("cannot add to the step summary: %w", err)
	}
	defer file.Close()
	there, err := file.Stat()
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if v.Markdown(&page); there.Size()+int64(page.Len()) > most {
		page.Reset()
		v.shown().overview(&page)
	}
	if _, err := file.Write(page.Bytes()); err != nil {
		return fmt.Errorf("cannot add to the step summary: %w", err)
	}
	return file.Close()
}
