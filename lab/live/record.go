package live

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"strings"
)

// Schema is the name and version of a recording: docs/schema/live-1.schema.json.
const Schema = "lab.live/1"

// A Meta is what a page has to know before the first event. It is the first line
// of a recording; each other line is an event.
type Meta struct {
	Schema   string            `json:"schema"`
	Title    string            `json:"title"`
	Sources  map[string]string `json:"sources"` // the text of pages, by file
	Scenes   []Script          `json:"scenes"`
	ReadOnly bool              `json:"readOnly,omitempty"`
	Replay   bool              `json:"replay,omitempty"`
}

// A Recording is a lesson that is over.
type Recording struct {
	Meta   Meta
	Events [][]byte // as JSON
}

// Write writes the recording in the format of --record.
func (r Recording) Write(w io.Writer) error {
	out := bufio.NewWriter(w)
	out.Write(marshal(r.Meta))
	out.WriteByte('\n')
	for _, e := range r.Events {
		out.Write(e)
		out.WriteByte('\n')
	}
	return out.Flush()
}

// Read reads a file of --record. If the file ends in the middle of a line, Read
// returns all whole lines, and cut is true.
func Read(r io.Reader) (recording Recording, cut bool, err error) {
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF) && n > 1:
			return recording, len(line) > 0, nil
		case errors.Is(err, io.EOF):
			return recording, false, errors.New("not a recording of lab live: it has no first line")
		case err != nil:
			return recording, false, err
		case n == 1:
			if err := json.Unmarshal(line, &recording.Meta); err != nil || recording.Meta.Schema != Schema {
				return recording, false, fmt.Errorf("not a recording of lab live: its first line has no schema %q", Schema)
			}
		default:
			line = bytes.TrimSpace(line)
			var e Event
			if err := json.Unmarshal(line, &e); err != nil {
				return recording, false, fmt.Errorf("line %d is no event: %w", n, err)
			}
			recording.Events = append(recording.Events, line)
		}
	}
}

// modules are the scripts of the page. Each one needs only those before it.
var modules = []string{"words.js", "dom.js", "state.js", "ladder.js", "columns.js", "main.js"}

// Export writes one page that needs nothing else: no lab, no network.
func (r Recording) Export(w io.Writer) error {
	script, err := bundle()
	if err != nil {
		return err
	}
	style, err := assets.ReadFile("assets/live.css")
	if err != nil {
		return err
	}
	index, err := assets.ReadFile("assets/index.html")
	if err != nil {
		return err
	}
	meta := r.Meta
	meta.Replay, meta.ReadOnly = true, true
	data := fmt.Sprintf(`{"meta":%s,"events":[%s]}`, marshal(meta), bytes.Join(r.Events, []byte(",")))
	page := strings.NewReplacer(
		`<link rel="stylesheet" href="live.css">`, "<style>\n{{.Style}}</style>",
		`<link rel="icon" href="icon.svg">`, "",
		`<script type="module" src="main.js"></script>`, "",
		"</body>", `<script type="application/json" id="recording">{{.Data}}</script>`+"\n<script type=\"module\">\n{{.Script}}</script>\n</body>",
	).Replace(string(index))
	t, err := template.New("export").Parse(page)
	if err != nil {
		return err
	}
	return t.Execute(w, map[string]any{"Style": template.CSS(style), "Script": template.JS(script), "Data": json.RawMessage(data)})
}

// bundle joins all modules. Imports are dropped: what they import is above.
func bundle() (string, error) {
	var all strings.Builder
	for _, name := range modules {
		text, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "import ") {
				all.WriteString(strings.TrimPrefix(line, "export "))
			}
		}
	}
	return all.String(), nil
}
