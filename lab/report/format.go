package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// A format is one way to write results.
type format struct {
	name  string
	write func(Verify, io.Writer) error
}

var formats = []format{
	{"json", Verify.JSON},
	{"junit", Verify.JUnit},
	{"tap", Verify.TAP},
	{"tap13", Verify.TAP13},
	{"gradescope", Verify.Gradescope},
	{"github", Verify.GitHub},
	{"html", Verify.HTML},
	{"markdown", Verify.Markdown},
}

// A Target is where a report goes, and in which format: the value of --report.
type Target struct {
	Format string
	File   string // "-" is standard output
}

// UnmarshalText takes FORMAT=FILE.
func (t *Target) UnmarshalText(text []byte) error {
	t.Format, t.File, _ = strings.Cut(string(text), "=")
	if _, err := formatNamed(t.Format); err != nil {
		return err
	}
	if t.File == "" {
		return fmt.Errorf("where to? say %s=FILE; - is standard output", t.Format)
	}
	return nil
}

// Where says in which format it goes where.
func (t Target) Where() (format, file string) { return t.Format, t.File }

// Formats are their names.
func Formats() (names []string) {
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

func formatNamed(name string) (format, error) {
	for _, f := range formats {
		if f.name == name {
			return f, nil
		}
	}
	return format{}, fmt.Errorf("no format %q; there are %s", name, strings.Join(Formats(), ", "))
}

// Save writes the report to its target. A file that was there is replaced as a
// whole: whoever looks sees the old one or the new one.
func (v Verify) Save(to Target) error {
	format, err := formatNamed(to.Format)
	if err != nil {
		return err
	}
	var report bytes.Buffer
	if err := format.write(v, &report); err != nil {
		return fmt.Errorf("cannot make the %s report: %w", to.Format, err)
	}
	if err := to.Write(report.Bytes()); err != nil {
		return err
	}
	if to.Format == "github" {
		return v.stepSummary()
	}
	return nil
}

// Try finds out whether a report can be written there, before the work that it
// is to be about.
func (t Target) Try() error {
	there, err := os.Stat(t.File)
	switch {
	case t.File == "-", err == nil && !there.Mode().IsRegular() && !there.IsDir():
		return nil // a device is found out about by writing to it
	case err == nil && there.IsDir():
		err = syscall.EISDIR
	default:
		var try *os.File
		if try, err = os.CreateTemp(filepath.Dir(t.File), ".lab-"); err == nil {
			try.Close()
			err = os.Remove(try.Name())
		}
	}
	return t.complain(err)
}

// Write puts a report where it goes, as a whole.
func (t Target) Write(report []byte) error { return t.complain(t.put(report)) }

func (t Target) complain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot write the %s report to %s: %w", t.Format, t.File, explain(err, t.File))
}

func (t Target) put(report []byte) error {
	if t.File == "-" {
		_, err := os.Stdout.Write(report)
		return err
	}
	// A device or a link, such as /dev/stdout, is written to; to replace it
	// would do harm.
	if there, err := os.Lstat(t.File); err == nil && !there.Mode().IsRegular() {
		return os.WriteFile(t.File, report, 0o644)
	}
	return renameio.WriteFile(t.File, report, 0o644, renameio.WithTempDir(filepath.Dir(t.File)))
}

// explain is the cause of an error alone, without the name of the temporary
// file, and the cure.
func explain(err error, file string) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; make its folder first: mkdir -p %s", err, filepath.Dir(file))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; choose a folder that you may write to", err)
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
	}
	return indented(w, v)
}

func indented(w io.Writer, document any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(document)
}
