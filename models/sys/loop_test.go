package sys_test

import (
	"slices"
	"testing"

	"socketlab/models/sys"
)

// What is asked for is told as long as it is so, or once; and errands of other
// threads are done in order, whatever else happens.
func TestLoop(t *testing.T) {
	nothingLeaks(t)
	l := must[*sys.Loop](t)(sys.NewLoop())
	defer l.Close()
	reader, writer := pipe(t)
	tells := func(want ...sys.Ready) {
		t.Helper()
		if got := l.Wait(); !slices.Equal(got, want) || l.Failed != nil {
			t.Errorf("it tells %v (%v), want %v", got, l.Failed, want)
		}
	}
	bell := sys.Ready{FD: l.Bell, In: true}
	ready := sys.Ready{FD: reader, In: true}
	must[int](t)(sys.Write(writer, []byte("hello\n")))
	l.Ask(reader, true, false)
	tells(ready)
	tells(ready)
	l.AskOnce(reader, true, false)
	tells(ready)
	var done []int
	for n := range 3 {
		l.Do(func() { done = append(done, n) })
	}
	tells(bell) // and not of the reader: it has been told
	l.Run()
	if !slices.Equal(done, []int{0, 1, 2}) {
		t.Errorf("the errands ran as %v", done)
	}
	l.AskOnce(reader, true, false)
	tells(ready)
	l.Ask(reader, false, false)
	go l.Do(func() {})
	tells(bell)
}

// A line of the operator's is refused while many errands wait, and taken again
// when they are done. It is the loop's own copy.
func TestLoopTell(t *testing.T) {
	nothingLeaks(t)
	l := must[*sys.Loop](t)(sys.NewLoop())
	defer l.Close()
	said := ""
	tell := l.Tell(func(line []byte) { said += string(line) })
	line := []byte("hello\n")
	if !tell(line) {
		t.Error("a line is refused, though no errand waits")
	}
	copy(line, "later\n")
	refused := false
	for range 10_000 {
		refused = refused || !tell(nil)
	}
	l.Run()
	if said != "hello\n" || !refused || !tell(nil) {
		t.Errorf("it said %q; of 10,000 lines more it refused some: %v", said, refused)
	}
}
