package broken

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"socketlab/lab/text"
)

// Table writes a row for each server: its name, its bug, and what catches it.
// A row is as wide as a terminal, 80 columns.
func Table(w io.Writer, findings []Finding) {
	row(w, []string{"BROKEN SERVER"}, []string{"CAUGHT BY"})
	for _, f := range findings {
		title := f.Name
		if f.Source != "" {
			title += "  (" + f.Source + ")"
		}
		row(w, []string{title, f.Bug}, f.caughtBy())
		fmt.Fprintln(w)
	}
}

// Programs are those of the tutorials that Source names.
var Programs = map[byte]string{
	'A': "chat server for one client, with select",
	'B': "its client",
	'C': "chat server for many clients, with three threads",
	'D': "its client",
	'E': "client that takes turns",
	'F': "server for one client at a time",
	'G': "server with a process for each client",
	'H': "server with a thread for each client",
	'Q': "chat server with TLS",
}

// Legend says what the letters behind the names mean, as far as there are any.
func Legend(w io.Writer, findings []Finding) {
	var letters []byte
	for _, f := range findings {
		letters = append(letters, f.Source...)
	}
	slices.Sort(letters)
	for i, letter := range slices.Compact(letters) {
		if i == 0 {
			fmt.Fprintln(w, "The letters are the programs of two tutorials in which the bug was found:")
		}
		fmt.Fprintf(w, "  %c  %s\n", letter, Programs[letter])
	}
}

// row writes two columns side by side, each as wide as half a terminal.
func row(w io.Writer, left, right []string) {
	const half = 38
	wrap := func(lines []string) (wrapped []string) {
		for _, line := range lines {
			wrapped = append(wrapped, text.Wrap(line, half)...)
		}
		return wrapped
	}
	left, right = wrap(left), wrap(right)
	blank := make([]string, max(len(left), len(right)))
	left, right = append(left, blank...), append(right, blank...)
	for i := range blank {
		fmt.Fprintln(w, strings.TrimRight(" "+text.Left(left[i], half)+"  "+right[i], " "))
	}
}

// caughtBy is a line for each group of checks: "close  fin half". What is a
// surprise stands below.
func (f Finding) caughtBy() (lines []string) {
	for _, id := range f.CaughtBy {
		group := path.Dir(id) + "  "
		if n := len(lines); n > 0 && strings.HasPrefix(lines[n-1], group) {
			lines[n-1] += " " + path.Base(id)
		} else {
			lines = append(lines, group+path.Base(id))
		}
	}
	if len(lines) == 0 {
		lines = []string{"nothing"}
	}
	for _, surprise := range f.Surprises {
		lines = append(lines, "SURPRISE: "+surprise)
	}
	return lines
}

// JSON writes one document, schema lab.broken/1.
func JSON(w io.Writer, findings []Finding) error {
	type server struct {
		Name      string   `json:"name"`
		Bug       string   `json:"bug"`
		Source    string   `json:"source,omitempty"`
		Service   string   `json:"service"`
		Limit     int      `json:"limit"`
		Cause     string   `json:"cause,omitempty"`
		Most      string   `json:"most_likely,omitempty"`
		CaughtBy  []string `json:"caught_by"`
		Surprises []string `json:"surprises"`
	}
	document := struct {
		Schema  string   `json:"schema"`
		Servers []server `json:"servers"`
	}{Schema: "lab.broken/1"}
	for _, f := range findings {
		document.Servers = append(document.Servers, server{
			f.Name, f.Bug, f.Source, f.Service, f.Limit, f.Cause, f.Most,
			append([]string{}, f.CaughtBy...), append([]string{}, f.Surprises...), // [] and not null
		})
	}
	return text.JSON(w, document)
}
