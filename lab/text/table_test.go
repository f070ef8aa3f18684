package text

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	t.Run("fits", func(t *testing.T) {
		table := Table{[]string{"10 clients", "requests/s", "p50", "p99"}, []Row{
			{Name: "select", Cells: []string{"35k", "12 µs", "1.2 ms"}},
			{Name: "漢字", Cells: []string{"9", "9", "9"}},
			{Name: "socat", Cells: []string{"0", "FAILED, bad"}, Bad: true},
			{Name: "nc", Cells: []string{"FAILED, see below"}, Bad: true},
		}}
		const want = `
10 clients requests/s    p50    p99
 select           35k 12 µs 1.2 ms
 漢字               9     9      9
 socat              0 FAILED, bad
 nc        FAILED, see below
`
		var b strings.Builder
		b.WriteByte('\n')
		table.Text(&b, false)
		if b.String() != want {
			t.Errorf("got%swant%s", b.String(), want)
		}
	})
	t.Run("too wide", func(t *testing.T) {
		long := strings.Repeat("long", 20)
		table := Table{[]string{"a title that is long as well", "one", "two"}, []Row{{Name: long, Cells: []string{"1", strings.Repeat("2", 30)}}}}
		var b strings.Builder
		table.Text(&b, false)
		for line := range strings.Lines(b.String()) {
			if Width(strings.TrimSpace(line)) > 80 {
				t.Errorf("wider than 80 columns: %q", line)
			}
		}
		if !strings.Contains(b.String(), "\n longlong") || !strings.Contains(b.String(), "…") {
			t.Errorf("the name is not indented, or not shortened:\n%s", b.String())
		}
	})
}
