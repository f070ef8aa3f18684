package report

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const schema = "../../docs/schema/verify-1.schema.json"

// The published schema holds what is written, and is not satisfied with
// anything.
func TestSchema(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	verify, err := compiler.Compile(schema)
	if err != nil {
		t.Fatal(err)
	}
	decode := func(text []byte) any {
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return document
	}
	for name, v := range samples {
		if err := verify.Validate(decode(written(t, "json", v()))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	text := string(written(t, "json", sample()))
	for _, wrong := range [][2]string{
		{`"lab.verify/1"`, `"lab.verify/2"`},
		{`"status": "pass"`, `"status": "passed"`},
		{`"level": "must"`, `"level": "may"`},
		{`"kind": "model"`, `"kind": ""`},
		{`"id": "bytes/echo"`, `"id": "echo"`},
		{`"ms": 12`, `"ms": -1`},
		{`"weight": 3`, `"weight": 0`},
		{`"actual": "permission denied"`, `"actual": ""`},
		{"2026-03-04T", "yesterday, "},
	} {
		changed := strings.Replace(text, wrong[0], wrong[1], 1)
		if changed == text {
			t.Errorf("the sample has no %s", wrong[0])
		}
		if verify.Validate(decode([]byte(changed))) == nil {
			t.Errorf("%s is valid", wrong[1])
		}
	}
}

// Each field is in the schema, with a description, and the schema knows no
// others.
func TestSchemaIsComplete(t *testing.T) {
	text, err := os.ReadFile(schema)
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties map[string]struct{ Description string }
	}
	var document struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		of     any
		schema object
	}{
		{Verify{}, document.object},
		{Subject{}, document.Defs["subject"]},
		{Check{}, document.Defs["check"]},
	} {
		var fields []string
		for _, field := range reflect.VisibleFields(reflect.TypeOf(test.of)) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			fields = append(fields, name)
			if test.schema.Properties[name].Description == "" {
				t.Errorf("%T: the schema does not describe %q", test.of, name)
			}
		}
		for name := range test.schema.Properties {
			if !slices.Contains(fields, name) {
				t.Errorf("%T has no %q", test.of, name)
			}
		}
	}
}

// A diagram is a trace, also in a result.
func TestSchemaOfDiagram(t *testing.T) {
	trace, err := jsonschema.NewCompiler().Compile("../../docs/schema/trace-1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Subjects []struct {
			Checks []struct{ Diagram any }
		}
	}
	if err := json.Unmarshal(written(t, "json", sample()), &document); err != nil {
		t.Fatal(err)
	}
	if err := trace.Validate(document.Subjects[2].Checks[2].Diagram); err != nil {
		t.Error(err)
	}
}

// Where the check failed is seen in every format that tells stories.
func TestDiagramIsShown(t *testing.T) {
	for _, name := range []string{"junit", "tap", "tap13", "gradescope", "html", "markdown"} {
		text := strings.NewReplacer("&gt;", ">", "&lt;", "<", "&#43;", "+", `\u003c`, "<").Replace(string(written(t, name, sample())))
		_, after, fin := strings.Cut(text, "FIN+ACK seq=1 ack=1")
		_, after, closes := strings.Cut(after, "close(4 ./myserver <1>) = 0")
		_, after, rst := strings.Cut(after, "RST+ACK seq=1 ack=1")
		if !fin || !closes || !rst || !strings.Contains(after, "here it fails") {
			t.Errorf("%s does not show it in this order: FIN %v, close %v, RST %v", name, fin, closes, rst)
		}
		if !strings.Contains(text, "--trace-failures") {
			t.Errorf("%s does not say how to draw what is not drawn", name)
		}
	}
}

