package subject

import (
	"bytes"
	"io"
	"os/exec"
	"sync"
	"syscall"
)

// Launch starts a program that is not a server: a client, mostly. It has a
// process group of its own, and it ends with this process at the latest. The
// channel is closed when it has ended; cmd.ProcessState then says how.
func Launch(cmd *exec.Cmd) (keyboard io.WriteCloser, ended chan struct{}, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if keyboard, err = cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	ended = make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	return keyboard, ended, nil
}

// A Screen keeps what a program prints, and may be read meanwhile. It drops what
// comes after Most bytes.
type Screen struct {
	Most int
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text.Len() < s.Most {
		s.text.Write(p)
	}
	return len(p), nil
}

func (s *Screen) String() string { return s.After(0) }

// After is what was printed after the first n bytes.
func (s *Screen) After(n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text.Bytes()[n:])
}
