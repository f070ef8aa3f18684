package session

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// noise is n bytes that look like nothing else.
func noise(n int) []byte {
	random := rand.NewChaCha8([32]byte{7})
	b := make([]byte, n)
	random.Read(b)
	return b
}

func TestEchoReturnsWhatItGot(t *testing.T) {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	for name, input := range map[string][]byte{
		"nothing":         {},
		"a line":          []byte("hello\n"),
		"exit is no word": []byte("exit\nand more"),
		"every byte":      all[:],
		"64 KiB":          noise(65536),
		"a MiB":           noise(1 << 20),
	} {
		t.Run(name, func(t *testing.T) {
			for _, steps := range [][]byte{
				nil,                          // the kernel takes all
				bytes.Repeat([]byte{2}, 999), // a byte at a time
				bytes.Repeat([]byte{0, 1}, 999),
				noise(1000),
			} {
				p := newPage(t, Service{Name: "echo"}, 1)
				p.run(input, steps)
				if !bytes.Equal(p.sent, input) {
					t.Errorf("echo of %d bytes has %d bytes, or others", len(input), len(p.sent))
				}
				if len(p.heard) > 0 {
					t.Errorf("an echo has no operator, who heard %q", p.heard)
				}
			}
		})
	}
}

func TestEchoHasNoOperator(t *testing.T) {
	p := newPage(t, Service{Name: "echo"}, 1)
	p.say("hello\n")
	p.say("@1 hello\n")
	p.finish()
	if len(p.sent) > 0 {
		t.Errorf("it sent %q, which the client did not say", p.sent)
	}
}

// A client that does not read is not read either, and is served again as soon
// as it has read enough.
func TestEchoStopsReadingAboveHighWater(t *testing.T) {
	p := newPage(t, Service{Name: "echo"}, 1)
	input := noise(4 * HighWater)
	for rest := input; p.WantRead(); {
		if len(rest) == 0 {
			t.Fatalf("read %d bytes of a client that takes none", len(input))
		}
		rest = p.read(rest, 0)
	}
	owed := len(p.Pending())
	if owed <= HighWater {
		t.Errorf("it stopped reading at %d bytes pending, and HighWater is %d", owed, HighWater)
	}
	p.write(owed - HighWater)
	if !p.WantRead() {
		t.Errorf("%d bytes are pending, and it does not read", len(p.Pending()))
	}
	p.finish()
	if !bytes.Equal(p.sent, input[:owed]) {
		t.Errorf("of the %d bytes read it returned others", owed)
	}
}

func TestEchoAllocatesNothing(t *testing.T) {
	s := Service{Name: "echo"}.New(1)
	message := []byte("hello\n")
	n := testing.AllocsPerRun(1000, func() {
		s.Feed(message)
		s.Sent(len(s.Pending()))
		if !s.WantRead() || s.Done() {
			t.Fatal("it does not go on")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for each message that the kernel takes whole", n)
	}
}

func TestSilentClientHoldsNoBuffer(t *testing.T) {
	for _, s := range []Service{{Name: "echo"}, {Name: "talk"}, {Name: "echo", Sleep: 1}} {
		t.Run(s.String(), func(t *testing.T) {
			p := newPage(t, s, 1)
			for _, room := range []int{BufferSize, 0, 1} {
				p.read(append(noise(100), '\n'), room)
				p.say("hello\n")
				for len(p.Pending()) > 0 {
					p.write(3)
				}
				if n := footprint(p.Session); n > 0 {
					t.Errorf("it is owed nothing, and holds %d bytes", n)
				}
			}
			if e, ok := p.Session.(*echo); ok && e.lent != nil {
				t.Error("it still refers to the page's buffer")
			}
		})
	}
}

func FuzzEcho(f *testing.F) {
	f.Add([]byte("hello\n"), uint16(1), []byte{2, 1, 2, 1})
	f.Add([]byte("\x00\xff\r\nexit\n"), uint16(2), []byte{0, 2})
	f.Add([]byte("flood"), uint16(50000), []byte{0, 1, 0, 1, 0, 1, 12, 3, 10, 2})
	f.Fuzz(func(t *testing.T, input []byte, times uint16, steps []byte) {
		input = many(input, times)
		p := newPage(t, Service{Name: "echo"}, 1)
		p.run(input, steps)
		if !bytes.Equal(p.sent, input) {
			t.Errorf("%d bytes came back as %d, or others", len(input), len(p.sent))
		}
	})
}