// JSON is the results themselves.
func TestJSON(t *testing.T) {
	var got Verify
	if err := json.Unmarshal(written(t, "json", sample()), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// The XML can be read again, and its sums are right.
func TestJUnit(t *testing.T) {
	for name, v := range samples {
		text := written(t, "junit", v())
		if !utf8.Valid(text) {
			t.Errorf("%s is no UTF-8", name)
		}
		var all junit.Testsuites
		if err := xml.Unmarshal(text, &all); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var tests, failures, errors, skipped int
		for _, suite := range all.Suites {
			for _, c := range suite.Testcases {
				tests++
				for n, result := range map[*int]*junit.Result{&failures: c.Failure, &errors: c.Error, &skipped: c.Skipped} {
					if result != nil {
						*n++
					}
				}
			}
		}
		if all.Tests != tests || all.Failures != failures || all.Errors != errors || all.Skipped != skipped {
			t.Errorf("%s: %d tests, %d failures, %d errors, %d skipped; it says %+v", name, tests, failures, errors, skipped, all)
		}
	}
}

func TestJUnitStory(t *testing.T) {
	var all junit.Testsuites
	if err := xml.Unmarshal(written(t, "junit", sample()), &all); err != nil {
		t.Fatal(err)
	}
	suite := all.Suites[2]
	binary, crowd, idle := suite.Testcases[1], suite.Testcases[4], suite.Testcases[5]
	if binary.Classname != "myserver.bytes" || binary.Name != "binary" || binary.Time != "0.007" {
		t.Errorf("%+v", binary)
	}
	if binary.Failure == nil || binary.Failure.Data != failed().tell(0) {
		t.Errorf("the failure tells %+v", binary.Failure)
	}
	if crowd.Failure != nil || crowd.Skipped == nil || crowd.SystemOut == nil {
		t.Errorf("what only should pass fails the build: %+v", crowd)
	}
	if idle.Error == nil || !strings.Contains(idle.Error.Message, "permission denied") {
		t.Errorf("%+v", idle)
	}
	strict := sample()
	strict.Strict = true
	if err := xml.Unmarshal(written(t, "junit", strict), &all); err != nil {
		t.Fatal(err)
	}
	if crowd := all.Suites[len(all.Suites)-1].Testcases[4]; crowd.Failure == nil {
		t.Errorf("--strict forgives: %+v", crowd)
	}
}

// A tapPoint is one line of TAP, and what stands below it.
type tapPoint struct {
	ok                bool
	description       string
	directive, reason string
	diagnosed         bool
	diagnostics       map[string]any
}

var (
	tapLine      = regexp.MustCompile(`^(not )?ok (\d+) - (.*)$`)
	tapDirective = regexp.MustCompile(`^((?:[^\\#]|\\.)*?) # (TODO|SKIP)(?: (.*))?$`)
	tapUnescape  = strings.NewReplacer(`\\`, `\`, `\#`, `#`)
)

// readTAP is a small reader of TAP 14 that forgives nothing.
func readTAP(t *testing.T, text string) (points []tapPoint, bail string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != "TAP version 14" && lines[0] != "TAP version 13" {
		t.Fatalf("it begins with %q", lines[0])
	}
	plan, found := strings.CutPrefix(lines[1], "1..")
	plan, _, _ = strings.Cut(plan, " # ")
	planned, err := strconv.Atoi(plan)
	if !found || err != nil {
		t.Fatalf("no plan: %q", lines[1])
	}
	for i := 2; i < len(lines); i++ {
		line := lines[i]
		var last *tapPoint
		if len(points) > 0 {
			last = &points[len(points)-1]
		}
		switch {
		case strings.HasPrefix(line, "# "):
		case strings.HasPrefix(line, "Bail out! "):
			bail = tapUnescape.Replace(strings.TrimPrefix(line, "Bail out! "))
		case line == "  ---" && last != nil && !last.diagnosed:
			end := i + slices.Index(lines[i:], "  ...")
			if end < i {
				t.Fatal("a YAML block without an end")
			}
			if err := yaml.Unmarshal([]byte(strings.Join(lines[i+1:end], "\n")), &last.diagnostics); err != nil {
				t.Fatalf("%v in:\n%s", err, strings.Join(lines[i:end+1], "\n"))
			}
			last.diagnosed = true
			i = end
		default:
			parts := tapLine.FindStringSubmatch(line)
			if parts == nil || parts[2] != strconv.Itoa(len(points)+1) {
				t.Fatalf("line %d is no TAP: %q", i+1, line)
			}
			point := tapPoint{ok: parts[1] == "", description: parts[3]}
			if d := tapDirective.FindStringSubmatch(parts[3]); d != nil {
				point.description, point.directive, point.reason = d[1], d[2], tapUnescape.Replace(d[3])
			}
			point.description = tapUnescape.Replace(point.description)
			points = append(points, point)
		}
	}
	if len(points) != planned {
		t.Fatalf("%d points, planned %d", len(points), planned)
	}
	return points, bail
}

func TestTAP(t *testing.T) {
	points, _ := readTAP(t, string(written(t, "tap", sample())))
	wants := []struct {
		ok        bool
		directive string
	}{{true, ""}, {false, ""}, {false, ""}, {true, "SKIP"}, {false, "TODO"}, {false, ""}, {false, ""}}
	for i, want := range wants {
		got := points[16+i]
		if got.ok != want.ok || got.directive != want.directive || got.diagnosed == (got.ok) {
			t.Errorf("%d: %+v, want %+v", i, got, want)
		}
	}
	binary := points[17].diagnostics
	if binary["expected"] != "256 bytes" || binary["duration_ms"] != 7 || len(binary["story"].(map[any]any)) != 3 {
		t.Errorf("%v", binary)
	}
	if want := failed().Diff[0]; binary["bytes"].(map[any]any)[1] != want {
		t.Errorf("%q, want %q", binary["bytes"], want)
	}
	strict := sample()
	strict.Strict = true
	points, _ = readTAP(t, string(written(t, "tap", strict)))
	if got := points[20]; got.directive != "" || got.ok {
		t.Errorf("--strict forgives: %+v", got)
	}
}

// prove, where there is one, counts as we do.
func TestTAPProve(t *testing.T) {
	if _, err := exec.LookPath("prove"); err != nil {
		t.Skip("prove is not installed; it comes with perl")
	}
	for name, want := range map[string]string{
		"sample":  `Tests: 24 Failed: 5\)\n +Failed tests:  18-19, 22-24\nFiles=1`,
		"hostile": `Tests: 10 Failed: 4\)\n +Failed tests:  1, 4, 6, 9\nFiles=1`,
		"silent":  `Result: NOTESTS`,
		"deaf":    `Further testing stopped: myserver ended with exit code 1`,
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, written(t, "tap13", samples[name]()), 0o644); err != nil {
			t.Fatal(err)
		}
		told, _ := exec.Command("prove", "--exec", "cat", file).CombinedOutput() // its exit code is the tests'
		if !regexp.MustCompile(want).Match(told) {
			t.Errorf("%s: want %s, got:\n%s", name, want, told)
		}
	}
}

// No word of the server's is taken for TAP.
func TestTAPHostile(t *testing.T) {
	points, bail := readTAP(t, string(written(t, "tap", hostile())))
	if len(points) != 10 || bail != "" {
		t.Fatalf("%d points, bail %q", len(points), bail)
	}
	want := hostile().shown().Subjects[0]
	for i, c := range want.Checks {
		got := points[i]
		if says := fmt.Sprintf("%s: %s %s", c.ID, want.Name, c.Says); got.description != says {
			t.Errorf("described as %q, want %q", got.description, says)
		}
		if ok := c.Status == Pass || c.Status == Skip; got.ok != ok {
			t.Errorf("%s is ok: %v", c.ID, got.ok)
		}
		if c.Status == Fail && got.diagnostics["actual"] != c.Actual {
			t.Errorf("actual is %q, want %q", got.diagnostics["actual"], c.Actual)
		}
	}
	if _, bail := readTAP(t, string(written(t, "tap", deaf()))); !strings.HasPrefix(bail, "myserver ended with exit code 1") {
		t.Errorf("bail out: %q", bail)
	}
}

// A grade is out of the same sum for every submission, and of the command
// alone.
func TestGradescope(t *testing.T) {
	var doc gradescope
	if err := json.Unmarshal(written(t, "gradescope", sample()), &doc); err != nil {
		t.Fatal(err)
	}
	var score, most float64
	for _, test := range doc.Tests {
		score += test.Score
		most += test.MaxScore
		if (test.Status == "passed") != (test.Score == test.MaxScore) || test.Score != 0 && test.Score != test.MaxScore {
			t.Errorf("%+v", test)
		}
	}
	if len(doc.Tests) != 8 || doc.Score != score || score != 2 || most != 9.5 {
		t.Errorf("%d tests, score %v, sum %v of %v; want 8, 2, 2 of 9.5", len(doc.Tests), doc.Score, score, most)
	}
	if got := doc.Tests[1]; got.Number != "1.2" || !strings.Contains(got.Output, failed().Diff[0]) || !strings.Contains(got.Output, "cause: ") {
		t.Errorf("%+v", got)
	}
	if got := doc.Tests[2].Number; got != "2.1" {
		t.Errorf("the first of the second group is %s", got)
	}
	for _, ungraded := range []Verify{deaf(), silent()} {
		if err := json.Unmarshal(written(t, "gradescope", ungraded), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Score != 0 || len(doc.Tests) != 0 || doc.Output == "" {
			t.Errorf("%+v", doc)
		}
	}
}

// Workflow commands, and nothing else, can be read back as the runner does.
func TestGitHub(t *testing.T) {
	command := regexp.MustCompile(`^::(error|warning|notice) title=([^:,\r\n]*)::([^\r\n]*)$`)
	unescape := strings.NewReplacer("%0A", "\n", "%0D", "\r", "%3A", ":", "%2C", ",", "%25", "%")
	for name, wants := range map[string][]string{
		"sample":  {"notice", "error", "error", "warning", "error", "error", "error"},
		"hostile": {"error", "warning", "error", "error", "warning", "error"},
		"deaf":    {"error"},
		"silent":  nil,
	} {
		var levels []string
		for line := range strings.Lines(string(written(t, "github", samples[name]()))) {
			parts := command.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if parts == nil {
				t.Fatalf("%s: no workflow command: %q", name, line)
			}
			levels = append(levels, parts[1])
			if name == "hostile" && !strings.Contains(unescape.Replace(parts[3]), hostile().shown().Subjects[0].Checks[0].Says) {
				t.Errorf("the message is %q", unescape.Replace(parts[3]))
			}
		}
		if diff := cmp.Diff(wants, levels); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestStepSummary(t *testing.T) {
	file := filepath.Join(t.TempDir(), "summary.md")
	t.Setenv("GITHUB_STEP_SUMMARY", file)
	save := func(v Verify) string {
		t.Helper()
		if err := v.Save(Target{"github", os.DevNull}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if err := os.WriteFile(file, []byte("what was there\n\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := "what was there\n\n" + string(written(t, "markdown", sample()))
	if got := save(sample()); got != want {
		t.Error(cmp.Diff(want, got))
	}
	large := sample()
	large.Subjects[2].Checks[1].Expected = strings.Repeat("much ", 1<<18)
	text := save(large)
	if len(text) > 1<<20 || strings.Count(text, "| bytes/binary |") != 2 {
		t.Errorf("%d bytes, of which GitHub would show none", len(text))
	}
	t.Setenv("GITHUB_STEP_SUMMARY", filepath.Join(file, "no folder"))
	if err := sample().Save(Target{"github", os.DevNull}); err == nil {
		t.Error("a summary that cannot be written is no error")
	}
}

// elements are the tags of a page, in order, with the names of their
// attributes. They are read as XML, which forgives nothing.
func elements(t *testing.T, page []byte) (tags []string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(string(page)))
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return tags
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, page)
		}
		if start, ok := token.(xml.StartElement); ok {
			tag := start.Name.Local
			for _, attr := range start.Attr {
				tag += " " + attr.Name.Local
			}
			tags = append(tags, tag)
		}
	}
}

// Whatever a server prints, the page has the same elements, and no scripts.
func TestHTMLHostile(t *testing.T) {
	page := written(t, "html", hostile())
	if diff := cmp.Diff(elements(t, written(t, "html", tame())), elements(t, page)); diff != "" {
		t.Errorf("it broke out:\n%s", diff)
	}
	for _, c := range string(page) {
		if c < ' ' && c != '\n' && c != '\t' || c == '\u202e' || c == '\ufffe' {
			t.Errorf("%q is in the page", c)
		}
	}
}

// Every value is escaped, wherever it stands; also in a template that another
// one calls.
func TestEscapeValues(t *testing.T) {
	const page = `{{range .}}{{.}} {{if .}}{{.}}{{end}} {{if not .}}{{else}}{{.}}{{end}} {{with .}}{{.}}{{end}} {{printf "%s" .}} {{template "cell" .}}{{end}}{{define "cell"}}{{.}}{{end}}`
	var b strings.Builder
	if err := Page(&b, page, []string{`<&'">`}); err != nil {
		t.Fatal(err)
	}
	const safe = "&lt;&amp;&#39;&#34;&gt;"
	if want := strings.Join([]string{safe, safe, safe, safe, safe, safe}, " "); b.String() != want {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}

// The page needs nothing but itself.
func TestHTMLSelfContained(t *testing.T) {
	picture := regexp.MustCompile(`src="data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)"`)
	page := strings.ReplaceAll(string(written(t, "html", sample())), "&#43;", "+")
	pictures := picture.FindAllStringSubmatch(page, -1)
	if len(pictures) != 1 {
		t.Fatalf("there are %d pictures, want 1", len(pictures))
	}
	svg, err := base64.StdEncoding.DecodeString(pictures[0][1])
	if err != nil || !strings.Contains(string(svg), "RST+ACK") || regexp.MustCompile(`(?i)<script|href|url\(["']?[^#"')]|@import`).Match(svg) {
		t.Errorf("the picture is not whole, or refers to something (%v):\n%s", err, svg)
	}
	page = picture.ReplaceAllString(page, "")
	if strings.Contains(page, "<script") || regexp.MustCompile(`(?i)(src|href)\s*=|url\(|@import|https?:`).MatchString(page) {
		t.Error("the page refers to something")
	}
	anchors := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if anchors[id[1]] {
			t.Errorf("two elements are %s", id[1])
		}
		anchors[id[1]] = true
	}
	targets := regexp.MustCompile(`popovertarget="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(targets) != 2*len(anchors) || len(anchors) != 24 {
		t.Errorf("%d buttons for %d stories, want a cell and a close button for each of 24", len(targets), len(anchors))
	}
	for _, target := range targets {
		if !anchors[target[1]] {
			t.Errorf("a button opens %s, which is not there", target[1])
		}
	}
}

// A table stays a table, and what is folded stays folded.
func TestMarkdownHostile(t *testing.T) {
	text := string(written(t, "markdown", hostile()))
	bars := regexp.MustCompile(`\\.|\|`)
	inFence, rows, open := "", 0, 0
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case inFence != "":
			if line == inFence {
				inFence = ""
			}
		case strings.HasPrefix(line, "```"):
			inFence = strings.TrimSuffix(line, "text")
		case strings.HasPrefix(line, "<details><summary>"):
			open++
			rest := strings.NewReplacer("<details>", "", "<summary>", "", "</summary>", "", "<b>", "", "</b>", "").Replace(line)
			if strings.ContainsAny(rest, "<>") {
				t.Errorf("it broke out: %s", line)
			}
		case line == "</details>":
			open--
		case strings.HasPrefix(line, "|"):
			rows++
			n := 0
			for _, bar := range bars.FindAllString(line, -1) {
				if bar == "|" {
					n++
				}
			}
			if n != 4 {
				t.Errorf("%d bars, want 4: %s", n, line)
			}
		default:
			if unescaped := regexp.MustCompile(`\\.`).ReplaceAllString(line, ""); strings.ContainsAny(unescaped, "<>[]`") {
				t.Errorf("not literal: %s", line)
			}
		}
	}
	if inFence != "" || open != 0 || rows != 7 {
		t.Errorf("fence %q, %d open, %d rows", inFence, open, rows)
	}
}

func TestTarget(t *testing.T) {
	for _, test := range []struct {
		text string
		want Target
		err  string
	}{
		{"junit=results.xml", Target{"junit", "results.xml"}, ""},
		{"tap=-", Target{"tap", "-"}, ""},
		{"html=a=b,c.html", Target{"html", "a=b,c.html"}, ""},
		{"xml=results.xml", Target{}, `no format "xml"; there are json, junit, tap, tap13, gradescope, github, html, markdown`},
		{"junit", Target{}, "where to? say junit=FILE; - is standard output"},
		{"junit=", Target{}, "where to? say junit=FILE; - is standard output"},
		{"", Target{}, `no format ""; there are json, junit, tap, tap13, gradescope, github, html, markdown`},
	} {
		var got Target
		err := got.UnmarshalText([]byte(test.text))
		if err == nil {
			err = VerifyFormats.Check([]Target{got}, false)
		}
		if test.err == "" && (err != nil || got != test.want) || test.err != "" && (err == nil || err.Error() != test.err) {
			t.Errorf("%q: %v, %v; want %v, %s", test.text, got, err, test.want, test.err)
		}
	}
}

// One place takes one report, however it is spelled.
func TestTargetTaken(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, err := range []error{
		os.Mkdir("d", 0o755), os.Symlink("d", "e"), os.WriteFile("d/there", nil, 0o644), os.Link("d/there", "hard"), os.Symlink("d/there", "soft"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		a, b  string
		taken bool
	}{
		{"json=-", "tap=/dev/stdout", true},
		{"json=-", "tap=/dev/../dev/fd/1", true},
		{"json=new", "tap=./new", true},
		{"json=new", "tap=" + dir + "/new", true},
		{"json=d/new", "tap=e/new", true},
		{"json=d/there", "tap=hard", true},
		{"json=d/there", "tap=soft", true},
		{"json=new", "tap=d/new", false},
		{"json=-", "tap=new", false},
	} {
		targets := make([]Target, 2)
		targets[0].UnmarshalText([]byte(test.a))
		targets[1].UnmarshalText([]byte(test.b))
		if err := VerifyFormats.Check(targets, false); (err != nil) != test.taken {
			t.Errorf("%s and %s: %v", test.a, test.b, err)
		}
	}
	if err := VerifyFormats.Check([]Target{{"json", "-"}}, true); err == nil {
		t.Error("standard output is taken twice")
	}
}

// A file is there as a whole, or not at all, and nothing is left beside it.
func TestSave(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "results.xml")
	if err := os.WriteFile(file, []byte("an old report, longer than nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sample().Save(Target{"junit", file}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written(t, "junit", sample())), string(text)); diff != "" {
		t.Error(diff)
	}
	err = sample().Save(Target{"junit", filepath.Join(dir, "no", "results.xml")})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "results.xml: no such file or directory; make its folder first: mkdir -p "+filepath.Join(dir, "no")) {
		t.Errorf("no folder: %v", err)
	}
	if err := sample().Save(Target{"junit", dir}); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a folder: %v", err)
	}
	if err := sample().Save(Target{"junit", os.DevNull}); err != nil {
		t.Error(err)
	}
	if there, err := os.Stat(os.DevNull); err != nil || there.Mode().IsRegular() {
		t.Errorf("%s was replaced: %v, %v", os.DevNull, there.Mode(), err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("results.xml", link); err != nil {
		t.Fatal(err)
	}
	if err := sample().Save(Target{"tap", link}); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), "TAP version 14") {
		t.Errorf("a link was not followed: %.20s, %v", text, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
