package verify

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSelect(t *testing.T) {
	for _, test := range []struct {
		patterns []string
		want     int    // how many
		first    string // the first of them
	}{
		{nil, len(Checks), "bytes/echo"},
		{[]string{"*"}, len(Checks), "bytes/echo"},
		{[]string{"*/*"}, len(Checks), "bytes/echo"},
		{[]string{"close"}, len(closeChecks), "close/fin"},
		{[]string{"close/*"}, len(closeChecks), "close/fin"},
		{[]string{"life/st*"}, 2, "life/stopped"},
		{[]string{"many/two", "bytes/echo"}, 2, "bytes/echo"}, // their own order
		{[]string{"many/two", "many/t*"}, 1, "many/two"},      // once
		{[]string{"half"}, 0, ""},
		{[]string{"close/half/"}, 0, ""},
		{[]string{"["}, 0, ""},
		{[]string{""}, 0, ""},
	} {
		got := Select(test.patterns)
		if len(got) != test.want || len(got) > 0 && got[0].ID != test.first {
			t.Errorf("%q selects %d checks, %v; want %d, the first of them %q", test.patterns, len(got), got, test.want, test.first)
		}
	}
}

// A job that is idle makes room for the next, and goes on.
func TestTogether(t *testing.T) {
	begun := make(chan bool)
	done := 0
	together(1, []func(idle func()){
		func(idle func()) {
			idle()
			<-begun
			done++
		},
		func(func()) {
			begun <- true
		},
	})
	if done != 1 {
		t.Error("it does not wait for the idle one")
	}
}

func TestChecksAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks {
		if seen[c.ID] {
			t.Errorf("%s is there twice", c.ID)
		}
		seen[c.ID] = true
		if c.Level == "" || c.Service == "" || c.Says == "" || len(c.Causes) == 0 || c.Try == "" || c.Run == nil {
			t.Errorf("%s is not complete", c.ID)
		}
	}
}

// The mark is below the first byte that differs, wherever it is.
func TestDifference(t *testing.T) {
	want := []byte("0123456789abcdefghijklmnopqrstuvwxyz")
	for i := range want {
		got := bytes.Clone(want)
		got[i] = '\xff'
		lines := difference(want, i, got)
		mark := strings.Index(lines[2], "^^")
		if hex := fmt.Sprintf("%02x", want[i]); mark < 0 || lines[0][mark:mark+2] != hex || lines[1][mark:mark+2] != "ff" {
			t.Errorf("byte %d:\n%s", i, strings.Join(lines, "\n"))
		}
	}
}

func TestDifferenceInWords(t *testing.T) {
	for _, test := range []struct {
		want, got string
		at        int
		lines     []string
	}{
		{"hello\n", "hellO\n", 4, []string{
			"expected  68 65 6c 6c 6f 0a                                hello.",
			"received  68 65 6c 6c 4f 0a                                hellO.",
			"                      ^^",
		}},
		{"", "\x00Welcome", 0, []string{ // nothing was expected
			"expected                                                   ",
			"received  00 57 65 6c 63 6f 6d 65                          .Welcome",
			"          ^^",
		}},
		{"0123456789abcdefghijklmnop", "0123456789abXdefghijklmnop", 12, []string{
			"expected  34 35 36 37 38 39 61 62 63 64 65 66 67 68 69 6a  456789abcdefghij",
			"received  34 35 36 37 38 39 61 62 58 64 65 66 67 68 69 6a  456789abXdefghij",
			"                                  ^^",
		}},
	} {
		if got := difference([]byte(test.want), test.at, []byte(test.got)); !slices.Equal(got, test.lines) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.lines, "\n"))
		}
	}
}

func TestQuantity(t *testing.T) {
	for p, want := range map[string]string{
		"":                      `0 bytes`,
		"x":                     `1 byte "x"`,
		"hi\x00\n":              `4 bytes "hi\x00\n"`,
		strings.Repeat("x", 25): `25 bytes`,
	} {
		if got := quantity([]byte(p)); got != want {
			t.Errorf("%q is %s, want %s", p, got, want)
		}
	}
}
