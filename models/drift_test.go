package models_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"

	"socketlab/models/all"
)

// families are pages that do the same in the same order, so that a diff shows
// the model and nothing else. A page joins by its name in a line here.
var families = [][]string{
	{"blocking", "process", "prefork", "thread", "pool"},
	{"roles", "selectloop", "pollloop", "epollloop", "reactors", "offload"},
}

// repeated is text that stands on several pages on purpose, word for word with
// its comment: it can wait, so it is not shared.
var repeated = []struct {
	pages []string
	names []string          // of types and functions
	words map[string]string // what a page may call otherwise, and the word for it
}{{
	pages: []string{"blocking", "process", "prefork", "thread", "pool"},
	names: []string{"client", "converse"},
}, {
	pages: []string{"process", "prefork", "thread", "pool"},
	names: []string{"clientsTurn"},
}, {
	pages: []string{"goroutine", "tls"},
	names: []string{"listen", "answer", "tell"},
}, {
	pages: []string{"roles", "selectloop", "reactors"},
	names: []string{"onReadable", "onWritable"},
}, {
	pages: []string{"roles", "offload"},
	names: []string{"onWritable"},
}, {
	pages: []string{"selectloop", "pollloop", "epollloop"},
	names: []string{
		"client", "onReady", "onConnection", "onOperator", "onReadable", "onWritable", "settle",
	},
}}

func TestRepeatedText(t *testing.T) {
	pages := byFolder(t)
	for _, r := range repeated {
		first := r.pages[0]
		for _, name := range r.names {
			want := spoken(declaration(t, pages, first, name), r.words)
			for _, other := range r.pages[1:] {
				t.Run(name+" of "+first+" and "+other, func(t *testing.T) {
					got := spoken(declaration(t, pages, other, name), r.words)
					if got != want {
						t.Errorf("%s has drifted; it is to be the same on both pages:\n%s",
							name, compare(first, want, other, got))
					}
				})
			}
		}
	}
}

func byFolder(t *testing.T) map[string]*page {
	t.Helper()
	pages := map[string]*page{}
	for _, p := range catalogue(t) {
		pages[p.folder] = p
	}
	return pages
}

// declaration is the source of a function or type, with its comment.
func declaration(t *testing.T, pages map[string]*page, folder, name string) string {
	t.Helper()
	p := pages[folder]
	if p == nil {
		t.Fatalf("%s is no page in models/all", folder)
	}
	for _, d := range p.Decls {
		names, doc := declares(d)
		if !slices.Contains(names, name) {
			continue
		}
		text := p.text(d) + "\n"
		if doc != nil {
			text = p.text(doc) + "\n" + text
		}
		return text
	}
	t.Fatalf("models/%s declares no %s", p.file, name)
	return ""
}

// declares are the names that a declaration introduces.
func declares(d ast.Decl) (names []string, doc *ast.CommentGroup) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return []string{d.Name.Name}, d.Doc
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if s, ok := spec.(*ast.TypeSpec); ok && d.Tok == token.TYPE {
				names = append(names, s.Name.Name)
			}
		}
		return names, d.Doc
	}
	return nil, nil
}

// spoken is the text with each word replaced that pages may call otherwise.
func spoken(text string, words map[string]string) string {
	return regexp.MustCompile(`\w+`).ReplaceAllStringFunc(text, func(word string) string {
		if other, ok := words[word]; ok {
			return other
		}
		return word
	})
}

func compare(name, text, otherName, otherText string) string {
	return string(diff.Diff(name, []byte(text), otherName, []byte(otherText)))
}

func TestFamiliesKeepTheirOrder(t *testing.T) {
	pages := byFolder(t)
	for _, family := range families {
		for i, other := range family[1:] {
			before := family[i]
			t.Run(before+" and "+other, func(t *testing.T) {
				a, b := functionNames(t, pages, before), functionNames(t, pages, other)
				a, b = keep(a, b), keep(b, a)
				if len(a) < 2 {
					t.Fatalf("both have only %v: a family does the same", a)
				}
				if !slices.Equal(a, b) {
					t.Errorf("the functions that both have stand in another order:\n%s:\t%s\n%s:\t%s",
						before, strings.Join(a, " "), other, strings.Join(b, " "))
				}
			})
		}
	}
}

// keep is those of names that are in others too, in their order.
func keep(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !slices.Contains(others, name)
	})
}

func functionNames(t *testing.T, pages map[string]*page, folder string) (names []string) {
	t.Helper()
	if pages[folder] == nil {
		t.Fatalf("%s is no page in models/all", folder)
	}
	for _, f := range pages[folder].functions() {
		names = append(names, f.Name.Name)
	}
	return names
}

// A step from one page to the next is to be small enough to be read.
func TestSteps(t *testing.T) {
	pages := byFolder(t)
	for _, next := range catalogue(t) {
		before, any := all.Before(next.model)
		if !any {
			continue
		}
		from := pages[folder(before)]
		step := from.folder + "→" + next.folder
		t.Run(step, func(t *testing.T) {
			text := compare(from.file, from.source, next.file, next.source)
			most := stepLines
			if n, small := smallSteps[step]; small {
				most = n
			}
			if lines := changed(text); lines > most {
				t.Errorf("from %s to %s %d lines differ, at most %d may: shorten it, or raise the ceiling with a reason\n%s",
					from.folder, next.folder, lines, most, text)
			}
		})
	}
}

// changed counts the lines that a diff takes away and adds.
func changed(diff string) (n int) {
	_, body, _ := strings.Cut(diff, "\n@@")
	for line := range strings.Lines(body) {
		if line[0] == '+' || line[0] == '-' {
			n++
		}
	}
	return n
}
