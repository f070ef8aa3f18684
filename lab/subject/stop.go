package subject

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"
)

// live are the subjects that StopAll has to stop.
var live struct {
	sync.Mutex
	subjects map[*Subject]bool
}

// Stop ends the server and everything that it started: SIGTERM to its process
// group, and when it has ended or Grace is over, SIGKILL to whatever is left,
// in its group or not. It says how the server ended. The error tells of
// processes that could not be killed. To call it again does nothing.
func (s *Subject) Stop() (Ending, error) {
	s.stop.Do(s.end)
	ending, _ := s.Ending()
	ending.Took = s.took
	return ending, s.stopErr
}

func (s *Subject) end() {
	close(s.stopped)
	start := time.Now()
	if !isClosed(s.exited) {
		syscall.Kill(-s.Pid(), syscall.SIGTERM)
		syscall.Kill(-s.Pid(), syscall.SIGCONT) // who is stopped does not hear it
		select {
		case <-s.exited:
		case <-time.After(Grace):
		}
	}
	if s.stopErr = s.sweep(); s.stopErr == nil {
		<-s.exited
		s.took = max(0, s.ended.Sub(start))
	}
	if s.guard != nil {
		io.WriteString(s.dismiss, "\n")
		s.guard.Wait()
	}
	s.port.Release()
	live.Lock()
	defer live.Unlock()
	delete(live.subjects, s)
}

// sweep kills what is left of the subject until nothing is: a process may have
// started another one while we looked.
func (s *Subject) sweep() error {
	deadline := time.Now().Add(5 * time.Second)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		left, err := s.members()
		if err != nil || len(left) == 0 {
			return err
		}
		for _, p := range left {
			err = errors.Join(err, syscall.Kill(p.Pid, syscall.SIGKILL))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: pid %d (%q) cannot be killed: %w", s.Spec.Name, left[0].Pid, left[0].Name, err)
		}
		time.Sleep(pause) // they are not our children: nobody tells us when they end
	}
}

// StopAll stops every subject that lives, all at once: for a signal handler.
func StopAll() {
	live.Lock()
	var all sync.WaitGroup
	for s := range live.subjects {
		all.Go(func() { s.Stop() })
	}
	live.Unlock()
	all.Wait()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
