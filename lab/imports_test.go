//go:build linux

package main

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const contributing = "../docs/contributing.md"

// A room is a row of the table in docs/contributing.md.
type room struct {
	name    string   // its folder, with all folders in it that are no rooms of their own
	standOn []string // the rooms that it may import
	any     bool     // it may import all of them
	files   int      // how many Go files it has, without tests
}

// TestImports holds every file to the table of the rooms: what its room may
// import.
func TestImports(t *testing.T) {
	rooms := roomsTable(t)
	of := func(folder string) *room {
		for at := folder; at != "."; at = path.Dir(at) {
			if r, found := rooms[at]; found && (at != "lab" || folder == "lab") {
				return r
			}
		}
		t.Fatalf("%s is in no room: give it a row in docs/contributing.md", folder)
		return nil
	}
	for _, file := range goSources(t) {
		r := of(path.Dir(file))
		r.files++
		tree, err := parser.ParseFile(token.NewFileSet(), "../"+file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range tree.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			folder, ours := strings.CutPrefix(imported, "socketlab/")
			if !ours {
				continue
			}
			if to := of(folder); to != r && !r.any && !slices.Contains(r.standOn, to.name) {
				t.Errorf("%s imports %s, and %s does not stand on %s: move the code to where it belongs, or change the table in docs/contributing.md and say why",
					file, folder, r.name, to.name)
			}
		}
	}
	for _, r := range rooms {
		if r.files == 0 {
			t.Errorf("the room %s is empty: take its row out of docs/contributing.md", r.name)
		}
	}
}

// TestDirection holds the table itself to the rules that it stands for.
func TestDirection(t *testing.T) {
	rooms := roomsTable(t)
	for _, rule := range []struct {
		who   []string
		never string // a room, or a folder of rooms
	}{
		{[]string{"models", "models/all", "models/guests", "models/serve", "models/session", "models/sys"}, "lab"},
		{[]string{"lab/verify"}, "lab/trace"}, {[]string{"lab/verify"}, "lab/bench"},
		{[]string{"lab/trace"}, "lab/verify"}, {[]string{"lab/trace"}, "lab/bench"},
		{[]string{"lab/bench"}, "lab/verify"}, {[]string{"lab/bench"}, "lab/trace"},
		{[]string{"lab/text", "lab/diagram", "lab/report"}, "lab/subject"},
		{[]string{"lab/text", "lab/diagram", "lab/report"}, "lab/proc"},
		{[]string{"lab/text", "lab/diagram", "lab/report", "lab/proc"}, "models"},
	} {
		for _, name := range rule.who {
			if rooms[name] == nil {
				t.Fatalf("there is no room %s", name)
			}
			for _, below := range rooms[name].standOn {
				if below == rule.never || strings.HasPrefix(below, rule.never+"/") {
					t.Errorf("the table lets %s stand on %s", name, below)
				}
			}
			if rooms[name].any {
				t.Errorf("the table lets %s stand on anything", name)
			}
		}
	}
}

// roomsTable reads the table of the rooms.
func roomsTable(t *testing.T) map[string]*room {
	t.Helper()
	text, err := os.ReadFile(contributing)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- lab/imports_test.go reads this table -->\n")
	table, _, found2 := strings.Cut(rest, "<!-- end of the table -->")
	if !found || !found2 {
		t.Fatalf("%s has lost the marks around its table", contributing)
	}
	rooms := map[string]*room{}
	for _, line := range strings.Split(strings.TrimSpace(table), "\n")[2:] {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 3 {
			t.Fatalf("not a row of three cells: %s", line)
		}
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		r := &room{name: cells[0], any: cells[2] == "all"}
		if !r.any && cells[2] != "–" {
			for _, below := range strings.Split(cells[2], ", ") {
				if !strings.Contains(below, "/") && below != "models" {
					below = path.Join(strings.Split(r.name, "/")[0], below)
				}
				r.standOn = append(r.standOn, below)
			}
		}
		rooms[r.name] = r
	}
	for _, r := range rooms {
		for _, below := range r.standOn {
			if rooms[below] == nil {
				t.Errorf("%s is to stand on %s, which is no room", r.name, below)
			}
		}
	}
	return rooms
}

// goSources are the project's Go files that are no tests, from the top folder.
func goSources(t *testing.T) (files []string) {
	t.Helper()
	for _, top := range []string{"models", "lab", "docs"} {
		err := fs.WalkDir(os.DirFS(".."), top, func(file string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() && e.Name() == "testdata" {
				return fs.SkipDir
			}
			if path.Ext(file) == ".go" && !strings.HasSuffix(file, "_test.go") {
				files = append(files, file)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestWhatItTakes holds the lists in docs/contributing.md to the files: each
// word in backticks right behind a link is in the file that the link leads to.
func TestWhatItTakes(t *testing.T) {
	text, err := os.ReadFile(contributing)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("\\]\\(([^)#]+)\\)((?:\\s+`[^`]+`)+)")
	found := named.FindAllStringSubmatch(string(text), -1)
	for _, link := range found {
		file := filepath.Join("../docs", link[1])
		content, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for word := range strings.SplitSeq(link[2], "`") {
			if word = strings.TrimSpace(word); word != "" && !bytes.Contains(content, []byte(word)) {
				t.Errorf("docs/contributing.md says that %s is in %s, and it is not", word, link[1])
			}
		}
	}
	for _, thing := range []string{"model", "check", "cause", "broken server", "scene", "experiment"} {
		a := "A"
		if thing == "experiment" {
			a = "An"
		}
		if heading := fmt.Sprintf("\n### %s %s\n", a, thing); !strings.Contains(string(text), heading) {
			t.Errorf("docs/contributing.md does not say what a new %s takes", thing)
		}
	}
	if len(found) < 20 {
		t.Errorf("only %d links with words behind them: this test reads the wrong thing", len(found))
	}
}
