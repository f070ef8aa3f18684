package subject

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	roles["rivals"] = func() { // two threads want one CPU
		listen("127.0.0.1:" + port())
		go rival()
		rival()
	}
}

func rival() {
	runtime.LockOSThread()
	var ours, first unix.CPUSet
	must(unix.SchedGetaffinity(0, &ours))
	for cpu := 0; first.Count() == 0; cpu++ {
		if ours.IsSet(cpu) {
			first.Set(cpu)
		}
	}
	must(unix.SchedSetaffinity(0, &first)) // this thread's
	for turns := 0; ; turns++ {
	}
}

// A thread that is ready to run while another has its CPU is starved; one that
// sleeps is not.
func TestStarved(t *testing.T) {
	rivals, sleeper := begin(t, spec("rivals")), begin(t, spec("listen"))
	eventually(t, "the rivals waited for each other", func() bool { return rivals.Starved() > 300*time.Millisecond })
	before := sleeper.Starved()
	eventually(t, "they did so again", func() bool { return rivals.Starved() > 600*time.Millisecond })
	if more := sleeper.Starved() - before; more > 100*time.Millisecond {
		t.Errorf("one that sleeps was starved for %v", more)
	}
}
