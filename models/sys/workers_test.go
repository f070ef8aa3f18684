package sys_test

import (
	"errors"
	"os/exec"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/models/sys"
)

func TestWait(t *testing.T) {
	nothingLeaks(t)
	spawn := func(script string) int {
		return must[int](t)(sys.Start(&exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", script}}))
	}
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3, "kill -9 $$": -1} {
		started := spawn(script)
		pid, code, err := sys.Wait()
		if pid != started || code != want || err != nil {
			t.Errorf("%s: collected %d with code %d (%v), want %d and %d", script, pid, code, err, started, want)
		}
	}
	_, _, err := sys.Wait()
	says(t, err, "waitpid: no child processes", unix.ECHILD)
}

// A signal that interrupts the sleep does not end it.
func TestWaitIsInterrupted(t *testing.T) {
	nothingLeaks(t)
	reader, writer := pipe(t)
	started := must[int](t)(sys.Start(&exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", "read line"}}, reader))
	s := asleep(t, func() error {
		pid, _, err := sys.Wait()
		if pid != started {
			err = errors.Join(err, errors.New("another child was collected"))
		}
		return err
	})
	s.interrupt(t)
	drop(writer)
	if err := s.returned(t); err != nil {
		t.Error(err)
	}
}

// What one process adds, the other has: here by two maps of the same memory.
func TestShare(t *testing.T) {
	nothingLeaks(t)
	fd, ours, err := sys.Share[[3]atomic.Int32]()
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(fd)
	theirs, err := sys.Shared[[3]atomic.Int32](fd)
	if err != nil {
		t.Fatal(err)
	}
	ours[2].Store(7)
	if got := theirs[2].Add(1); got != 8 || ours[2].Load() != 8 || theirs[0].Load() != 0 || len(theirs) != 3 {
		t.Errorf("one has stored 7, the other adds 1: %d, and the one has %d of %d", got, ours[2].Load(), len(theirs))
	}
	reader, _ := pipe(t)
	if _, err := sys.Shared[[3]atomic.Int32](reader); !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EACCES) {
		t.Errorf("a pipe as memory: %v", err)
	}
}
