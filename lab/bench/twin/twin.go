// Package twin holds the C twins: for each model that has one, the plainest
// correct server of that model in C, and a generator of load.
//
// A student who comes from C or C++ meets them beside the Go pages: the same
// functions in the same order. And they show what Go costs and what it gives:
// lab bench measures a page beside its twin. They are in this binary as
// sources, and built on the machine that they run on.
package twin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"socketlab/models/all"
)

// The C files have a folder of their own: beside Go files they would be cgo's.
//
//go:embed c
var sources embed.FS

// Generator is the name of the generator of load among the programs: its
// arguments are PORT CLIENTS SIZE SECONDS, and it prints one line of JSON.
const Generator = "generator"

// Names are the servers, in the order of their models: a model has a twin if
// the folder c has a file of its name. Each one takes a PORT, listens on
// 127.0.0.1 and serves the service echo, to as many clients at once as its
// model.
func Names() (names []string) {
	for _, name := range all.Names() {
		if _, err := fs.Stat(sources, "c/"+name+".c"); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// Find names the twins that a model is to be compared with. A goroutine has
// two: it is used as a thread is, and waits as epoll does.
func Find(model string) []string {
	if model == "goroutine" {
		return []string{"thread", "epoll"}
	}
	if slices.Contains(Names(), model) {
		return []string{model}
	}
	return nil
}

// Page is the source of a server.
func Page(name string) (file string, text []byte, err error) {
	file = "c/" + name + ".c"
	text, err = sources.ReadFile(file)
	return "lab/bench/twin/" + file, text, err
}

// flags are strict: a warning about a page is a mistake on it.
var flags = []string{"-O2", "-Wall", "-Wextra", "-Werror", "-pthread"}

// Build makes the program of that name with the C compiler, $CC or cc, and says
// where it is: below dir, or if that is "" in the user's cache. A program that
// was built from the same sources before is not built again.
func Build(ctx context.Context, dir, name string) (program string, err error) {
	if name != Generator && !slices.Contains(Names(), name) {
		return "", fmt.Errorf("no C twin is called %q; there are %s", name, strings.Join(Names(), ", "))
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", noPlace(err)
		}
		dir = filepath.Join(cache, "lab", "twin")
	}
	compiler, err := findCompiler()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, key(compiler))
	program = filepath.Join(dir, name)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	return program, compile(ctx, compiler, dir, name)
}

func findCompiler() (string, error) {
	compiler := cmp.Or(os.Getenv("CC"), "cc")
	found, err := exec.LookPath(compiler)
	if err != nil {
		return "", fmt.Errorf("the C twins need a C compiler, and there is no %s; install gcc and libc6-dev, or set CC", compiler)
	}
	return found, nil
}

// key is another one when a source, the flags or the compiler is.
func key(compiler string) string {
	sum := sha256.New()
	fmt.Fprintln(sum, compiler, flags)
	files, _ := fs.Glob(sources, "c/*")
	for _, file := range files {
		text, _ := sources.ReadFile(file) // embedded: it is there
		fmt.Fprintf(sum, "%s %d\n%s", file, len(text), text)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// compile builds in a folder of its own, so that who does the same at the same
// time never meets half a program.
func compile(ctx context.Context, compiler, dir, name string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return noPlace(err)
	}
	work, err := os.MkdirTemp(dir, name)
	if err != nil {
		return noPlace(err)
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, sources); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, compiler, append(slices.Clone(flags), "-o", name, "c/"+name+".c")...)
	cmd.Dir = work
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s does not build the C twin %s: %v\n%s", compiler, name, err, bytes.TrimSpace(out)) // not %w: its exit code is not ours
	}
	return os.Rename(filepath.Join(work, name), filepath.Join(dir, name))
}

func noPlace(err error) error {
	return fmt.Errorf("no place for the C twins: %w; set XDG_CACHE_HOME to a folder", err)
}
