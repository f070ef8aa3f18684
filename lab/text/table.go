package text

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	pretty "github.com/jedib0t/go-pretty/v6/text"
)

// A Table has a row for each thing. Its first column is of names, the others are
// of figures.
type Table struct {
	Head []string
	Rows []Row
}

// A Row is of one thing, marked if it has no figures. If it has fewer cells than
// others, its last one runs across their columns.
type Row struct {
	Bad   bool
	Name  string
	Cells []string
}

// Text writes the table for people, in lines of 80 columns if names can be made
// short enough. In a table with a title the names are indented.
func (t Table) Text(w io.Writer, color bool) {
	const most = 80
	if t.Head[0] != "" {
		t.Rows = slices.Clone(t.Rows)
		for i := range t.Rows {
			t.Rows[i].Name = " " + t.Rows[i].Name
		}
	}
	lines := t.lines()
	label, widest := Width(t.Head[0]), 0
	for _, row := range t.Rows {
		label = max(label, Width(row.Name))
	}
	for _, line := range lines {
		widest = max(widest, Width(line))
	}
	if widest > most {
		t.Head, t.Rows = slices.Clone(t.Head), slices.Clone(t.Rows)
		label = max(9, label-(widest-most))
		if Width(t.Head[0]) > label {
			fmt.Fprintln(w, t.Head[0])
			t.Head[0] = ""
		}
		for i := range t.Rows {
			t.Rows[i].Name = Shorten(t.Rows[i].Name, label)
		}
		lines = t.lines()
	}
	for i, line := range lines {
		switch {
		case color && i == 0:
			line = pretty.Bold.Sprint(line)
		case color && t.Rows[i-1].Bad:
			line = pretty.ReverseVideo.Sprint(line) // not by colour alone
		}
		fmt.Fprintln(w, line)
	}
}

const apart = "\u2060" // a word joiner takes no column

// lines are the table as text, a line for the head and for each row.
func (t Table) lines() []string {
	p := table.NewWriter()
	style := table.StyleDefault
	style.Options, style.Format = table.OptionsNoBordersAndSeparators, table.FormatOptions{}
	style.Box.PaddingLeft, style.Box.PaddingRight = " ", ""
	p.SetStyle(style)
	p.SuppressTrailingSpaces()
	head := table.Row{}
	var columns []table.ColumnConfig
	for i, cell := range t.Head {
		head = append(head, cell)
		if i > 0 && len(t.Head) > 2 { // one column alone is of words
			columns = append(columns, table.ColumnConfig{Number: i + 1, Align: pretty.AlignRight, AlignHeader: pretty.AlignRight})
		}
	}
	p.SetColumnConfigs(columns)
	p.AppendHeader(head)
	for _, row := range t.Rows {
		cells, last := table.Row{row.Name}, len(row.Cells)-1
		for i := range len(t.Head) - 1 {
			cell := row.Cells[min(i, last)]
			if i < last {
				cell += strings.Repeat(apart, i%2) // neighbours are merged if they are the same
			}
			cells = append(cells, cell)
		}
		p.AppendRow(cells, table.RowConfig{AutoMerge: last < len(t.Head)-2, AutoMergeAlign: pretty.AlignLeft})
	}
	lines := strings.Split(strings.ReplaceAll(p.Render(), apart, ""), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], " ")
	}
	return lines
}

// Markdown is the table in GitHub's dialect.
func (t Table) Markdown() string {
	var b strings.Builder
	line := func(cells ...string) {
		for _, cell := range cells {
			b.WriteString("| " + Markdown(cell) + " ")
		}
		b.WriteString("|\n")
	}
	line(t.Head...)
	b.WriteString("|---" + strings.Repeat("|--:", len(t.Head)-1) + "|\n")
	for _, row := range t.Rows {
		line(append([]string{row.Name}, row.Cells...)...)
	}
	return b.String()
}
