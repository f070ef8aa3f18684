package models_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"socketlab/models"
	"socketlab/models/all"
)

// The numbers, all in one place. Where a page outgrows one of them, shorten the
// page, or raise the number in a commit that says why.
const (
	columns   = 80 // two pages fit side by side
	tabWidth  = 4  // columns that a tab counts here, as in most editors
	funcLines = 40 // lines of a function, without its comment
	nesting   = 3  // blocks inside each other in a function
	summary   = 60 // characters in `lab models`
)

// pageLines is how long each page may be. It is a ceiling, not a record: a page
// of one idea fits into it. Which page may be longer, and why, stands here.
const pageLines = 160

var longPages = map[string]int{
	"process":   190, // two programs on one page: parent and child
	"prefork":   210, // so too, and the parent replaces workers
	"roles":     210, // three threads on one page
	"tls":       180, // goroutine's page, a handshake, and a second kind of end
	"epollloop": 180, // the list in the kernel has calls of its own: create, add, change, take off
	"reactors":  180, // one who accepts, and several loops, with what they owe each other at the end
	"offload":   180, // a loop, workers, and what happens to a client who is with a worker
}

// stepLines is how many lines diff may show between a page and the one before
// it in the catalogue; smallSteps are those that change one thing only.
const stepLines = 300

var smallSteps = map[string]int{
	"goroutine→tls":       80,
	"selectloop→pollloop": 60,
	"pollloop→epollloop":  80,
}

// infrastructure is what stands beside the pages.
var infrastructure = []string{"all", "guests", "internal", "serve", "session", "sys"}

// pagesMayImport is all that a page needs: no lab, no other page, and nothing
// that prints or logs.
var pagesMayImport = []string{
	"bytes", "context", "crypto/tls", "errors", "net", "os", "os/exec", "os/signal", "runtime", "slices", "strconv", "sync", "sync/atomic", "time", "unsafe",
	"golang.org/x/sys/unix",
	"socketlab/models", "socketlab/models/guests", "socketlab/models/session", "socketlab/models/sys",
}

// sessionsMayImport is nothing that can wait, and time for the two files that
// name a duration: work.go does wait, on purpose, and says so.
var (
	sessionsMayImport = []string{
		"bytes", "errors", "fmt", "iter", "slices", "strconv", "strings", "unicode", "unicode/utf8",
	}
	timeMayBeIn = []string{"session/work.go", "session/service.go"}
)

// A page is one model's file, parsed.
type page struct {
	folder string
	file   string
	source string
	model  models.Model
	*ast.File
	*token.FileSet
}

// parse reads a file below models.
func parse(t *testing.T, file string) *page {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return &page{folder: path.Dir(file), file: file, source: string(source), File: tree, FileSet: set}
}

// folder is where a model's page is, which Serve knows.
func folder(m models.Model) string {
	serve := runtime.FuncForPC(reflect.ValueOf(m.Serve).Pointer())
	pkg, _, _ := strings.Cut(path.Base(serve.Name()), ".")
	return pkg
}

// catalogue is every page, in the order in which to read.
func catalogue(t *testing.T) (pages []*page) {
	t.Helper()
	for _, m := range all.Every() {
		if m.Serve == nil {
			t.Fatalf("model %q has no Serve", m.Name)
		}
		files := goFiles(t, folder(m))
		if len(files) != 1 {
			t.Fatalf("%s is one page, and has %d files: %v", folder(m), len(files), files)
		}
		p := parse(t, files[0])
		p.model = m
		pages = append(pages, p)
	}
	return pages
}

