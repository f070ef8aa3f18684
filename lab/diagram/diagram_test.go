package diagram

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "write the golden files; read the diff before you keep it")

// drawings are the formats, by the end of a golden file's name.
var drawings = map[string]func(Trace, io.Writer) error{
	"txt":        func(t Trace, w io.Writer) error { return t.Text(w, Style{}) },
	"wide.txt":   func(t Trace, w io.Writer) error { return t.Text(w, Style{Width: 132, Times: true}) },
	"ascii.txt":  func(t Trace, w io.Writer) error { return t.Text(w, Style{ASCII: true}) },
	"colour.txt": func(t Trace, w io.Writer) error { return t.Text(w, Style{Color: true}) },
	"mmd":        Trace.Mermaid,
	"svg":        func(t Trace, w io.Writer) error { return t.SVG(w, Style{}) },
	"times.svg":  func(t Trace, w io.Writer) error { return t.SVG(w, Style{Times: true}) },
	"json":       Trace.JSON,
	"perfetto":   Trace.Perfetto,
	"normal.txt": func(t Trace, w io.Writer) error { return t.Normalise().Text(w, Style{}) },
}

func draw(t *testing.T, format string, trace Trace) string {
	t.Helper()
	var b strings.Builder
	if err := drawings[format](trace, &b); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	kept := map[string][]string{
		"open":         {"txt", "wide.txt", "ascii.txt", "mmd", "svg", "json", "perfetto", "normal.txt"},
		"two-clients":  {"txt", "colour.txt", "mmd", "svg", "times.svg", "normal.txt"},
		"process-life": {"txt", "mmd", "svg", "normal.txt"},
		"inferred":     {"txt", "ascii.txt", "mmd", "svg"},
		"hostile":      {"txt", "ascii.txt", "mmd", "svg"},
	}
	for name, trace := range traces {
		formats := kept[name]
		if formats == nil {
			formats = []string{"txt"}
		}
		for _, format := range formats {
			t.Run(name+"."+format, func(t *testing.T) {
				got := draw(t, format, trace().Trace)
				file := filepath.Join("testdata", name+"."+format)
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("it is drawn in another way; if that is better, go test -update (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestEveryFormatIsDeterministic(t *testing.T) {
	for name, trace := range traces {
		for format := range drawings {
			once := draw(t, format, trace().Trace)
			if again := draw(t, format, trace().Trace); once != again {
				t.Errorf("%s.%s is different the second time", name, format)
			}
		}
	}
}

func TestDrawingLeavesTheTraceAlone(t *testing.T) {
	for name, trace := range traces {
		got := trace().Trace
		for format := range drawings {
			draw(t, format, got)
		}
		if diff := cmp.Diff(trace().Trace, got); diff != "" {
			t.Errorf("%s was changed:\n%s", name, diff)
		}
	}
}

func TestTextFits(t *testing.T) {
	for name, trace := range traces {
		for _, style := range []Style{
			{Width: 40}, {Width: 60}, {Width: 80}, {Width: 100}, {Width: 200},
			{Width: 40, Times: true}, {Width: 80, ASCII: true}, {Width: 100, ASCII: true, Times: true},
		} {
			var b strings.Builder
			if err := trace().Text(&b, style); err != nil {
				t.Fatal(err)
			}
			if err := fits(b.String(), style); err != nil {
				t.Errorf("%s, %+v: %v", name, style, err)
			}
		}
	}
}

// fits holds a text to its width, and to characters that a terminal does not
// obey.
func fits(text string, style Style) error {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > style.Width {
			return fmt.Errorf("%d columns: %s", n, line)
		}
		for _, r := range line {
			if !unicode.IsPrint(r) || style.ASCII && r > unicode.MaxASCII || unicode.Is(unicode.Hebrew, r) {
				return fmt.Errorf("%U in %q", r, line)
			}
		}
	}
	return nil
}

// Every word is there, however narrow the terminal: a label that does not fit
// is wrapped, and only an arrow's is shortened, with a mark.
func TestNothingIsCutSilently(t *testing.T) {
	for name, trace := range traces {
		if name == "many" {
			continue // its columns stand for several, and say so
		}
		for _, style := range []Style{{Width: 40}, {Width: 80}, {Width: 132}} {
			tr := trace().Trace
			p := tr.shown(false).layout(style.Width, 0)
			for i, r := range p.rows {
				if r.arrow != nil {
					text := p.fit(r.arrow, 4)
					if full := r.arrow.texts()[0]; text != full && !strings.Contains(text, "…") {
						t.Errorf("%s, %d: %q became %q", name, style.Width, full, text)
					}
				}
				for _, l := range r.labels {
					x, lines := p.put(r, l)
					if got := strings.ReplaceAll(strings.Join(lines, ""), " ", ""); got != strings.ReplaceAll(l.text, " ", "") {
						t.Errorf("%s, row %d: %q became %q", name, i, l.text, lines)
					}
					if x < 0 || x+longest(lines) > p.width {
						t.Errorf("%s, row %d: %q stands at %d of %d", name, i, lines, x, p.width)
					}
				}
			}
		}
	}
}

func TestColourMeansNothing(t *testing.T) {
	plain := draw(t, "txt", twoClients().Trace)
	colour := draw(t, "colour.txt", twoClients().Trace)
	var b strings.Builder
	for i, part := range strings.Split(colour, "\x1b[") {
		if i > 0 {
			_, part, _ = strings.Cut(part, "m")
		}
		b.WriteString(part)
	}
	if diff := cmp.Diff(plain, b.String()); diff != "" {
		t.Errorf("without its colours it is another text:\n%s", diff)
	}
	if plain == colour {
		t.Error("there is no colour")
	}
}

func TestSVGIsWellFormed(t *testing.T) {
	for name, trace := range traces {
		for _, format := range []string{"svg", "times.svg"} {
			if err := wellFormed(draw(t, format, trace().Trace)); err != nil {
				t.Errorf("%s.%s: %v", name, format, err)
			}
		}
	}
}

// wellFormed wants XML that holds a picture and nothing else: no script, no
// address, all of it within its frame.
func wellFormed(svg string) error {
	in := xml.NewDecoder(strings.NewReader(svg))
	titles := 0
	for {
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			if titles != 2 {
				return fmt.Errorf("%d of title and desc", titles)
			}
			return nil
		}
		if err != nil {
			return err
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch name := element.Name.Local; name {
		case "title", "desc":
			titles++
		case "svg", "style", "defs", "pattern", "rect", "path", "text":
		default:
			return fmt.Errorf("an element %q", name)
		}
		for _, a := range element.Attr {
			if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" {
				return fmt.Errorf("an attribute %q", a.Name.Local)
			}
		}
	}
}

func TestJSONIsReadBack(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/schema/trace-1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, trace := range traces {
		text := draw(t, "json", trace().Trace)
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, err := Read(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := Read(strings.NewReader(draw(t, "json", got)))
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Errorf("%s: read back and written again it differs: %v\n%s", name, err, diff)
		}
		if name != "hostile" && draw(t, "txt", got) != draw(t, "txt", trace().Trace) { // which is no UTF-8
			t.Errorf("%s: read back it is drawn in another way", name)
		}
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	whole := draw(t, "json", opening().Trace)
	for _, test := range []struct{ name, input, want string }{
		{"empty", "", "empty"},
		{"cut off", whole[:len(whole)/2], "cut off"},
		{"a capture", "\x0a\x0d\x0d\x0a\x1c\x00\x00\x00", "not JSON"},
		{"of lab verify", `{"schema":"lab.verify/1","subjects":[]}`, `"lab.verify/1"`},
		{"a list", `[1,2]`, "no trace"},
		{"twice", whole + whole, "something follows"},
		{"another rung", strings.Replace(whole, "captured in a namespace", "guessed", 1), "guessed"},
		{"nobody's call", strings.Replace(whole, `"actor": "client 1"`, `"actor": "client 9"`, 1), `"client 9"`},
		{"backwards", strings.Replace(whole, `"at_ns": 45000`, `"at_ns": 45`, 1), "before the one that precedes it"},
		{"no connection", strings.Replace(whole, `"conn": 1,`, `"conn": -1,`, 1), "connection"},
		{"nothing", strings.Replace(whole, `"segment": {`, `"parcel": {`, 1), "0 things"},
		{"two of a name", strings.Replace(whole, `"id": "kernel/client"`, `"id": "client 1"`, 1), "another"},
	} {
		_, err := Read(strings.NewReader(test.input))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error about %q", test.name, err, test.want)
		}
	}
}

func TestNothingIsDrawnOfWhatIsNoTrace(t *testing.T) {
	for format, f := range drawings {
		if err := f(Trace{Schema: "lab.verify/1"}, io.Discard); err == nil {
			t.Errorf("%s draws it", format)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(traces)) {
		var b bytes.Buffer
		if err := traces[name]().JSON(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		trace, err := Read(bytes.NewReader(input))
		if err != nil {
			return
		}
		for _, format := range slices.Sorted(maps.Keys(drawings)) {
			draw(t, format, trace)
		}
		if err := wellFormed(draw(t, "svg", trace)); err != nil {
			t.Error(err)
		}
		if err := fits(draw(t, "ascii.txt", trace), Style{Width: 80, ASCII: true}); err != nil {
			t.Error(err)
		}
	})
}

func TestPerfettoIsATrace(t *testing.T) {
	for name, trace := range traces {
		var got struct{ TraceEvents []traceEvent }
		if err := json.Unmarshal([]byte(draw(t, "perfetto", trace().Trace)), &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		calls, slept, counts := 0, 0, 0
		for _, e := range got.TraceEvents {
			switch {
			case !strings.Contains("XBiCM", e.Phase), e.Phase == "X" && (e.For == nil || *e.For < 0):
				t.Errorf("%s: %+v", name, e)
			case e.Cat == "asleep":
				slept++
				calls++
			case e.Cat == "call":
				calls++
			case e.Phase == "C":
				counts++
			}
		}
		want := map[string]int{}
		for _, e := range trace().Events {
			if e.Call != nil {
				want["calls"]++
				if e.Call.Slept {
					want["slept"]++
				}
			}
			if e.Queue != nil {
				want["counts"]++
			}
		}
		if calls != want["calls"] || slept != want["slept"] || counts != want["counts"] {
			t.Errorf("%s: %d calls, %d asleep, %d counts; want %v", name, calls, slept, counts, want)
		}
	}
}

func TestMermaidIsBalanced(t *testing.T) {
	for name, trace := range traces {
		active := map[string]int{}
		for line := range strings.Lines(draw(t, "mmd", trace().Trace)) {
			words := strings.Fields(line)
			switch words[0] {
			case "activate":
				active[words[1]]++
			case "deactivate":
				if active[words[1]]--; active[words[1]] < 0 {
					t.Errorf("%s: %s is not active", name, words[1])
				}
			}
			if _, text, _ := strings.Cut(line, ": "); strings.ContainsAny(strings.ReplaceAll(text, "<br/>", ""), "<>\"%$`\\{}") {
				t.Errorf("%s: Mermaid or HTML may obey %q", name, text)
			}
		}
	}
}
