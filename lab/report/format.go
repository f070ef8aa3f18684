package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"socketlab/lab/text"
)

// A Format is one way to write a result. Either it is one text, or it is several
// files in a folder.
type Format[R any] struct {
	Name   string
	Write  func(R, io.Writer) error
	Folder func(R, string) error
}

// Formats are all ways to write a result.
type Formats[R any] []Format[R]

// VerifyFormats are those of lab verify.
var VerifyFormats = Formats[Verify]{
	{Name: "json", Write: Verify.JSON},
	{Name: "junit", Write: Verify.JUnit},
	{Name: "tap", Write: Verify.TAP},
	{Name: "tap13", Write: Verify.TAP13},
	{Name: "gradescope", Write: Verify.Gradescope},
	{Name: "github", Write: Verify.GitHub},
	{Name: "html", Write: Verify.HTML},
	{Name: "markdown", Write: Verify.Markdown},
}

// Names are those of the formats.
func (f Formats[R]) Names() (names []string) {
	for _, format := range f {
		names = append(names, format.Name)
	}
	return names
}

func (f Formats[R]) of(to Target) (Format[R], error) {
	i := slices.IndexFunc(f, func(format Format[R]) bool { return format.Name == to.Format })
	if i < 0 {
		return Format[R]{}, fmt.Errorf("no format %q; there are %s", to.Format, strings.Join(f.Names(), ", "))
	}
	return f[i], nil
}

// Check refuses targets that make no sense: an unknown format, no file, two
// reports in one place. If stdout, standard output is taken already.
func (f Formats[R]) Check(targets []Target, stdout bool) error {
	for i, to := range targets {
		format, err := f.of(to)
		switch {
		case err != nil:
			return err
		case format.Folder != nil && (to.File == "" || to.File == "-"):
			return fmt.Errorf("where to? say %s=FOLDER: it is several files", to.Format)
		case to.File == "":
			return fmt.Errorf("where to? say %s=FILE; - is standard output", to.Format)
		case to.taken(targets[:i], stdout):
			return fmt.Errorf("--report=%s=%s: something else goes there already; choose another FILE", to.Format, to.File)
		}
	}
	return nil
}

// Try finds out whether all reports can be written, before the work that they
// are to be about.
func (f Formats[R]) Try(targets []Target) error {
	var errs []error
	for _, to := range targets {
		format, err := f.of(to)
		switch {
		case err != nil:
		case format.Folder != nil:
			err = to.tryFolder()
		default:
			err = to.Try()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Save writes all reports, also if one of them cannot be written.
func (f Formats[R]) Save(result R, targets []Target) error {
	var errs []error
	for _, to := range targets {
		errs = append(errs, f.save(result, to))
	}
	return errors.Join(errs...)
}

func (f Formats[R]) save(result R, to Target) error {
	format, err := f.of(to)
	if err != nil {
		return err
	}
	if format.Folder != nil {
		return format.Folder(result, to.File)
	}
	var report bytes.Buffer
	if err := format.Write(result, &report); err != nil {
		return fmt.Errorf("cannot make the %s report: %w", to.Format, err)
	}
	return to.Write(report.Bytes())
}

// Save writes the reports on v. GitHub shows one on the page of the run, too.
func (v Verify) Save(targets ...Target) error {
	err := VerifyFormats.Save(v, targets)
	if slices.ContainsFunc(targets, func(to Target) bool { return to.Format == "github" }) {
		err = errors.Join(err, v.stepSummary())
	}
	return err
}

// JSON writes one document of the schema lab.verify/1, docs/schema. It is the
// only format with all there is: nothing is left out, and strings are as the
// server sent them, as far as they are UTF-8.
func (v Verify) JSON(w io.Writer) error {
	v.Subjects = append([]Subject{}, v.Subjects...) // [], not null
	for i := range v.Subjects {
		s := &v.Subjects[i]
		s.Command, s.Checks = append([]string{}, s.Command...), append([]Check{}, s.Checks...)
		s.Diagnosis = append([]Diagnosis{}, s.Diagnosis...)
	}
	return text.JSON(w, v)
}
