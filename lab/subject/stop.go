package subject

import (
	"fmt"
	"sync"
	"time"
)

// live are the subjects that KillAll kills.
var live = struct {
	sync.Mutex
	subjects map[*Subject]bool
}{subjects: map[*Subject]bool{}}

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
	ended := isClosed(s.exited)
	start := time.Now()
	s.say(sayStop)
	select {
	case <-s.gone:
	case <-time.After(2 * (Grace + stubborn)): // it was stopped itself, perhaps
		s.supervisor.Process.Kill()
		<-s.gone
		s.left.Store(int32(s.Pid()))
	}
	if pid := s.left.Load(); pid > 0 {
		s.stopErr = fmt.Errorf("%s: pid %d cannot be killed; end it yourself: kill -9 %d", s.Spec.Name, pid, pid)
	}
	if !ended {
		s.took = max(0, s.ended.Sub(start))
	}
	s.control.Close()
	s.keyboard.Close()
	s.server.Release()
	s.port.Release()
	live.Lock()
	defer live.Unlock()
	delete(live.subjects, s)
}

// KillAll kills all servers and what they started, for a lab that must end
// soon. A Stop that waits for one of them then returns.
func KillAll() {
	live.Lock()
	defer live.Unlock()
	for s := range live.subjects {
		s.say(sayKill)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
