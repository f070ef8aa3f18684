package session

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// cut cuts a finished stream into lines in the plainest way: what Lines is
// held to, however its input was split.
func cut(stream string) (lines []string) {
	stream = strings.TrimSuffix(stream, "\n")
	for line := range strings.SplitSeq(stream, "\n") {
		for len(line) > MaxLine-1 {
			lines = append(lines, line[:MaxLine-1]+"\n")
			line = line[MaxLine-1:]
		}
		lines = append(lines, line+"\n")
	}
	return lines
}

// feed gives Lines the chunks that are not empty, and then the end.
func feed(chunks ...[]byte) (lines []string) {
	var l Lines
	chunks = slices.DeleteFunc(chunks, func(c []byte) bool { return len(c) == 0 })
	for _, chunk := range append(chunks, nil) {
		lent := bytes.Clone(chunk)
		for line := range l.Feed(lent) {
			lines = append(lines, string(line))
		}
		clear(lent) // the buffer is another client's now
	}
	return lines
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", MaxLine-1)
	for name, test := range map[string]struct {
		stream string
		want   []string
	}{
		"nothing":                       {"", nil},
		"a line":                        {"hello\n", []string{"hello\n"}},
		"two at once":                   {"hello\nworld\n", []string{"hello\n", "world\n"}},
		"the last without its newline":  {"hello\nwor", []string{"hello\n", "wor\n"}},
		"empty lines":                   {"\n\n", []string{"\n", "\n"}},
		"only newlines are cut at":      {"a\rb\x00c\r\n", []string{"a\rb\x00c\r\n"}},
		"the longest":                   {long + "\n", []string{long + "\n"}},
		"the longest, then another":     {long + "\nhello\n", []string{long + "\n", "hello\n"}},
		"the longest without a newline": {long, []string{long + "\n"}},
		"one byte too long":             {long + "y\n", []string{long + "\n", "y\n"}},
		"three lines long":              {long + long + "yz\n", []string{long + "\n", long + "\n", "yz\n"}},
		"never a newline":               {long + long, []string{long + "\n", long + "\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			whole := []byte(test.stream)
			if got := feed(whole); !slices.Equal(got, test.want) {
				t.Errorf("in one piece: %d lines %.60q, want %d", len(got), got, len(test.want))
			}
			for _, i := range splits(len(whole)) {
				if got := feed(whole[:i], whole[i:]); !slices.Equal(got, test.want) {
					t.Fatalf("split at %d: %d lines %.60q, want %d", i, len(got), got, len(test.want))
				}
			}
		})
	}
}

// Who stops listening in the middle loses the rest of that read and no more.
func TestLinesCanBeLeft(t *testing.T) {
	var l Lines
	for line := range l.Feed([]byte("one\ntwo\nthr")) {
		if string(line) != "one\n" {
			t.Fatalf("the first line is %q", line)
		}
		break
	}
	for line := range l.Feed([]byte("three\n")) {
		if string(line) != "three\n" {
			t.Errorf("the next line is %q, want %q", line, "three\n")
		}
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("hello\nwor"), uint16(1), []byte{2, 3})
	f.Add([]byte("\r\n\n"), uint16(1), []byte{2})
	f.Add([]byte("x"), uint16(3*MaxLine), []byte{7, 2, 8, 9})
	f.Fuzz(func(t *testing.T, input []byte, times uint16, steps []byte) {
		input = many(input, times)
		var chunks [][]byte
		s := schedule{steps}
		for rest := input; len(rest) > 0; {
			n := min(max(1, s.next()), len(rest))
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		var want []string
		if len(input) > 0 {
			want = cut(string(input))
		}
		got := feed(chunks...)
		if !slices.Equal(got, want) {
			t.Fatalf("%d chunks make %d lines %.80q, want %d", len(chunks), len(got), got, len(want))
		}
	})
}
