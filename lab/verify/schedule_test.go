package verify

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// A schedule may be written down and read again.
func FuzzReadSchedule(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(RandomSchedule(seed).String())
	}
	f.Add("# a comment\n\n  1 connect  \n1 send 5 in 5\n1 pause\n1 receive\n1 half-close\n1 leave\n1 connect\n1 reset\n")
	f.Add("1 send 0 in 0\n")
	f.Add("9 connect")
	f.Add("1 connect\n1 connect")
	f.Fuzz(func(t *testing.T, text string) {
		schedule, err := ReadSchedule(strings.NewReader(text))
		if err != nil {
			return
		}
		if err := schedule.valid(); err != nil {
			t.Errorf("what was read is not valid: %v", err)
		}
		again, err := ReadSchedule(strings.NewReader(schedule.String()))
		if err != nil || !slices.Equal(again, schedule) {
			t.Errorf("%q is read again as %q (%v)", schedule, again, err)
		}
	})
}

func TestReadScheduleRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"hello":                                  `line 1: "hello": want NUMBER connect|`,
		"1 connect\n\n2 hop":                     `line 3: "2 hop": want`,
		"x connect":                              `line 1: "x connect": want`,
		"0 connect":                              "clients are 1 to 8",
		"9 connect":                              "clients are 1 to 8",
		"# seed 7\n":                             "there is no step in it",
		"1 connect\n1 send 5 in 6":               "pieces 1 to 1000 and to bytes",
		"1abc connect":                           "want NUMBER",
		"1 connect\n1 send 5x in 1":              "want NUMBER",
		"1 connect\n1 send 9000000 in 1":         "bytes 1 to 8388608",
		"1 connect\n1 send 0 in 1":               "bytes 1 to",
		"1 connect\n1 send":                      "want NUMBER",
		"1 send 5 in 1":                          "1 send 5 in 1: it is not connected",
		"1 connect\n1 connect":                   "it is connected already",
		"1 connect\n1 leave\n1 pause":            "it is not connected",
		"1 connect\n1 half-close\n1 send 1 in 1": "it has finished sending",
		"1 connect\n1 half-close\n1 half-close":  "it has finished sending",
	} {
		if schedule, err := ReadSchedule(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is read as %q (%v), want an error with %q", text, schedule, err, says)
		}
	}
}

func TestRandomSchedules(t *testing.T) {
	verbs := map[string]bool{}
	var before Schedule
	for seed := range uint64(2000) {
		schedule := RandomSchedule(seed)
		if err := schedule.valid(); err != nil {
			t.Fatalf("seed %d: %v in\n%v", seed, err, schedule)
		}
		if !slices.Equal(RandomSchedule(seed), schedule) {
			t.Fatalf("seed %d does not give the same schedule again", seed)
		}
		if slices.Equal(schedule, before) {
			t.Fatalf("seed %d gives the schedule of the one before", seed)
		}
		before = schedule
		for _, step := range schedule {
			verbs[step.Verb] = true
		}
	}
	if len(verbs) != 7 {
		t.Errorf("they do only %v", verbs)
	}
}

// What a client sends does not depend on how it is cut.
func TestStreams(t *testing.T) {
	whole := streamOf(3, 0, 1000)
	for i := range 1000 {
		if cut := append(streamOf(3, 0, i), streamOf(3, i, 1000-i)...); !bytes.Equal(cut, whole) {
			t.Fatalf("cut at %d the stream is another one", i)
		}
	}
	if bytes.Equal(streamOf(4, 0, 1000), whole) {
		t.Error("two clients send the same")
	}
	for n := 1; n <= 5; n++ {
		if got := len(pieces(whole, n)); got != n {
			t.Errorf("cut into %d pieces there are %d", n, got)
		}
	}
}

// Shrinking finds the smallest schedule in which client 2 finishes while client
// 1 is there, whatever stands around it.
func TestShrink(t *testing.T) {
	fails := func(schedule Schedule) bool {
		here := false
		for _, step := range schedule {
			switch {
			case step.Client == 1:
				here = step.Verb != "leave" && step.Verb != "reset"
			case step.Client == 2 && step.Verb == "half-close" && here:
				return true
			}
		}
		return false
	}
	tried := 0
	for seed := range uint64(500) {
		schedule := RandomSchedule(seed)
		if !fails(schedule) {
			continue
		}
		tried++
		shortest := shrink(schedule, func(shorter Schedule) bool {
			if err := shorter.valid(); err != nil {
				t.Fatalf("seed %d: it is to play what cannot be played: %v", seed, err)
			}
			return fails(shorter)
		})
		if len(shortest) != 3 || !fails(shortest) {
			t.Errorf("seed %d is shrunk to\n%v", seed, shortest)
		}
	}
	if tried == 0 {
		t.Error("no schedule fails")
	}
}

// What always fails is shrunk to a single step, so that it can be replayed.
func TestShrinkToOneStep(t *testing.T) {
	if shortest := shrink(RandomSchedule(1), func(Schedule) bool { return true }); len(shortest) != 1 {
		t.Errorf("what always fails is shrunk to\n%v", shortest)
	}
}
