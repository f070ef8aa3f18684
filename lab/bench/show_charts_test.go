package bench

import (
	"strings"
	"testing"
)

// A twin looks like its model, but hollow; no two subjects look the same.
func TestLooks(t *testing.T) {
	r := Result{Subjects: []Subject{
		{Name: "goroutine", Twins: []string{"C thread", "C epoll"}}, {Name: "C thread"}, {Name: "C epoll"},
		{Name: "epoll", Twins: []string{"C epoll"}},
		{Name: "goroutine again", Again: true},
	}}
	looks := r.looks()
	want := map[string]look{
		"goroutine": {0, false}, "epoll": {1, false}, "C thread": {0, true}, "C epoll": {1, true},
	}
	for name, l := range want {
		if looks[name] != l {
			t.Errorf("%s looks like %+v, want %+v", name, looks[name], l)
		}
	}
	if len(looks) != len(want) {
		t.Errorf("%d have a look: %v", len(looks), looks)
	}
}

// Where a figure is known at one point only, it is a bar and not a lonely dot.
func TestBarsForOnePoint(t *testing.T) {
	r := measuredResult(t, t.Context(), func(*Options) {})
	for i := range r.Subjects {
		for j := range r.Subjects[i].Cells {
			r.Subjects[i].Cells[j].Invalid = "" // nothing is compared here
		}
	}
	shapes := map[string]string{"memory": `class="bar"`, "cpu": `class="line"`} // of one client's memory there is too little to see
	for _, p := range r.Pictures() {
		if shape, known := shapes[p.Name]; known && !strings.Contains(p.SVG, shape) {
			t.Errorf("the chart %s has no %s", p.Name, shape)
		}
	}
}