// goFiles are the files of a folder that are no tests.
func goFiles(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(folder + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
}

// eachPage runs a test for every page.
func eachPage(t *testing.T, test func(*testing.T, *page)) {
	for _, p := range catalogue(t) {
		t.Run(p.folder, func(t *testing.T) { test(t, p) })
	}
}

func (p *page) line(n ast.Node) int { return p.Position(n.Pos()).Line }

// at says where a node is, as the compiler would.
func (p *page) at(n ast.Node) string { return fmt.Sprintf("models/%s:%d", p.file, p.line(n)) }

// imports are the paths that a file imports, without their quotes.
func (p *page) imports(t *testing.T) (paths []string) {
	t.Helper()
	for _, spec := range p.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, imported)
	}
	return paths
}

// functions are the functions of a file, in their order.
func (p *page) functions() (fs []*ast.FuncDecl) {
	for _, d := range p.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			fs = append(fs, f)
		}
	}
	return fs
}

func TestEveryFolderIsInTheCatalogue(t *testing.T) {
	var listed []string
	for _, p := range catalogue(t) {
		listed = append(listed, p.folder)
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(infrastructure, e.Name()) && !slices.Contains(listed, e.Name()) {
			t.Errorf("models/%s is not in models/all: a page is a folder and a line there", e.Name())
		}
	}
}

// The pages are in Source, and tests are not.
func TestSource(t *testing.T) {
	eachPage(t, func(t *testing.T, p *page) {
		if text, err := models.Source.ReadFile(p.file); err != nil || string(text) != p.source {
			t.Errorf("Source has not %s: %v; see its patterns", p.file, err)
		}
	})
	if tests, _ := fs.Glob(models.Source, "*/*_test.go"); len(tests) > 0 {
		t.Errorf("Source has tests: %v", tests)
	}
}

func TestPagesImport(t *testing.T) {
	eachPage(t, func(t *testing.T, p *page) {
		for _, imported := range p.imports(t) {
			if !slices.Contains(pagesMayImport, imported) {
				t.Errorf("the page imports %s; it may import %s",
					imported, strings.Join(pagesMayImport, ", "))
			}
		}
	})
}

func TestOnlyTheCatalogueImportsPages(t *testing.T) {
	var pages []string
	for _, p := range catalogue(t) {
		pages = append(pages, "socketlab/models/"+p.folder)
	}
	for _, folder := range append([]string{"."}, infrastructure...) {
		for _, file := range goFiles(t, folder) {
			for _, imported := range parse(t, file).imports(t) {
				if folder != "all" && slices.Contains(pages, imported) {
					t.Errorf("models/%s imports the page %s; only models/all does", file, imported)
				}
				if strings.HasPrefix(imported, "socketlab/lab") {
					t.Errorf("models/%s imports %s; models know nothing of the lab", file, imported)
				}
			}
		}
	}
}

func TestSessionsCannotWait(t *testing.T) {
	for _, file := range goFiles(t, "session") {
		for _, imported := range parse(t, file).imports(t) {
			inTime := imported == "time" && slices.Contains(timeMayBeIn, file)
			itsClock := file == "session/work.go" && slices.Contains([]string{"runtime", "golang.org/x/sys/unix"}, imported)
			if !inTime && !itsClock && !slices.Contains(sessionsMayImport, imported) {
				t.Errorf("models/%s imports %s; a session may import nothing that can wait: %s",
					file, imported, strings.Join(sessionsMayImport, ", "))
			}
		}
	}
	ast.Inspect(parse(t, "session/service.go").File, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && fmt.Sprint(s.X) == "time" {
			if !slices.Contains([]string{"Duration", "ParseDuration"}, s.Sel.Name) {
				t.Errorf("models/session/service.go uses time.%s; it is to name durations only", s.Sel.Name)
			}
		}
		return true
	})
}

