//go:build linux

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// TestLinks follows every relative link in the documents: to a file, and to a
// heading in it.
func TestLinks(t *testing.T) {
	followed := 0
	for _, file := range documents(t) {
		for _, link := range links(prose(t, filepath.Join("..", file))) {
			if strings.Contains(link, ":") {
				continue // out of the repository
			}
			followed++
			path, anchor, anchored := strings.Cut(link, "#")
			target := filepath.Join("..", filepath.Dir(file), path)
			if path == "" {
				target = filepath.Join("..", file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", file, link)
				continue
			}
			if anchored && !slices.Contains(anchors(prose(t, target)), anchor) {
				t.Errorf("%s: %s leads to no heading", file, link)
			}
		}
	}
	if followed == 0 {
		t.Error("no link was found")
	}
}

var fence = regexp.MustCompile("(?ms)^ *```.*?^ *```")

// prose is a document without its blocks of code.
func prose(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fence.ReplaceAllString(string(text), "")
}

var (
	linkForms = regexp.MustCompile(`\]\(([^)\s]+)[^)]*\)|(?m:^\[[^\]]+\]:\s*(\S+))|(?:src|href)="([^"]+)"`)
	verbatim  = regexp.MustCompile("`[^`]*`")
)

func links(text string) (all []string) {
	for _, form := range linkForms.FindAllStringSubmatch(verbatim.ReplaceAllString(text, ""), -1) {
		all = append(all, form[1]+form[2]+form[3]) // only one of them is not empty
	}
	return all
}

var heading = regexp.MustCompile(`(?m)^#+ +(.*?) *$`)

// anchors are the names under which web pages of a repository let headings be
// found: small letters, spaces as hyphens, no punctuation.
func anchors(text string) (all []string) {
	for _, title := range heading.FindAllStringSubmatch(text, -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, title[1]))
	}
	return all
}

func TestAnchors(t *testing.T) {
	got := anchors("# The lab\n\n## 2. `close/half`, and why\n\nno # heading\n### Größe_x\n")
	want := []string{"the-lab", "2-closehalf-and-why", "größe_x"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLinkForms(t *testing.T) {
	got := links("[a](b.md) and ![c](d.svg \"title\"), `[not](this)`\n[e]: f.md#g\n<img src=\"h.png\">\n")
	want := []string{"b.md", "d.svg", "f.md#g", "h.png"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
