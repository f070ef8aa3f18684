package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// A Target is where a report goes, and in which format: the value of --report.
type Target struct {
	Format string
	File   string // "-" is standard output
}

// UnmarshalText takes FORMAT=FILE. Who may not open /dev/stdout may still write
// to standard output.
func (t *Target) UnmarshalText(text []byte) error {
	t.Format, t.File, _ = strings.Cut(string(text), "=")
	if slices.Contains([]string{"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}, filepath.Clean(t.File)) {
		t.File = "-"
	}
	return nil
}

// ToStdout reports whether one of the targets is standard output.
func ToStdout(targets []Target) bool {
	return slices.ContainsFunc(targets, func(t Target) bool { return t.File == "-" })
}

// taken reports whether something else goes there: one of the others, or what
// goes to standard output. A file may have several names.
func (t Target) taken(others []Target, stdout bool) bool {
	if t.File == "-" {
		return stdout || ToStdout(others)
	}
	there, err := os.Stat(t.File)
	if err == nil && there.Mode().IsRegular() {
		if out, err := os.Stdout.Stat(); err == nil && os.SameFile(there, out) {
			return true
		}
	}
	return slices.ContainsFunc(others, func(other Target) bool {
		if other.File == "-" {
			return false
		}
		same, sameErr := os.Stat(other.File)
		return err == nil && sameErr == nil && os.SameFile(there, same) || place(t.File) == place(other.File)
	})
}

// place is the one name of a file that need not be there yet.
func place(file string) string {
	if path, err := filepath.EvalSymlinks(file); err == nil {
		file = path
	} else if folder, err := filepath.EvalSymlinks(filepath.Dir(file)); err == nil {
		file = filepath.Join(folder, filepath.Base(file))
	}
	if path, err := filepath.Abs(file); err == nil {
		file = path
	}
	return file
}

// Try finds out whether a report can be written there, before the work that it
// is to be about.
func (t Target) Try() error {
	there, err := os.Stat(t.File)
	link, linkErr := os.Lstat(t.File)
	switch {
	case t.File == "-", err == nil && !there.Mode().IsRegular() && !there.IsDir():
		return nil // a device is found out about by writing to it
	case err == nil && there.IsDir():
		err = syscall.EISDIR
	case linkErr == nil && link.Mode().Type() == fs.ModeSymlink:
		if errors.Is(err, fs.ErrNotExist) {
			return nil // to try would make the file, and writing tells
		}
		var file *os.File
		if file, err = os.OpenFile(t.File, os.O_WRONLY, 0); err == nil {
			err = file.Close()
		}
	default:
		err = tryIn(filepath.Dir(t.File))
	}
	return t.complain(err)
}

// tryFolder does the same for a folder that may have to be made.
func (t Target) tryFolder() error {
	folder := t.File
	for {
		there, err := os.Stat(folder)
		switch parent := filepath.Dir(folder); {
		case errors.Is(err, fs.ErrNotExist) && parent != folder:
			folder = parent
			continue
		case err == nil && !there.IsDir():
			err = syscall.ENOTDIR
		case err == nil:
			err = tryIn(folder)
		}
		return t.complain(err)
	}
}

func tryIn(folder string) error {
	try, err := os.CreateTemp(folder, ".lab-")
	if err != nil {
		return err
	}
	return errors.Join(try.Close(), os.Remove(try.Name()))
}

// Write puts a report where it goes. A file that was there is replaced as a
// whole: whoever looks sees the old one or the new one.
func (t Target) Write(report []byte) error { return t.complain(t.put(report)) }

func (t Target) put(report []byte) error {
	if t.File == "-" {
		_, err := os.Stdout.Write(report)
		return err
	}
	// A device or a link is written to; to replace it would do harm.
	if there, err := os.Lstat(t.File); err == nil && !there.Mode().IsRegular() {
		return os.WriteFile(t.File, report, 0o644)
	}
	return renameio.WriteFile(t.File, report, 0o644, renameio.WithTempDir(filepath.Dir(t.File)))
}

// complain names the file, the cause without the name of a temporary file, and
// the cure.
func (t Target) complain(err error) error {
	if err == nil {
		return nil
	}
	what := "the " + t.Format + " report to "
	if t.Format == "" {
		what = ""
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	cure := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		cure = "; make its folder first: mkdir -p " + filepath.Dir(t.File)
	case errors.Is(err, fs.ErrPermission):
		cure = "; choose a folder that you may write to"
	}
	return fmt.Errorf("cannot write %s%s: %w%s", what, t.File, err, cure)
}
