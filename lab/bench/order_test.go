package bench

import (
	"slices"
	"testing"
)

// Twins are measured one after the other, and so are the two that show the noise.
func TestOrder(t *testing.T) {
	r := Result{Subjects: []Subject{
		{Name: "select", Twins: []string{"C select"}}, {Name: "C select"},
		{Name: "epoll", Twins: []string{"C epoll"}}, {Name: "C epoll"},
		{Name: "goroutine", Twins: []string{"C thread", "C epoll"}}, {Name: "C thread"},
		{Name: "roles"},
		{Name: "thread", Twins: []string{"C thread"}},
		{Name: "select again", Again: true},
	}}
	for round, want := range [][]string{
		{"select again", "select", "C select", "thread", "C thread", "goroutine", "C epoll", "epoll", "roles"},
		{"epoll", "C epoll", "goroutine", "C thread", "thread", "roles", "C select", "select", "select again"},
		{"roles", "select again", "select", "C select", "thread", "C thread", "goroutine", "C epoll", "epoll"},
	} {
		var got []string
		for _, i := range r.order(round) {
			got = append(got, r.Subjects[i].Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("round %d: %q\nwant %q", round, got, want)
		}
	}
}
