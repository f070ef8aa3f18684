package report

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"path"
	"strings"
	"text/template"
	"text/template/parse"
)

//go:embed page.html
var page string

// HTML writes one page that needs nothing else: the matrix, and behind each
// cell its story.
//
// text/template is enough, and it is in the program already: html/template
// would make every child of the process model start later. In exchange the page
// puts values into text and into quoted attributes only, and nowhere else.
func (v Verify) HTML(w io.Writer) error { return Page(w, page, v.shown().view()) }

// Page fills in the text of a page. All values are escaped.
func Page(w io.Writer, text string, values any) error {
	t, err := template.New("page").Parse(text)
	if err != nil {
		return err
	}
	escapeValues(t.Tree.Root)
	return t.Execute(w, values)
}

// escapeValues adds "| html" to each value of a template, so that none can be
// forgotten.
func escapeValues(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch node := node.(type) {
		case *parse.ActionNode:
			html := &parse.CommandNode{NodeType: parse.NodeCommand, Args: []parse.Node{parse.NewIdentifier("html")}}
			node.Pipe.Cmds = append(node.Pipe.Cmds, html)
		case *parse.IfNode:
			escapeValues(node.List)
			escapeValues(node.ElseList)
		case *parse.RangeNode:
			escapeValues(node.List)
			escapeValues(node.ElseList)
		case *parse.WithNode:
			escapeValues(node.List)
			escapeValues(node.ElseList)
		}
	}
}

// A view is what the page shows, in its order.
type view struct {
	Title    string
	Failure  string
	Summary  []string
	When     string
	Columns  []column
	Wide     bool // so many columns that there is no room for sentences
	Groups   []viewGroup
	Meanings []meaning
	Cells    []viewCell // all of them, for the stories
}

type viewGroup struct {
	Name string
	Rows []viewRow
}

type viewRow struct {
	Name, Says string
	Cells      []viewCell
}

// A viewCell is one check on one subject. Its kind is what it looks like.
type viewCell struct {
	Check
	Kind, Symbol, Verdict, Subject, Anchor string
	Seconds                                string
	Bytes                                  string
	Drawn                                  string // the diagram as text
	SVG                                    string // and as a picture, in base64
}

func (v Verify) view() view {
	page := view{
		Failure:  v.Failure,
		Summary:  strings.Split(v.Summary(), "\n"),
		Columns:  v.columns(),
		Wide:     len(v.Subjects) > 6,
		Meanings: v.meanings(),
	}
	var names []string
	for _, s := range v.Subjects {
		names = append(names, s.Name)
	}
	page.Title = strings.Join(names, ", ")
	if !v.Started.IsZero() {
		page.When = v.Started.Format("2 January 2006, 15:04")
	}
	for i, id := range ids(v.Subjects) {
		row := viewRow{Name: path.Base(id)}
		for j, s := range v.Subjects {
			cell := viewCell{}
			if c, held := s.check(id); held {
				row.Says = c.Says
				cell = c.cell(s.Name, fmt.Sprintf("story-%d-%d", i, j))
				page.Cells = append(page.Cells, cell)
			}
			row.Cells = append(row.Cells, cell)
		}
		if n := len(page.Groups); n == 0 || page.Groups[n-1].Name != path.Dir(id) {
			page.Groups = append(page.Groups, viewGroup{Name: path.Dir(id)})
		}
		group := &page.Groups[len(page.Groups)-1]
		group.Rows = append(group.Rows, row)
	}
	return page
}

func (c Check) cell(subject, anchor string) viewCell {
	kind := string(c.Status)
	if c.Status == Fail && c.Level == Should {
		kind = "should"
	}
	return viewCell{
		Check:   c,
		Kind:    kind,
		Symbol:  c.symbol(),
		Verdict: c.verdict(),
		Subject: subject,
		Anchor:  anchor,
		Seconds: inSeconds(c.MS),
		Bytes:   strings.Join(c.Diff, "\n"),
		Drawn:   c.drawn(0),
		SVG:     base64.StdEncoding.EncodeToString(c.svg()),
	}
}
