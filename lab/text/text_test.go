package text

import (
	"slices"
	"testing"
)

func TestNumber(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 65536: "65,536", 1048576: "1,048,576", -100: "-100", -1000: "-1,000"} {
		if got := Number(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 calls", 1: "1 call", 999: "999 calls", 1000: "1,000 calls", 1234567: "1,234,567 calls"} {
		if got := Count(n, "call"); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
	if got := Count(2, "byte waits", "bytes wait"); got != "2 bytes wait" {
		t.Errorf("2 is %q", got)
	}
}

func TestShorten(t *testing.T) {
	for _, test := range []struct {
		s     string
		width int
		want  string
	}{
		{"select", 6, "select"},
		{"sixteen letters!", 16, "sixteen letters!"},
		{"seventeen letters", 16, "sevente… letters"},
		{"server-one", 6, "se…one"},
		{"server-one", 7, "ser…one"},
		{"日本語サーバー", 7, "日…ー"},
	} {
		if got := Shorten(test.s, test.width); got != test.want || Width(got) > test.width {
			t.Errorf("%s in %d columns is %s, %d wide; want %s", test.s, test.width, got, Width(got), test.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		s     string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"one two three", 7, []string{"one two", "three"}},
		{"one two three", 8, []string{"one two", "three"}},
		{"0123456789abc", 5, []string{"01234", "56789", "abc"}},
		{"read it (fd 7, all) now", 13, []string{"read it", "(fd 7, all)", "now"}},
		{"日本語", 4, []string{"日本", "語"}},
		{"日", 1, []string{"日"}},
		{"abcd::error::x", 4, []string{"abc", "d::e", "rro", "r::x"}},
	} {
		if got := Wrap(test.s, test.width); !slices.Equal(got, test.want) {
			t.Errorf("%q in %d columns: %q, want %q", test.s, test.width, got, test.want)
		}
	}
}

func TestProse(t *testing.T) {
	for _, test := range []struct {
		s, indent string
		width     int
		want      string
	}{
		{"one two three", "  ", 7, "one two\n  three"},
		{"see http://a/long/address and go", "  ", 8, "see\n  http://a/long/address\n  and go"},
		{"  first of   all", "    ", 9, "  first\n    of\n    all"},
		{"one two three", "  ", 13, "one two three"},
		{"one two three", "  ", 12, "one two\n  three"},
		{"one  two", "  ", 5, "one\n  two"},
		{"one incomprehensibilities two", "  ", 10, "one\n  incomprehensibilities\n  two"},
		{"", "  ", 8, ""},
		{"one two three", "", 0, "one two three"},
	} {
		if got := Prose(test.s, test.indent, test.width); got != test.want {
			t.Errorf("%q in %d columns: %q, want %q", test.s, test.width, got, test.want)
		}
	}
}

func TestHarmless(t *testing.T) {
	for s, want := range map[string]string{
		"plain … text":             "plain … text",
		"\x1b[31mred":              `\x1b[31mred`,
		"a\xffb\u202ec":            `a\xffb\u202ec`,
		"two\nlines":               `two\nlines`,
		"it says ::error::no":      `it says \x3a:error::no`,
		"std::string and [::1]:80": "std::string and [::1]:80",
		"x##[error]no":             `x#\x23[error]no`,
		"##vso[task]":              `#\x23vso[task]`,
		"###TeamCity[x]":           `##\x23TeamCity[x]`,
	} {
		if got := Line(s); got != want {
			t.Errorf("%q is %s, want %s", s, got, want)
		}
	}
	if got, want := Block("a\r\nb\tc\r"), "a\nb\tc\\r"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := Cells("é日ы", false), `é\u65e5ы`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := Cells("é", true), `\u00e9`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
