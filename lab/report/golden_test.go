package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// samples are what every format is tried on.
var samples = map[string]func() Verify{
	"sample": sample, "hostile": hostile, "silent": silent, "deaf": deaf,
}

// golden compares text with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (go test -update rewrites it):\n%s", file, diff)
	}
}

// written is v in a format.
func written(t *testing.T, name string, v Verify) []byte {
	t.Helper()
	format, err := VerifyFormats.of(Target{Format: name})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := format.Write(v, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFormats(t *testing.T) {
	for _, format := range VerifyFormats {
		t.Run(format.Name, func(t *testing.T) {
			golden(t, "sample."+format.Name, written(t, format.Name, sample()))
			golden(t, "silent."+format.Name, written(t, format.Name, silent()))
			golden(t, "deaf."+format.Name, written(t, format.Name, deaf()))
		})
	}
}

// A report changes nothing in the results: the next one is made from them too.
func TestFormatsLeaveResultsAlone(t *testing.T) {
	for name, v := range samples {
		for _, format := range VerifyFormats {
			results := v()
			written(t, format.Name, results)
			if diff := cmp.Diff(v(), results); diff != "" {
				t.Errorf("%s changed %s:\n%s", format.Name, name, diff)
			}
		}
	}
}
