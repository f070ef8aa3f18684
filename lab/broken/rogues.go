package broken

import (
	"bytes"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// Rogues are hardly servers at all. They are not for study: the harness has to
// come through them, with a verdict on each check and in good time, and to
// leave nothing behind.
func Rogues() []Server {
	return []Server{
		{
			Name: "never-accepts", Service: "echo", Cause: "deaf",
			Bug:    "listens, and that is all",
			Caught: allBut(),
			Serve:  func(int) { unix.Pause() },
		},
		{
			Name: "never-answers", Service: "echo", Cause: "mute",
			Bug:    "reads and says nothing",
			Caught: allBut(),
			Serve:  answers(func([]byte) []byte { return nil }),
		},
		{
			Name: "drips", Service: "echo", Cause: "sleeps",
			Bug:    "answers a byte a second",
			Caught: allBut(),
			Serve: threads(func(cfd int) {
				defer sys.Close(cfd)
				for b := make([]byte, 1); read(cfd, b) > 0; {
					time.Sleep(time.Second)
					write(cfd, b)
				}
			}),
		},
		{
			Name: "hangs-up", Service: "echo", Cause: "hangs-up",
			Bug:    "closes each connection at once",
			Caught: allBut(),
			Serve:  threads(sys.Close),
		},
		{
			Name: "floods", Service: "echo", Cause: "speaks-first",
			Bug:    "sends without a pause, and listens to nobody",
			Caught: allBut(),
			Serve: threads(func(cfd int) {
				defer sys.Close(cfd)
				for p := bytes.Repeat([]byte("x"), 64<<10); write(cfd, p); {
				}
			}),
		},
		{
			Name: "chatters", Service: "echo",
			Bug:     "prints a megabyte for each answer; it is right otherwise",
			Perhaps: []string{"*/*"}, // that takes its time
			Serve: answers(func(p []byte) []byte {
				os.Stdout.Write(bytes.Repeat([]byte("blah "), 200_000))
				return p
			}),
		},
		{
			Name: "ends-in-the-middle", Service: "echo", Cause: "dies",
			Bug:    "ends after four bytes",
			Caught: allBut(),
			Serve: threads(func(cfd int) {
				for b := make([]byte, 4); read(cfd, b) > 0; {
					write(cfd, b)
					os.Exit(3)
				}
			}),
		},
		{
			Name: "leaves-daemons", Service: "echo",
			Bug:    "starts processes in sessions of their own, deaf to SIGTERM, and ends with the first client",
			Caught: allBut(),
			Serve: func(lfd int) {
				for range 3 {
					syscall.ForkExec("/proc/self/exe", childArgs(), &syscall.ProcAttr{
						Env:   os.Environ(),
						Files: []uintptr{0, 1, 2, uintptr(lfd)},
						Sys:   &syscall.SysProcAttr{Setsid: true},
					})
				}
				sys.Accept(lfd, 0)
			},
			Client: func(int) {
				signal.Ignore(unix.SIGTERM, unix.SIGHUP)
				unix.Pause()
			},
		},
	}
}
