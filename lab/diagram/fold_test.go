package diagram

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whichever workers the kernel has woken, they are the first ones: all were
// alike until then.
func TestNormaliseForgetsWhoIsWoken(t *testing.T) {
	want := pool(0, 1).Normalise()
	for first := range 5 {
		for second := range 5 {
			if first == second {
				continue
			}
			got := pool(first, second).Normalise()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("worker %d is woken, and then %d:\n%s", first, second, diff)
			}
		}
	}
}

// Which of two threads is quicker to begin is a matter of luck, and what it
// does first, too.
func TestNormaliseForgetsWhoBeginsFirst(t *testing.T) {
	speak := Actor{"server/speak", "speak", ServerThread}
	accept := Actor{"server/accept", "accept", ServerThread}
	begin := func(order ...string) Trace {
		s := serving("talk", "roles", 1)
		did := map[string]func(){
			"server": func() {
				s.does(server, 0, "select", "{5r}", "{5r}")
				s.sleeps(server, 0, "select", "{5r}")
			},
			"speak": func() {
				s.Actors = append(s.Actors, speak)
				s.does(speak.ID, 0, "poll", "{0r}", "{}")
				s.sleeps(speak.ID, 0, "read", "0")
			},
			"accept": func() {
				s.Actors = append(s.Actors, accept)
				s.sleeps(accept.ID, 0, "accept", "3")
			},
		}
		s.does(server, 0, "listen", "3, 20", "0")
		for _, who := range order {
			did[who]()
		}
		s.rest()
		s.connects(1)
		return s.Normalise()
	}
	want := begin("server", "accept", "speak")
	for _, order := range []string{"server speak accept", "accept speak server", "speak accept server", "speak server accept"} {
		if diff := cmp.Diff(want, begin(strings.Fields(order)...)); diff != "" {
			t.Errorf("they begin in the order %s:\n%s", order, diff)
		}
	}
}

// Threads that only sleep share a column; those who have a client do not, and
// two have one each.
func TestFolded(t *testing.T) {
	names := func(tr Trace) (all []string) {
		for _, a := range tr.folded().Actors {
			if a.Kind == ServerThread {
				all = append(all, a.Name)
			}
		}
		return all
	}
	for _, test := range []struct {
		woken []int
		want  []string
	}{
		{[]int{3, 1}, []string{"server", "child 4730, 4732, 4734", "child 4731", "child 4733"}},
		{[]int{4}, []string{"server", "child 4730-4733", "child 4734"}},
		{[]int{0, 1, 2}, []string{"server", "child 4730", "child 4731", "child 4732", "child 4733", "child 4734"}},
	} {
		if diff := cmp.Diff(test.want, names(pool(test.woken...).Trace)); diff != "" {
			t.Errorf("%v are woken (-want +got):\n%s", test.woken, diff)
		}
	}
	waiting := func() *script { // each for its own client
		s := serving("wake", "process", 3)
		for _, id := range []string{"1/1", "2/2", "3/3"} {
			s.Actors = append(s.Actors, Actor{id, "child " + id[:1], ServerThread})
			s.sleeps(id, int(id[0]-'0'), "read", "3")
		}
		return s
	}
	if got := names(waiting().Trace); len(got) != 4 {
		t.Errorf("who waits for a client of its own has a column of its own; there are %q", got)
	}
}

func TestTogether(t *testing.T) {
	for want, names := range map[string][]string{
		"child 3-8":         {"child 3", "child 4", "child 5", "child 6", "child 7", "child 8"},
		"child 1, 3, 7-9":   {"child 9", "child 1", "child 8", "child 3", "child 7"},
		"2 like worker":     {"worker", "keeper"},
		"3 like python3 -x": {"python3 -x", "python3 -x", "python3 -x"},
	} {
		if got := together(names); got != want {
			t.Errorf("%q together are %q, want %q", names, got, want)
		}
	}
}
