package diagram

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var sidesDrawn = map[string]func(Sides, io.Writer) error{
	"txt":       func(s Sides, w io.Writer) error { return s.Text(w, Style{}) },
	"wide.txt":  func(s Sides, w io.Writer) error { return s.Text(w, Style{Width: 170}) },
	"ascii.txt": func(s Sides, w io.Writer) error { return s.Text(w, Style{ASCII: true}) },
	"svg":       Sides.SVG,
	"mmd":       Sides.Mermaid,
}

func three() Sides {
	return Sides{twoClients().Trace, pool(3, 1).Trace, twoClients().Trace}
}

// Several servers are drawn side by side, or below where there is no room.
func TestSides(t *testing.T) {
	for format, draw := range sidesDrawn {
		var b strings.Builder
		if err := draw(three(), &b); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		file := filepath.Join("testdata", "side."+format)
		if *update {
			if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

// What follows from an action stands in the same rows, below its title, which is
// there once.
func TestSidesAreAligned(t *testing.T) {
	var b strings.Builder
	if err := (Sides{twoClients().Trace, twoClients().Trace}).Text(&b, Style{Width: 120}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if n := strings.Count(text, "── "); n != 2 {
		t.Errorf("there are %d titles, want 2:\n%s", n, text)
	}
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 120 {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.Contains(line, `"hello\n"`) && !strings.Contains(line, "── ") && strings.Count(line, `"hello\n"`) != 2 {
			t.Errorf("the same segment is not in the same row: %s", line)
		}
	}
}

// A slide has no text smaller than 20 pixels.
func TestSlide(t *testing.T) {
	var b strings.Builder
	if err := three().SVG(&b); err != nil {
		t.Fatal(err)
	}
	size := regexp.MustCompile(`viewBox="0 0 (\d+) \d+" width="(\d+)"`).FindStringSubmatch(b.String())
	if size == nil || size[2] != "1600" {
		t.Fatalf("the slide's size is %q, want 1600", size)
	}
	units, _ := strconv.ParseFloat(size[1], 64)
	for _, found := range regexp.MustCompile(`font-size="(\d+)"`).FindAllStringSubmatch(b.String(), -1) {
		if n, _ := strconv.ParseFloat(found[1], 64); n*1600/units < 20 {
			t.Errorf("a text has %v pixels", n*1600/units)
		}
	}
}

func TestSidesAsJSON(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/schema/traces-1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := three().JSON(&b); err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(document); err != nil {
		t.Error(err)
	}
}

// What a program says or is called does no harm beside another one either.
func TestHostileSides(t *testing.T) {
	sides := Sides{hostile().Trace, hostile().Trace}
	for format, draw := range sidesDrawn {
		var b strings.Builder
		if err := draw(sides, &b); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		for _, evil := range []string{"\x1b", "\u202e", "\x00", "<script"} {
			page := strings.HasSuffix(format, "svg") || format == "mmd"
			if (page || evil != "<script") && strings.Contains(b.String(), evil) {
				t.Errorf("%s contains %q", format, evil)
			}
		}
	}
}

func TestSidesThatCannotBeCompared(t *testing.T) {
	for name, s := range map[string]Sides{"nothing": nil, "two scenes": {echoing().Trace, twoClients().Trace}} {
		if err := s.Text(io.Discard, Style{}); err == nil {
			t.Errorf("%s is drawn", name)
		}
	}
}
