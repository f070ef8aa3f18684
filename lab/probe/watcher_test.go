package probe_test

import (
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/probe"
	"socketlab/models/sys"
)

var reports = []sys.Report{
	{Phase: sys.Before, Call: sys.Call{ID: 1, Name: "accept", FD: 3}},
	{Phase: sys.After, Call: sys.Call{
		ID: 1 << 40, Pid: 4711, Tid: 4712, Goroutine: 18, Task: "converse", Page: "models/pollloop/poll.go:52",
		Name: "read", FD: 7, Args: "{3r 5rw}", Client: netip.MustParseAddrPort("[::1]:43210"),
		Start: time.Unix(1700000000, 123456789), End: time.Unix(1700000000, 123456999),
		N: 6, Got: `"hello\n\t"`, Errno: unix.EAGAIN, Slept: true,
	}},
	{Phase: sys.Parks, Call: sys.Call{FD: -1, N: -1, Name: "select"}},
}

func TestReportIsReadAsItWasWritten(t *testing.T) {
	for _, r := range reports {
		got, err := probe.Parse(r.String())
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%q is read as %+v, %v; want %+v", r.String(), got, err, r)
		}
	}
	for _, wrong := range []string{"", "before", strings.Repeat("\t", 16), reports[0].String() + "\t"} {
		if _, err := probe.Parse(wrong); err == nil {
			t.Errorf("%q is taken for a report", wrong)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range reports {
		f.Add(r.String())
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := probe.Parse(text)
		if err != nil {
			return
		}
		again, err := probe.Parse(r.String())
		if err != nil || again.String() != r.String() {
			t.Errorf("%q is read as %+v, and that as %+v, %v", text, r, again, err)
		}
	})
}

// watched has this process report to a watcher in it.
func watched(t *testing.T, hold bool) (*probe.Watcher, chan probe.Report) {
	t.Helper()
	told := make(chan probe.Report, 1000)
	w := must[*probe.Watcher](t)(probe.NewWatcher(hold, func(r probe.Report) { told <- r }))
	name, value, _ := strings.Cut(w.Env(), "=")
	if name != sys.ProbeEnv {
		t.Fatalf("the environment has %q", w.Env())
	}
	t.Setenv(name, value)
	sys.ReportCalls()
	if r := receive(t, "the process reports", told); r.Phase != probe.Begins || r.Pid != os.Getpid() || r.Who != "server" {
		t.Fatalf("the first report is %+v", r)
	}
	return w, told
}

// Closing a watcher loses nothing that was reported before, and what is done
// afterwards goes on unreported.
func TestWatcherCloses(t *testing.T) {
	if !alone(t) {
		return
	}
	before := descriptors(t)
	w, told := watched(t, false)
	reader, writer := pipe(t)
	const calls = 100
	for range calls {
		must[int](t)(sys.Write(writer, []byte("x")))
	}
	w.Close()
	var got []string
	for len(told) > 0 {
		r := <-told
		got = append(got, string(r.Phase))
		if r.Pid != os.Getpid() || r.Tid == 0 || r.Goroutine == 0 || r.Start.After(time.Now()) {
			t.Fatalf("not true: %+v", r)
		}
		if !strings.HasPrefix(r.Page, "lab/probe_test/watcher_test.go:") {
			t.Fatalf("the call stands in %q", r.Page)
		}
	}
	if want := slices.Repeat([]string{"before", "after"}, calls); !slices.Equal(got, want) {
		t.Errorf("%d calls were reported as %q", calls, got)
	}
	var buf [calls]byte
	if n := must[int](t)(sys.Read(reader, buf[:])); n != calls {
		t.Errorf("read %d bytes, want %d", n, calls)
	}
	left := 0
	for fd, what := range descriptors(t) {
		if before[fd] != what && strings.HasPrefix(what, "socket:") {
			left++
		}
	}
	if left > 1 { // the reporter keeps its number until the process ends
		t.Errorf("%d sockets are left", left)
	}
}

// A call that is held is made when it is released, and when the watcher leaves.
func TestHold(t *testing.T) {
	if !alone(t) {
		return
	}
	w, told := watched(t, true)
	reader, writer := pipe(t)
	done := make(chan error, 1)
	write := func() {
		_, err := sys.Write(writer, []byte("x"))
		done <- err
	}
	go write()
	before := receive(t, "the call is announced", told)
	if ready, err := unix.Poll([]unix.PollFd{{Fd: int32(reader), Events: unix.POLLIN}}, 0); ready != 0 || err != nil {
		t.Errorf("the call was made before it was released: %d, %v", ready, err)
	}
	w.Release(before.Call)
	if err := receive(t, "the call returns", done); err != nil {
		t.Error(err)
	}
	if after := receive(t, "its end is told", told); after.Phase != sys.After || after.ID != before.ID || after.N != 1 {
		t.Errorf("then %+v is told", after)
	}
	go write()
	receive(t, "the next call is announced", told)
	w.Close()
	if err := receive(t, "the held call is let go", done); err != nil {
		t.Error(err)
	}
	go write()
	if err := receive(t, "a call is held no more", done); err != nil {
		t.Error(err)
	}
}

// Who comes too late, or from nowhere, is not watched, and nothing is wrong.
func TestNobodyWatches(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, nobody := range []string{"", "@nobody/here", "hold:@nobody/here", "hold:", "nonsense"} {
		t.Setenv(sys.ProbeEnv, nobody)
		sys.ReportCalls()
		_, writer := pipe(t)
		if n, err := sys.Write(writer, []byte("x")); n != 1 || err != nil {
			t.Errorf("with %q a write returns %d, %v", nobody, n, err)
		}
	}
}
