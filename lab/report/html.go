package report

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"path"
	"strings"
)

//go:embed page.html
var page string

// HTML writes one page that needs nothing else: the matrix, and behind each
// cell its story.
func (v Verify) HTML(w io.Writer) error { return Page(w, page, v.shown().view()) }

// Page fills in the text of a page. The template escapes each value for the
// place where it stands.
func Page(w io.Writer, page string, values any) error {
	t, err := template.New("page").Parse(page)
	if err != nil {
		return err
	}
	return t.Execute(w, values)
}

// A view is what the page shows.
type view struct {
	Verify
	Sentences []string // the summary
	Likely    []string // what is most likely wrong, and the cure, in turns
	Columns   []column
	Groups    []*viewGroup
	Meanings  []meaning
	Cells     []*viewCell // all of them, for the stories
}

type viewGroup struct {
	Name string
	Rows []viewRow
}

type viewRow struct {
	Name, Says string
	Cells      []*viewCell // nil: the subject was not held to it
}

// A viewCell is one check on one subject.
type viewCell struct {
	Check
	Subject, Anchor string
}

func (v Verify) view() view {
	page := view{Verify: v, Sentences: strings.Split(v.Summary(), "\n"), Likely: v.likely(), Columns: v.columns(), Meanings: v.meanings()}
	for i, id := range ids(v.Subjects) {
		row := viewRow{Name: path.Base(id)}
		for j, s := range v.Subjects {
			var cell *viewCell
			if c, held := s.check(id); held {
				row.Says = c.Says
				cell = &viewCell{c, s.Name, fmt.Sprintf("story-%d-%d", i, j)}
				page.Cells = append(page.Cells, cell)
			}
			row.Cells = append(row.Cells, cell)
		}
		if n := len(page.Groups); n == 0 || page.Groups[n-1].Name != path.Dir(id) {
			page.Groups = append(page.Groups, &viewGroup{Name: path.Dir(id)})
		}
		group := page.Groups[len(page.Groups)-1]
		group.Rows = append(group.Rows, row)
	}
	return page
}

// Kind is what the check looks like on the page.
func (c Check) Kind() string {
	if c.Status == Fail && c.Level == Should {
		return "should"
	}
	return string(c.Status)
}

// Picture is an SVG as a part of a page's text, so that the page is one file.
func Picture(svg []byte) template.URL {
	return template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg))
}
