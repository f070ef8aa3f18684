package broken

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

func closeServers() []Server {
	return []Server{
		{
			Name: "forgets-to-close", Service: "echo", Cause: "descriptor-kept", Source: "C",
			Bug:    "forgets a client that left, and does not close its descriptor",
			Caught: allBut("bytes/latency", "close/reset", "close/early", "many/crowd", "life/children", "life/term", "life/memory", "life/restart"),
			Serve: threads(func(cfd int) {
				for p := range reads(cfd, 64<<10) {
					if !write(cfd, p) {
						return // without sys.Close(cfd)
					}
				}
			}),
		},
		{
			Name: "spins-after-the-end", Service: "echo", Cause: "end-missed", Source: "A",
			Bug:    "takes no notice of a read of 0 bytes, the end, and reads again, for ever",
			Caught: allBut("bytes/latency", "close/reset", "close/early", "many/crowd", "life/children", "life/term", "life/memory", "life/restart"),
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.onReadable = func(c *client) {
					n, err := sys.Read(c.fd, l.buf[:])
					if err != nil && !sys.Again(err) {
						l.drop(c)
						return
					}
					l.hear(c, l.buf[:n])
					l.onWritable(c)
				}
				l.serve()
			},
		},
		{
			Name: "closes-with-answers-unsent", Service: "echo", Cause: "closes-owing",
			Bug:     "closes when a read brings the end, while the client is still owed answers",
			Caught:  []string{"close/half"},
			Perhaps: []string{"many/flood", "random/schedules"},
			Serve: func(lfd int) {
				l := newLoop(lfd)
				l.onReadable = func(c *client) {
					n, err := sys.Read(c.fd, l.buf[:])
					switch {
					case sys.Again(err):
					case err != nil || n == 0:
						l.drop(c)
					default:
						l.hear(c, l.buf[:n])
						l.onWritable(c)
					}
				}
				l.serve()
			},
		},
		{
			Name: "resets-at-the-end", Service: "echo", Cause: "linger-0",
			Bug:    "sets SO_LINGER to 0 s, to be rid of TIME-WAIT: its close is a reset, and what is on its way is lost",
			Caught: allBut("bytes/latency", "close/reset", "close/early", "many/crowd", "many/churn", "life/children", "life/term", "life/memory", "life/descriptors"),
			Serve: threads(func(cfd int) {
				unix.SetsockoptLinger(cfd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
				echo(cfd)
			}),
		},
		{
			Name: "dies-of-a-reset", Service: "echo", Cause: "client-error",
			Bug: "takes an error on one client's socket, ECONNRESET, for its own",
			Caught: []string{
				"close/reset",
				"many/crowd", "many/churn",
				"life/idle",
				"random/schedules",
			},
			Perhaps: []string{"close/early", "many/burst", "life/memory"},
			Serve: threads(func(cfd int) {
				defer sys.Close(cfd)
				buf := make([]byte, 64<<10)
				for {
					n, err := sys.Read(cfd, buf)
					if err != nil {
						fatal(err)
					}
					if n == 0 || !write(cfd, buf[:n]) {
						return
					}
				}
			}),
		},
		{
			Name: "dies-of-a-nameless-client", Service: "echo", Cause: "client-error",
			Bug:     "asks each client for its address, getpeername, and ends if there is none: who was reset before accept has none any more",
			Caught:  []string{"close/reset"},
			Perhaps: []string{"many/burst", "random/schedules"},
			Serve: threads(func(cfd int) {
				if _, err := unix.Getpeername(cfd); err != nil {
					fatal(err)
				}
				echo(cfd)
			}),
		},
		{
			Name: "dies-of-sigpipe", Service: "echo", Cause: "sigpipe", Source: "AH",
			Bug:     "goes on writing to a client that left: the second time, SIGPIPE ends the process",
			Caught:  []string{"close/early"},
			Perhaps: []string{"many/burst", "life/memory", "random/schedules"},
			Serve: func(lfd int) {
				var inherited [4]uint64 // struct sigaction, all zero: SIG_DFL, as in C
				unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGPIPE), uintptr(unsafe.Pointer(&inherited)), 0, 8, 0, 0)
				threads(func(cfd int) {
					defer sys.Close(cfd)
					for p := range reads(cfd, 1024) {
						for piece := range slices.Chunk(p, 64) {
							write(cfd, piece)
						}
					}
				})(lfd)
			},
		},
	}
}
