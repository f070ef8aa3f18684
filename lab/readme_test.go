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

	"socketlab/models/all"
)

// TestReadmeTable holds the table of the README to the models' own cards.
func TestReadmeTable(t *testing.T) {
	const readme, begin, end = "../README.md", "make update -->\n", "<!-- end of the table -->"
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	old, after, found2 := strings.Cut(rest, end)
	if !found || !found2 {
		t.Fatal("the README has lost the marks around its table")
	}
	table := readmeTable(t)
	if old == table {
		return
	}
	if !*update {
		t.Fatalf("the README's table is not what the models say (make update):\n%s\nwant:\n%s", old, table)
	}
	if err := os.WriteFile(readme, []byte(before+begin+table+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readmeTable(t *testing.T) string {
	var table strings.Builder
	table.WriteString("| model | waits in | one client costs | at once | lines | diff to the one before |\n|---|---|---|---|---|---|\n")
	for _, m := range all.Models {
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