func TestPageComment(t *testing.T) {
	eachPage(t, func(t *testing.T, p *page) {
		if p.Name.Name != p.folder {
			t.Errorf("the package is %s, and its folder %s", p.Name.Name, p.folder)
		}
		doc := p.Doc.Text()
		if begin := "Package " + p.folder + " "; !strings.HasPrefix(doc, begin) {
			t.Errorf("the page begins %.40q, want %q", doc, begin)
		}
		before, any := all.Before(p.model)
		if !any {
			return // is compared with nothing
		}
		compared := regexp.MustCompile(`(?m)^Compared with (\w+): `).FindStringSubmatch(doc)
		switch {
		case compared == nil:
			t.Error(`the page does not say what changed: "Compared with NEIGHBOUR: …"`)
		case compared[1] != folder(before):
			t.Errorf("the page is compared with %s, and the page before it is %s", compared[1], folder(before))
		}
	})
}

// The text about a page compares it with the one before it too, and leads to
// both neighbours.
func TestTextsLeadOn(t *testing.T) {
	for _, m := range all.Every() {
		t.Run(m.Name, func(t *testing.T) {
			text, err := os.ReadFile("../docs/models/" + m.Name + ".md")
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if before, any := all.Before(m); any {
				want = append(want, "\nCompared with "+before.Name+": ", "\nlab diff "+before.Name+" "+m.Name+"\n")
			}
			for _, next := range all.Every() {
				if before, any := all.Before(next); any && before.Name == m.Name && next.Variant == "" {
					want = append(want, "\nlab diff "+m.Name+" "+next.Name+"\n")
				}
			}
			for _, w := range want {
				if !strings.Contains(string(text), w) {
					t.Errorf("docs/models/%s.md does not say %q", m.Name, strings.TrimSpace(w))
				}
			}
		})
	}
}

func TestPageDeclares(t *testing.T) {
	const model, serve = "var Model = models.Model{", "func Serve(job models.Job) error {"
	eachPage(t, func(t *testing.T, p *page) {
		for _, want := range []string{model, serve} {
			declared := func(d ast.Decl) bool { return strings.HasPrefix(p.text(d), want) }
			if !slices.ContainsFunc(p.Decls, declared) {
				t.Errorf("models/%s declares no %s", p.file, want)
			}
		}
	})
}

// text is the source of a node.
func (p *page) text(n ast.Node) string {
	return p.source[p.Position(n.Pos()).Offset:p.Position(n.End()).Offset]
}

func TestCards(t *testing.T) {
	names := map[string]string{}
	eachPage(t, func(t *testing.T, p *page) {
		m := p.model
		if other, taken := names[m.Name]; taken {
			t.Errorf("%s has the name %q too", other, m.Name)
		}
		names[m.Name] = p.folder
		if m.Name != p.folder && strings.TrimPrefix(m.Name, "io")+"loop" != p.folder {
			t.Errorf("the name is %q; say %q, what --model takes", m.Name, strings.TrimSuffix(p.folder, "loop"))
		}
		for field, text := range map[string]string{
			"Summary": m.Summary, "Holds": m.Holds, "Waits": m.Waits,
		} {
			if text == "" || text != strings.TrimSpace(text) || strings.ContainsAny(text, "\n\t") {
				t.Errorf("%s is %q, want one line", field, text)
			}
			if strings.HasSuffix(text, ".") {
				t.Errorf("%s ends with a period: %q", field, text)
			}
		}
		if n := utf8.RuneCountInString(m.Summary); n > summary {
			t.Errorf("Summary has %d characters, at most %d fit: %q", n, summary, m.Summary)
		}
		if m.Limit < 0 {
			t.Errorf("Limit is %d; 0 is none", m.Limit)
		}
	})
}

// forbidden says what is wrong with a name, or nothing.
func forbidden(name string) string {
	if m := regexp.MustCompile(`(?i)manager|util|common|handler\d`).FindString(name); m != "" {
		return fmt.Sprintf("%s: %q says nothing; use the man page's word", name, m)
	}
	return ""
}

func TestNames(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.go", "*/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		p := parse(t, file)
		if wrong := forbidden(strings.TrimSuffix(file, ".go")); wrong != "" {
			t.Errorf("models/%s", wrong)
		}
		ast.Inspect(p.File, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && forbidden(id.Name) != "" {
				t.Errorf("%s: %s", p.at(id), forbidden(id.Name))
			}
			return true
		})
	}
}

