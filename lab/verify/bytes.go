package verify

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"socketlab/lab/report"
)

var bytesChecks = []Check{
	{
		ID: "bytes/echo", Level: report.Must, Service: "echo", First: true,
		Says:   "returns what it was sent, and nothing else: no banner, no padding",
		Causes: []string{"protocol", "whole-buffer", "unflushed"},
		Try:    `printf 'hello\n' | nc -N 127.0.0.1 PORT | od -c`,
		Run: func(t *T) {
			c := t.Dial()
			t.Phase("first")
			c.SendString("hello\n")
			c.ExpectString("hello\n")
			t.Phase("second")
			c.SendString("a longer line, and then a short one\n")
			c.ExpectString("a longer line, and then a short one\n")
			c.SendString("short\n")
			c.ExpectString("short\n")
			t.Phase("half")
			c.HalfClose()
			c.ExpectFIN()
		},
	},
	{
		ID: "bytes/binary", Level: report.Must, Service: "echo",
		Says:   "returns all 256 byte values, NUL included",
		Causes: []string{"text", "nul"},
		Try:    `printf '\000\377\200' | nc -N 127.0.0.1 PORT | od -An -tx1`,
		Run: func(t *T) {
			all := make([]byte, 256)
			for i := range all {
				all[i] = byte(i)
			}
			c := t.Dial()
			c.Echo(all)
			backwards := slices.Clone(all)
			slices.Reverse(backwards)
			c.Echo(backwards)
			c.HalfClose()
			c.ExpectFIN()
		},
	},
	{
		ID: "bytes/one-by-one", Level: report.Must, Service: "echo",
		Says:   "takes a message one byte per segment",
		Causes: []string{"line", "newline"},
		Try:    `for c in h e l l o; do printf $c; sleep 0.1; done | nc -N 127.0.0.1 PORT | od -c`,
		Run: func(t *T) {
			message := []byte("one byte at a time, and each of them arrives alone\n")
			c := t.Dial()
			c.EchoBytes(message)
			c.HalfClose()
			c.ExpectFIN()
		},
	},
	{
		ID: "bytes/sizes", Level: report.Must, Service: "echo",
		Says:   "returns messages of any size exactly, from 1 byte to 8 MiB",
		Causes: []string{"truncates", "short-write"},
		Try:    `head -c 8M /dev/urandom >/tmp/sent; nc -N 127.0.0.1 PORT </tmp/sent | (sleep 1; cmp - /tmp/sent)`,
		Run: func(t *T) {
			c := t.Dial()
			t.Phase("sizes")
			for _, size := range []int{1, 1023, 1024, 1025, 4095, 4096, 4097, 65535, 65536, 65537} {
				c.Echo(random(size))
			}
			c.HalfClose()
			c.ExpectFIN()
			// More than the kernels keep, 4 MiB at the server's end and little at
			// this one, so that a write takes less than all: tcp(7), tcp_wmem.
			t.Phase("late")
			late := t.DialNarrow()
			most := random(8 * mib)
			late.Pour(most)
			late.Heard()
			late.Expect(most)
			late.HalfClose()
			late.ExpectFIN()
		},
	},
	{
		ID: "bytes/pipelined", Level: report.Must, Service: "echo",
		Says:   "returns 1,000 messages sent without waiting, in order",
		Causes: []string{"after-line", "newline"},
		Try:    `seq 1000 | nc -N 127.0.0.1 PORT | diff - <(seq 1000)`,
		Run: func(t *T) {
			var messages [][]byte
			for i := range 1000 {
				messages = append(messages, fmt.Appendf(nil, "message %d\n", i))
			}
			c := t.Dial()
			c.SendSegments(messages[:500]...)
			c.Send(bytes.Join(messages[500:], nil))
			c.Expect(bytes.Join(messages, nil))
			c.HalfClose()
			c.ExpectFIN()
		},
	},
	{
		ID: "bytes/silence", Level: report.Must, Service: "echo",
		Says:   "survives clients that connect and leave without a word",
		Causes: []string{"first-read"},
		Try:    `timeout 2 nc -N 127.0.0.1 PORT </dev/null; printf 'hello\n' | timeout 2 nc -N 127.0.0.1 PORT`,
		Run: func(t *T) {
			for range 20 {
				c := t.Dial()
				c.HalfClose()
				c.ExpectFIN()
				t.Dial().Close()
			}
			t.Dial().Echo([]byte("still there?\n"))
		},
	},
	{
		ID: "bytes/latency", Level: report.Must, Service: "echo",
		Says:   "answers a lone client's message well within 250 ms",
		Causes: []string{"sleeps"},
		Try:    `time ((echo one; sleep 0.1; echo two) | nc -N 127.0.0.1 PORT)`,
		Run: func(t *T) {
			const rounds, most = 5, 250 * time.Millisecond
			var took []time.Duration
			c := t.Dial()
			for range rounds {
				start := time.Now()
				c.Echo([]byte("how long?\n"))
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			median := took[rounds/2].Round(10 * time.Microsecond)
			t.Tell("the median of %d answers took %v", rounds, median)
			if median > most {
				t.FailAs("slow", fmt.Sprintf("an answer within %v", most), fmt.Sprintf("the median of %d took %v", rounds, median))
			}
		},
	},
}

// random is n bytes that no server can guess. A wrong one is told by its
// position, so they need not be the same in every run.
func random(n int) []byte {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	p := make([]byte, n)
	rand.NewChaCha8(seed).Read(p)
	return p
}
