package broken

import (
	"iter"
	"os"

	"socketlab/models/sys"
)

// threads is a server that holds each conversation in a thread of its own, in
// blocking calls. The conversation owns the descriptor of its client.
func threads(converse func(cfd int)) func(lfd int) {
	return func(lfd int) {
		left := make(chan struct{}, 1)
		for {
			cfd, err := sys.Accept(lfd, 0) // sleeps until a client comes
			switch {
			case err == nil:
				go func() {
					converse(cfd)
					select {
					case left <- struct{}{}:
					default:
					}
				}()
			case sys.Full(err):
				<-left // there is no room until a client leaves
			default:
				fatal(err)
			}
		}
	}
}

// answers is a server that answers whatever a read brings.
func answers(answer func(p []byte) []byte) func(lfd int) {
	return threads(func(cfd int) {
		defer sys.Close(cfd)
		for p := range reads(cfd, 1024) {
			if !write(cfd, answer(p)) {
				return
			}
		}
	})
}

// echo holds a conversation as it should be.
func echo(cfd int) {
	defer sys.Close(cfd)
	for p := range reads(cfd, 64<<10) {
		if !write(cfd, p) {
			return
		}
	}
}

// reads are what a client says, until it has finished or is gone: what a read
// into a buffer of that size brings, and the next one overwrites.
func reads(cfd, size int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		buf := make([]byte, size)
		for n := read(cfd, buf); n > 0 && yield(buf[:n]); n = read(cfd, buf) {
		}
	}
}

// read is how much came, and 0 when the client has finished or is gone.
func read(cfd int, buf []byte) int {
	n, _ := sys.Read(cfd, buf) // sleeps until the client speaks
	return n
}

// write sends all of p, if the client is there to take it.
func write(cfd int, p []byte) bool {
	for len(p) > 0 {
		n, err := sys.Write(cfd, p) // sleeps while it does not read
		if err != nil {
			return false
		}
		p = p[n:]
	}
	return true
}

func fatal(err error) {
	os.Stderr.WriteString(err.Error() + "\n")
	os.Exit(1)
}
