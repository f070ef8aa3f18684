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
	Drawn                                  string       // the diagram as text
	SVG                                    template.URL // and as a picture
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
	var picture template.URL
	if svg := c.svg(); svg != nil {
		picture = Picture(svg)
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
		SVG:     picture,
	}
}

// Picture is an SVG as a part of a page's text, so that the page is one file.
func Picture(svg []byte) template.URL {
	return template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg))
}
