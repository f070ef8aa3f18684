package broken

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// anyBytes are the checks that send bytes which are no text, or many of them.
var anyBytes = []string{
	"bytes/binary", "bytes/sizes",
	"close/half", "close/early",
	"many/apart", "many/slow-reader", "many/flood", "many/chatter", "many/slow", "many/soak",
	"life/stopped", "life/half-closed",
	"random/schedules",
}

func bytesServers() []Server {
	return []Server{
		{
			Name: "pads-its-answers", Service: "echo", Cause: "whole-buffer", Source: "A",
			Bug:    "sends its whole 1,024-byte buffer back, padding and stale memory included",
			Caught: allBut("bytes/silence", "many/churn", "life/children", "life/term", "life/memory"),
			Serve: answers(func(p []byte) []byte {
				return p[:1024] // instead of p
			}),
		},
		{
			Name: "greets", Service: "echo", Cause: "speaks-first", Source: "Q",
			Bug:    "says welcome before anything was said",
			Caught: allBut(),
			Serve: threads(func(cfd int) {
				write(cfd, []byte("Welcome to the server!\n"))
				echo(cfd)
			}),
		},
		{
			Name: "stops-at-nul", Service: "echo", Cause: "nul", Source: "EFGH",
			Bug:    "takes what it read for a C string, and strlen ends at the first NUL",
			Caught: anyBytes,
			Serve: answers(func(p []byte) []byte {
				before, _, _ := bytes.Cut(p, []byte{0})
				return before
			}),
		},
		{
			Name: "reads-bytes-as-text", Service: "echo", Cause: "text",
			Bug:    "decodes UTF-8, which not every sequence of bytes is",
			Caught: anyBytes,
			Serve: answers(func(p []byte) []byte {
				return bytes.ToValidUTF8(p, []byte("\uFFFD"))
			}),
		},
		{
			Name: "takes-a-read-for-a-line", Service: "echo", Cause: "newline",
			Bug: "cuts the newline off each read, and adds one to each answer",
			Caught: []string{
				"bytes/binary", "bytes/one-by-one", "bytes/sizes", "bytes/pipelined",
				"close/half",
				"many/apart", "many/half-line", "many/slow-reader", "many/flood",
				"life/stopped",
				"random/schedules",
			},
			Perhaps: []string{"close/early"},
			Serve: answers(func(p []byte) []byte {
				return append(bytes.TrimSuffix(bytes.Clone(p), []byte("\n")), '\n')
			}),
		},
		{
			Name: "drops-what-follows-a-line", Service: "echo", Cause: "after-line",
			Bug:    "looks for the newline, answers that far, and forgets what came with it in the same read",
			Caught: slices.Concat(anyBytes, []string{"bytes/pipelined"}),
			Serve: answers(func(p []byte) []byte {
				if end := bytes.IndexByte(p, '\n'); end >= 0 {
					return p[:end+1]
				}
				return p
			}),
		},
		{
			Name: "overflows-its-buffer", Service: "echo", Cause: "overflow", Source: "EFGH",
			Bug: "lets recv write more than the 1,024 bytes that there is room for (SIZE_MAX: strlen of an empty buffer, less one)",
			Caught: []string{
				"bytes/sizes", "bytes/pipelined",
				"close/half", "close/early",
				"many/apart", "many/slow-reader", "many/flood",
				"life/memory", "life/stopped",
				"random/schedules",
			},
			Serve: threads(func(cfd int) {
				defer sys.Close(cfd)
				var memory [64 << 10]byte
				var line [1024]byte
				for {
					n := read(cfd, memory[:])
					for i := range n {
						line[i] = memory[i] // C overwrites its stack here; Go ends the program
					}
					if n == 0 || !write(cfd, line[:n]) {
						return
					}
				}
			}),
		},
		{
			Name: "takes-one-write-for-all", Service: "echo", Cause: "short-write",
			Bug:     "does not look at how much write has sent, and forgets the rest",
			Caught:  []string{"bytes/sizes", "close/half", "many/slow-reader"},
			Perhaps: []string{"many/apart", "many/flood", "life/stopped", "random/schedules"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.onWritable = func(c *client) {
					sys.Write(c.fd, c.owed)
					c.owed = nil
					if c.ended {
						l.drop(c)
					}
				}
				l.serve()
			},
		},
		{
			Name: "dies-of-silence", Service: "echo", Cause: "first-read",
			Bug:     "looks at the first byte of the first read, which may have none",
			Caught:  []string{"bytes/silence", "close/reset", "random/schedules"},
			Perhaps: []string{"many/burst"},
			Serve: threads(func(cfd int) {
				var hello [1024]byte
				n := read(cfd, hello[:])
				fmt.Fprintf(os.Stderr, "the first byte is %#x\n", hello[:n][0])
				write(cfd, hello[:n])
				echo(cfd)
			}),
		},
		{
			Name: "rests-after-each-answer", Service: "echo", Cause: "sleeps",
			Bug:    "sleeps 0.3 s when it has answered, instead of waiting for its client",
			Caught: []string{"bytes/latency"},
			Serve: threads(func(cfd int) {
				defer sys.Close(cfd)
				for p := range reads(cfd, 64<<10) {
					if !write(cfd, p) {
						return
					}
					if len(p) < 64<<10 { // that was all, for now
						time.Sleep(300 * time.Millisecond)
					}
				}
			}),
		},
		{
			Name: "looks-once-a-second", Service: "echo", Cause: "sleeps", Source: "C",
			Bug: "sleeps a second after each round through its clients",
			Caught: []string{
				"bytes/sizes", "bytes/latency",
				"many/apart", "many/slow-reader", "many/crowd", "many/churn",
			},
			Perhaps: []string{"*/*"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.wait = func(fds []unix.PollFd) {
					time.Sleep(time.Second)
					sys.Poll(fds, -1)
				}
				l.serve()
			},
		},
	}
}
