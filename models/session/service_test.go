package session

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestServiceText(t *testing.T) {
	for text, s := range map[string]Service{
		"echo work=0s sleep=0s":    {Name: "echo"},
		"echo work=2ms sleep=0s":   {Name: "echo", Work: 2 * time.Millisecond},
		"talk work=1m30s sleep=7s": {Name: "talk", Work: 90 * time.Second, Sleep: 7 * time.Second},
		"talk work=0s sleep=1ns":   {Name: "talk", Sleep: 1},

		`talk work=0s sleep=0s greeting="Welcome to \"us\"!\n greeting="`: {Name: "talk", Greeting: "Welcome to \"us\"!\n greeting="},
	} {
		t.Run(text, func(t *testing.T) {
			if got := s.String(); got != text {
				t.Errorf("String is %q", got)
			}
			got, err := Parse(text)
			if err != nil || got != s {
				t.Errorf("Parse makes %+v of it (%v), want %+v", got, err, s)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "echo", "echo work=2ms", "echo work=2 sleep=0s", "echo work= sleep=0s",
		"echo sleep=0s work=0s", "echo work=0s sleep=0s more", "echo work=0s sleep=0s greeting=hello",
		"echo  work=0s sleep=0s",
	} {
		t.Run(text, func(t *testing.T) {
			s, err := Parse(text)
			if err == nil {
				t.Fatalf("it became %+v", s)
			}
			if s != (Service{}) {
				t.Errorf("beside its error it returns %+v", s)
			}
			if !strings.Contains(err.Error(), "work=DURATION") {
				t.Errorf("the error does not say what is wanted: %v", err)
			}
		})
	}
}

func TestServicesCanBeServed(t *testing.T) {
	for _, name := range Services {
		t.Run(name, func(t *testing.T) {
			p := newPage(t, Service{Name: name}, 1)
			if p.Done() || !p.WantRead() {
				t.Fatal("it is over before it begins")
			}
			p.read([]byte("hello\n"), BufferSize)
			p.finish()
			answered := string(p.sent) == "hello\n"
			shown := strings.Contains(string(p.heard), "hello\n")
			if answered == shown {
				t.Errorf("answered: %v, shown: %v; want one of the two", answered, shown)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("echo work=2ms sleep=0s")
	f.Add("talk work=1h0.5s sleep=-3us")
	f.Add(`talk work=0s sleep=0s greeting="\xff \\u2026"`)
	f.Add("echo work=9999999999h sleep=")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(s.String()); err != nil || again != s {
			t.Errorf("%q is %+v, whose text %q is %+v (%v)", text, s, s, again, err)
		}
	})
}

// The clock of a synctest bubble moves only by sleeping, so that a sleep too
// many would show.
func TestSleepsOncePerRead(t *testing.T) {
	for _, name := range Services {
		synctest.Test(t, func(t *testing.T) {
			const d = 20 * time.Millisecond
			p := newPage(t, Service{Name: name, Sleep: d}, 1)
			start := time.Now()
			p.read([]byte("two lines\nin one read\n"), 1)
			p.read([]byte("and hal"), 0)
			p.say("hello\n")
			p.finish()
			if slept := time.Since(start); slept != 2*d {
				t.Errorf("%s slept for %v in two reads, want %v each", name, slept, d)
			}
		})
	}
}

func TestWorksForEachRead(t *testing.T) {
	for _, name := range Services {
		const d = 2 * time.Millisecond
		p := newPage(t, Service{Name: name, Work: d}, 1)
		for range 3 {
			start := time.Now()
			p.read([]byte("hello\n"), BufferSize)
			if took := time.Since(start); took < d {
				t.Errorf("%s took %v for a read, want at least %v of work", name, took, d)
			}
		}
	}
}

// A slow handler says the same as a quick one, later.
func TestBusySaysTheSame(t *testing.T) {
	input := []byte("one\ntwo\nexit\nthree")
	for _, name := range Services {
		quick := newPage(t, Service{Name: name}, 5)
		quick.run(input, []byte{3, 2})
		slow := newPage(t, Service{Name: name, Work: 1, Sleep: 1}, 5)
		slow.run(input, []byte{3, 2})
		if string(slow.sent) != string(quick.sent) || string(slow.heard) != string(quick.heard) {
			t.Errorf("%s sends %q and shows %q, and when busy %q and %q",
				name, quick.sent, quick.heard, slow.sent, slow.heard)
		}
	}
}
