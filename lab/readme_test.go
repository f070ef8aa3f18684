//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"socketlab/lab/verify/client"
	"socketlab/models/all"
)

// TestReadmeTable holds the table of the README to the models' own cards.
func TestReadmeTable(t *testing.T) {
	holdTable(t, "../README.md", "<!-- the table is made from the models' own cards: make update -->\n", readmeTable(t))
}

// TestProgramsTable holds what to type for the tutorials' programs to the one
// table of them, and each name in it to its model.
func TestProgramsTable(t *testing.T) {
	var table strings.Builder
	table.WriteString("| program of the tutorials | here | `--model` understands |\n|---|---|---|\n")
	for _, p := range all.Programs {
		names := append([]string{}, p.Names...)
		if p.Model != "" {
			names = append(names, p.Model)
		}
		for i, name := range names {
			if m, err := all.Named(name); err != nil || m.Name != p.Model {
				t.Errorf("%q means %q, %v; want %q", name, m.Name, err, p.Model)
			}
			names[i] = "`" + name + "`"
		}
		fmt.Fprintf(&table, "| %s | `%s` | %s |\n", p.What, p.Type, strings.Join(names, ", "))
	}
	for _, file := range []string{"../README.md", "../docs/glossary.md"} {
		holdTable(t, file, "<!-- the table is made from models/all/documents.go: make update -->\n", table.String())
	}
}

// TestClientChecksTable holds the table of docs/clients.md to the checks.
func TestClientChecksTable(t *testing.T) {
	var table strings.Builder
	table.WriteString("| id | level | the client … | usual cause of a failure |\n|---|---|---|---|\n")
	for _, c := range client.Checks {
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", c.ID, c.Level, c.Says, c.Cause)
	}
	holdTable(t, "../docs/clients.md", "<!-- the table is made from lab verify --client --list: make update -->\n", table.String())
}

// holdTable holds what stands in a document behind a mark to what it should be.
func holdTable(t *testing.T, file, begin, table string) {
	t.Helper()
	const end = "<!-- end of the table -->"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	old, after, found2 := strings.Cut(rest, end)
	if !found || !found2 {
		t.Fatalf("%s has lost the marks around its table", file)
	}
	if old == table {
		return
	}
	if !*update {
		t.Fatalf("the table in %s is not what it is made from (make update):\n%s\nwant:\n%s", file, old, table)
	}
	if err := os.WriteFile(file, []byte(before+begin+table+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readmeTable(t *testing.T) string {
	var table strings.Builder
	table.WriteString("| model | waits in | one client costs | at once | lines | diff to the one before |\n|---|---|---|---|---|---|\n")
	for _, m := range all.Every() {
		file := m.Page()
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		limit := "no limit"
		if m.Limit > 0 {
			limit = fmt.Sprint(m.Limit)
		}
		diff := "–"
		if before, any := all.Before(m); any {
			// diff exits with 1 when there is a difference, and says so on stdout
			out, _ := exec.Command("diff", filepath.Join("..", before.Page()), filepath.Join("..", file)).Output()
			added, removed := bytes.Count(out, []byte("\n> ")), bytes.Count(out, []byte("\n< "))
			diff = fmt.Sprintf("+%d −%d", added, removed)
		}
		fmt.Fprintf(&table, "| [%s](%s) | %s | %s | %s | %d | %s |\n",
			m.Name, file, m.Waits, m.Holds, limit, bytes.Count(text, []byte("\n")), diff)
	}
	return table.String()
}
