package verify

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"socketlab/lab/proc"
	"socketlab/lab/report"
	"socketlab/lab/subject"
)

// A Witness records what happens while a check is played. Its methods are
// called in this order, and Called and Note from several clients at once.
type Witness interface {
	// Prepare may change how the server is started.
	Prepare(*subject.Spec) error

	// Begin is told that the server listens.
	Begin(*subject.Subject) error

	// Called is told of a client's call that has returned.
	Called(Call)

	// Note is told a line of the story that is not about a client's call.
	Note(text string)

	// End is told that it is over. The server still runs, and those clients
	// who have not left are still there.
	End()

	// Helper reports whether a process beside the server is there for the
	// witness alone.
	Helper(proc.Process) bool
}

// A Call is one call of a client's program.
type Call struct {
	Client     string         // "client 1"; "": one that is gone before it has a name
	Local      netip.AddrPort // its address; invalid if it could not connect
	Name       string         // "send"
	Args       string         // "" or "SHUT_WR": what is not data
	Begin, End time.Time
	Slept      bool
	Data       []byte // sent or received
	Err        error  // nil, io.EOF or why it failed
}

// Again plays a check once before a witness, and is its verdict.
func Again(ctx context.Context, s Server, c Check, o Options, w Witness) report.Check {
	result, _ := hold(ctx, s, c, o, w, hooks{played: func() {}})
	return result
}

// replay is the schedule to play again: the one that failed.
func (o Options) replay(failed string) Schedule {
	if schedule, err := ReadSchedule(strings.NewReader(failed)); err == nil && failed != "" {
		return schedule
	}
	return o.Replay
}

// showAgain adds to the verdict of the first time what the second time showed.
func showAgain(first *report.Check, second report.Check, err error) {
	says := ""
	switch {
	case err != nil:
		says = "it could not be drawn: " + err.Error()
	case second.Status == report.Error:
		says = "it could not be played again, to be drawn: " + second.Actual
	case second.Status != report.Fail:
		says = "played again, to be drawn, it passed: it does not always fail"
	default:
		first.Diagram = second.Diagram
		if second.Expected != first.Expected || second.Diagram == nil {
			says = "played again, to be drawn, it failed in another way: expected " + second.Expected + "; actual: " + second.Actual
		}
	}
	if says != "" {
		first.Story = append(first.Story, says)
	}
}

// startWitnessed starts the server, before the witness if there is one.
func (t *T) startWitnessed(spec subject.Spec) (*subject.Subject, error) {
	if t.witness == nil {
		return t.Options.start(t.ctx, spec)
	}
	if err := t.witness.Prepare(&spec); err != nil {
		return nil, err
	}
	server, err := t.Options.start(t.ctx, spec)
	if err == nil {
		if err = t.witness.Begin(server); err != nil {
			server.Stop()
		}
	}
	return server, err
}

// witnessed passes on a line of the story. What clients do, their calls say.
func (t *T) witnessed(line string) {
	if t.witness != nil && !strings.HasPrefix(line, "client ") {
		t.witness.Note(line)
	}
}

// withoutWitness leaves out what is there for the witness.
func (t *T) withoutWitness(tree proc.Tree) proc.Tree {
	if t.witness == nil {
		return tree
	}
	all := tree.Processes
	tree.Processes = nil
	for _, p := range all {
		if !t.witness.Helper(p) {
			tree.Processes = append(tree.Processes, p)
			continue
		}
		tree.Threads -= p.Threads
		tree.Files -= max(0, p.Files)
		tree.RSS -= p.RSS
		tree.CPU -= p.CPU + p.ChildrenCPU
	}
	return tree
}

func (t *T) connected(conn net.Conn, begin time.Time, err error) {
	if t.witness == nil {
		return
	}
	call := Call{Name: "connect", Args: t.Server.Addr().String(), Begin: begin, End: time.Now(), Slept: err != nil, Err: err}
	if err == nil {
		call.Local = conn.LocalAddr().(*net.TCPAddr).AddrPort()
	}
	t.witness.Called(call)
}

// A told connection tells the witness, if there is one, of its client's calls.
type told struct {
	*net.TCPConn
	client *Client
}

// tells makes a call and tells of it.
func (c told) tells(name, args string, sleeps bool, do func() ([]byte, error)) {
	w := c.client.t.witness
	if w == nil {
		do()
		return
	}
	call := Call{Client: c.client.name, Name: name, Args: args, Begin: time.Now()}
	call.Local = c.LocalAddr().(*net.TCPAddr).AddrPort()
	call.Data, call.Err = do()
	call.End = time.Now()
	// A send that was kept waiting took long; to see it wait is not possible here.
	call.Slept = sleeps || name == "send" && call.End.Sub(call.Begin) > time.Millisecond
	w.Called(call)
}

func (c told) Read(p []byte) (n int, err error) {
	sleeps := c.client.t.witness != nil && c.nothingYet()
	c.tells("recv", "", sleeps, func() ([]byte, error) {
		n, err = c.TCPConn.Read(p)
		return p[:n], err
	})
	return n, err
}

// nothingYet reports whether a read would have to wait.
func (c told) nothingYet() (nothing bool) {
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { nothing = !readable(fd) })
	}
	return nothing
}

func (c told) Write(p []byte) (n int, err error) {
	c.tells("send", "", false, func() ([]byte, error) {
		n, err = c.TCPConn.Write(p)
		return p[:n], err
	})
	return n, err
}

func (c told) CloseWrite() (err error) {
	c.tells("shutdown", "SHUT_WR", false, func() ([]byte, error) {
		err = c.TCPConn.CloseWrite()
		return nil, err
	})
	return err
}

func (c told) Close() (err error) {
	c.tells("close", "", false, func() ([]byte, error) {
		err = c.TCPConn.Close()
		return nil, err
	})
	return err
}