func TestPagesDoNotPrintOrSleep(t *testing.T) {
	eachPage(t, func(t *testing.T, p *page) {
		ast.Inspect(p.File, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch f := p.text(call.Fun); f {
			case "print", "println", "panic", "time.Sleep", "unix.Nanosleep", "os.Stdout.Write", "os.Stderr.Write":
				t.Errorf("%s: a page has no %s", p.at(call), f)
			}
			return true
		})
	})
}

func TestPageLength(t *testing.T) {
	eachPage(t, func(t *testing.T, p *page) {
		lines := strings.Count(p.source, "\n")
		most := max(pageLines, longPages[p.folder])
		if lines > most {
			t.Errorf("models/%s has %d lines, at most %d fit: what is not the model's own idea is shared, in guests, session or sys",
				p.file, lines, most)
		}
	})
}

func TestPageWidth(t *testing.T) {
	eachPage(t, func(t *testing.T, p *page) {
		for i, line := range strings.Split(p.source, "\n") {
			// gofmt puts tabs at the beginning only, where they are tabWidth wide
			wide := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", strings.Repeat(" ", tabWidth)))
			if wide > columns {
				t.Errorf("models/%s:%d: %d columns, %d fit (a tab is %d): %s",
					p.file, i+1, wide, columns, tabWidth, strings.TrimSpace(line))
			}
		}
	})
}

func TestFunctionLength(t *testing.T) {
	eachPage(t, func(t *testing.T, p *page) {
		for _, f := range p.functions() {
			if lines := p.Position(f.End()).Line - p.line(f.Type) + 1; lines > funcLines {
				t.Errorf("%s: %s has %d lines, at most %d fit in the head", p.at(f.Name), f.Name, lines, funcLines)
			}
		}
	})
}

func TestNesting(t *testing.T) {
	eachPage(t, func(t *testing.T, p *page) {
		for _, f := range p.functions() {
			if deepest, depth := deepest(f.Body); depth > nesting {
				t.Errorf("%s: in %s blocks are nested %d deep, at most %d fit in the head",
					p.at(deepest), f.Name, depth, nesting)
			}
		}
	})
}

// deepest finds the innermost block of a function, and how many it is inside
// of, itself included. A switch or select is one block with all its cases, and
// so is a function literal.
func deepest(body *ast.BlockStmt) (at ast.Node, depth int) {
	var open []ast.Node
	ast.Inspect(body, func(n ast.Node) bool {
		if n == nil {
			open = open[:len(open)-1]
			return true
		}
		open = append(open, n)
		blocks := 0
		for _, n := range open {
			if b, ok := n.(*ast.BlockStmt); ok && b != body {
				blocks++
			}
		}
		if blocks > depth {
			at, depth = n, blocks
		}
		return true
	})
	return at, depth
}

// The measure itself, on code whose depth anyone can count.
func TestNestingIsCountedRight(t *testing.T) {
	for code, want := range map[string]int{
		"f()":          0,
		"if a { f() }": 1,
		"if a { f() } else if b { f() } else { f() }": 1,
		"for { if a { f() } }; if a { f() }":          2,
		"switch { case a: f() }":                      1,
		"switch { case a: if b { f() } }":             2,
		"for { select { case <-c: f() } }":            2,
		"go func() { for { f() } }()":                 2,
		"for { for { for { if a { f() } } } }":        4,
	} {
		source := "package p\nfunc g() {\n" + code + "\n}\n"
		tree, err := parser.ParseFile(token.NewFileSet(), "", source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := deepest(tree.Decls[0].(*ast.FuncDecl).Body); got != want {
			t.Errorf("%s: counted %d deep, want %d", code, got, want)
		}
	}
}
