package broken

import (
	"os"
	"os/exec"
	"os/signal"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

// A parent serves each client in a child process: this program, started once
// more, with the client on descriptor 3. Its steps can be replaced; newParent
// has them as they should be.
type parent struct {
	lfd   int
	spawn func(cfd int) error
	reap  func() // at SIGCHLD
}

func newParent(lfd int) *parent {
	p := &parent{lfd: lfd}
	p.spawn = func(cfd int) error {
		_, err := sys.Start(&exec.Cmd{Path: "/proc/self/exe", Args: childArgs()}, -1, 1, 2, cfd)
		return err
	}
	p.reap = func() {
		for sys.Reap() > 0 { // one signal may stand for many children
		}
	}
	return p
}

// childArgs are the arguments of a child: lab broken NAME, and no port.
func childArgs() []string { return os.Args[:3] }

func (p *parent) serve() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	left := make(chan struct{}, 1)
	go func() {
		for range ended {
			p.reap()
			select {
			case left <- struct{}{}:
			default:
			}
		}
	}()
	cfd := -1 // a client that has no child yet
	for {
		var err error
		if cfd < 0 {
			cfd, err = sys.Accept(p.lfd, 0) // sleeps until a client comes
		}
		if err == nil {
			err = p.spawn(cfd)
		}
		switch {
		case err == nil:
			sys.Close(cfd) // the child has its own
			cfd = -1
		case sys.Full(err):
			<-left // there is no room until a client leaves
		default:
			fatal(err)
		}
	}
}
