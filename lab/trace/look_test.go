package trace

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

// staged is a stage with a model on it, and no scene.
func staged(t *testing.T, model string) *stage {
	t.Helper()
	scene, _ := Find("echo")
	server, err := subject.Start(t.Context(), serverOf(model, scene))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	diagnosis, err := proc.OpenDiagnosis()
	if err != nil {
		lacking(t, err.Error())
	}
	t.Cleanup(func() { diagnosis.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &stage{ctx: ctx, watched: &watched{server: server, diagnosis: diagnosis}}
	t.Cleanup(func() {
		for _, c := range s.clients {
			c.hangUp()
		}
	})
	return s
}

// Without sock_diag, /proc/net/tcp and the clients' own descriptors say the
// same.
func TestTableAgreesWithSockDiag(t *testing.T) {
	s := staged(t, "blocking")
	for range 3 {
		c := s.client()
		c.connect()
		c.send("hello\n")
		s.done(c)
	}
	s.clients[2].halfClose()
	s.done(s.clients...)
	if s.err != nil {
		t.Fatal(s.err)
	}
	asked, listed := s.looks[len(s.looks)-1], look{}
	listed.ends = make([][2]endState, len(s.clients))
	if err := s.lookAtTable(&listed); err != nil {
		t.Fatal(err)
	}
	for i := range s.clients {
		if asked.ends[i] != listed.ends[i] {
			t.Errorf("client %d: sock_diag has %+v, the table %+v", i+1, asked.ends[i], listed.ends[i])
		}
	}
	if asked.queue != 2 || listed.queue != 2 || asked.limit != 21 {
		t.Errorf("accept queue: sock_diag has %d of %d, the table %d; want 2 of 21", asked.queue, asked.limit, listed.queue)
	}
	if got := asked.ends[2][theServer]; got.state != proc.CloseWait || got.unread != 6 {
		t.Errorf("the server's end of client 3: %+v; want CLOSE-WAIT with 6 bytes unread", got)
	}
	if got := asked.ends[0][theClient]; got.state != proc.Established || got.unread != 6 {
		t.Errorf("the client's end of client 1: %+v; want ESTABLISHED with 6 bytes unread", got)
	}
}

// A step does not end between a close and its FIN, which comes late if somebody
// else has the connection open too.
func TestLateFIN(t *testing.T) {
	s := staged(t, "poll")
	c := s.arrive()
	other, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c.close()
	within(t, "close has returned", c.idle)
	if l, err := s.look(); err != nil || !l.due {
		t.Errorf("close has returned, and a FIN is to come; it is due: %v (%v)", l.due, err)
	}
	unix.Close(other)
	within(t, "the FIN, and rest", func() bool {
		l, err := s.look()
		return err == nil && !l.due && !l.runs
	})
}
