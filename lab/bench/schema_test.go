package bench

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"socketlab/lab/report"
)

var plain = report.Style{Width: 80}

const published = "../../docs/schema/bench-1.schema.json"

// The published schema holds what is written, and what is written can be read
// again.
func TestSchema(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiled, err := compiler.Compile(published)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*Options){
		func(*Options) {},
		func(o *Options) { o.Mode, o.Rate = "rate", 1000 },
		func(o *Options) { o.Mode = "churn" },
		func(o *Options) { o.Mode = "idle" },
	} {
		r := measuredResult(t, t.Context(), change)
		var b strings.Builder
		if err := r.JSON(&b); err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(document); err != nil {
			t.Errorf("%s: %v", r.Setting.Mode, err)
		}
		file := t.TempDir() + "/result.json"
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := ReadResult(file)
		if err != nil || again.Subjects[1].Cells[0].Summary["pss"] != r.Subjects[1].Cells[0].Summary["pss"] {
			t.Errorf("%s: read again it is another one, %v", r.Setting.Mode, err)
		}
	}
}

// Each field is in the schema, with a description, and the schema knows no
// others.
func TestSchemaIsComplete(t *testing.T) {
	text, err := os.ReadFile(published)
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties map[string]struct{ Description string }
	}
	var schema struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		schema object
		of     any
	}{
		{"result", schema.object, Result{}},
		{"machine", schema.Defs["machine"], Machine{}},
		{"setting", schema.Defs["setting"], Setting{}},
		{"point", schema.Defs["point"], Point{}},
		{"subject", schema.Defs["subject"], Subject{}},
		{"cell", schema.Defs["cell"], Cell{}},
		{"run", schema.Defs["run"], Run{}},
		{"estimate", schema.Defs["estimate"], Estimate{}},
		{"verdict", schema.Defs["verdict"], Verdict{}},
		{"fit", schema.Defs["fit"], Fit{}},
	} {
		var known []string
		for name, property := range test.schema.Properties {
			known = append(known, name)
			if property.Description == "" {
				t.Errorf("%s: %s has no description", test.name, name)
			}
		}
		var written []string
		for _, field := range reflect.VisibleFields(reflect.TypeOf(test.of)) {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
				written = append(written, name)
			}
		}
		slices.Sort(known)
		slices.Sort(written)
		if !slices.Equal(known, written) {
			t.Errorf("%s: the schema knows %q, and %q is written", test.name, known, written)
		}
	}
}
