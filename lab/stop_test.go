//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"socketlab/models/prefork"
)

// The clients that are here may finish what they have to say; nobody else comes
// in; then the server ends, and its children with it.
func TestStopLetsClientsFinish(t *testing.T) {
	everyModel(t, func(t *testing.T, model string) {
		server, addr := serve(t, "--model="+model, "--grace=1m")
		client := dial(t, addr)
		echoes(t, client, "hello\n")
		server.gets(unix.SIGINT)
		server.notesThat("no new clients; those who are here have 1m0s; once more ends it now\n")
		echoes(t, client, "I was not finished\n")
		if conn, err := net.DialTimeout("tcp", addr, patience); err == nil {
			conn.Close()
			t.Error("one more client was let in")
		}
		client.CloseWrite()
		if rest, err := io.ReadAll(client); len(rest) > 0 || err != nil {
			t.Errorf("at the end the client received %q and %v, want the end", rest, err)
		}
		server.leaves(0)
	})
}

// Without clients there is nothing to wait for, and nothing to say.
func TestStopAtOnce(t *testing.T) {
	everyModel(t, func(t *testing.T, model string) {
		server, addr := serve(t, "--model="+model, "--grace=1m")
		if model == "prefork" {
			startsAll(t, addr, prefork.Model.Limit)
		}
		server.gets(unix.SIGTERM)
		server.leaves(0)
		if lines := strings.Count(server.notes.all(), "\n"); lines != 1 {
			t.Errorf("it printed %q, want its announcement alone", server.notes.all())
		}
	})
}

// startsAll has each worker serve a client, so that none is still on its way.
func startsAll(t *testing.T, addr string, workers int) {
	t.Helper()
	for range workers {
		c := dial(t, addr)
		echoes(t, c, "hello\n")
		defer c.Close()
	}
}

// Who does not finish is cut off, and the children that served them too.
func TestStopAfterGrace(t *testing.T) {
	everyModel(t, func(t *testing.T, model string) {
		server, addr := serve(t, "--model="+model, "--grace=150ms")
		client := dial(t, addr)
		echoes(t, client, "I stay\n")
		children := server.children()
		if model == "process" && len(children) != 1 {
			t.Errorf("the server has %d children, want one for its client", len(children))
		}
		server.gets(unix.SIGTERM)
		server.notesThat("150ms are over; the clients that are left are cut off\n")
		server.leaves(0)
		gone(t, children)
		if n, err := client.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("the client received %d bytes, want the end or a reset", n)
		}
	})
}

// Who is impatient says it twice.
func TestStopTwice(t *testing.T) {
	everyModel(t, func(t *testing.T, model string) {
		server, addr := serve(t, "--model="+model, "--grace=1m")
		echoes(t, dial(t, addr), "I stay\n")
		children := server.children()
		server.gets(unix.SIGINT)
		server.notesThat("once more ends it now\n")
		server.gets(unix.SIGINT)
		server.leaves(130)
		gone(t, children)
	})
}

// gone waits until these processes have ended. Another one may have the number
// by now, so it is the time of birth that counts.
func gone(t *testing.T, those []procfs.ProcStat) {
	t.Helper()
	for _, stat := range those {
		eventually(t, fmt.Sprintf("pid %d (%q) is gone", stat.PID, stat.Comm), func() bool {
			p, err := procfs.NewProc(stat.PID)
			if err != nil {
				return true
			}
			now, err := p.Stat()
			return err != nil || now.Starttime != stat.Starttime || now.State == "Z"
		})
	}
}

// Ctrl-C in the middle of lab verify leaves nothing behind: no server, no child
// of one, none of the supervisors.
func TestVerifyInterrupted(t *testing.T) {
	const most = 3 * time.Second
	mark := "LAB_TEST_MARK=" + t.Name() + "/" + time.Now().Format(time.RFC3339Nano)
	cmd := exec.Command("lab", "verify", "--json", "--model=process,select", "--check=many,life/idle")
	cmd.Env = append(os.Environ(), mark)
	// A group of its own, as from a shell: Ctrl-C reaches all of it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	verify := enters(t, cmd)
	var servers []procfs.ProcStat
	eventually(t, "lab verify in the middle, with a server that has a child", func() bool {
		select {
		case <-verify.ended:
			t.Fatalf("lab verify ended with %v: %s", verify.cmd.ProcessState, verify.notes.all())
		default:
		}
		servers = descendants(t, verify.pid())
		return slices.ContainsFunc(servers, func(p procfs.ProcStat) bool { // below lab verify and the supervisor
			return slices.ContainsFunc(servers, func(server procfs.ProcStat) bool {
				return p.PPID == server.PID && slices.ContainsFunc(servers, func(supervisor procfs.ProcStat) bool {
					return server.PPID == supervisor.PID && supervisor.PPID == verify.pid()
				})
			})
		})
	})
	start := time.Now()
	if err := unix.Kill(-verify.pid(), unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	verify.leaves(130)
	if took := time.Since(start); took > most {
		t.Errorf("it took %v to end, want at most %v", took.Round(time.Millisecond), most)
	}
	var known struct {
		Subjects []struct {
			Checks []struct{ Status, Actual string }
		}
	}
	if err := json.Unmarshal([]byte(verify.screen.all()), &known); err != nil || len(known.Subjects) != 2 {
		t.Fatalf("what is known is no document about two servers (%v): %.500s", err, verify.screen.all())
	}
	for _, c := range known.Subjects[0].Checks { // the last ones had no time
		if c.Status != "pass" && (c.Status != "error" || c.Actual != "interrupted") {
			t.Errorf("a check that was interrupted is %s: %s", c.Status, c.Actual)
		}
	}
	gone(t, servers)
	left := processes(t, func(p procfs.Proc, stat procfs.ProcStat) bool {
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
		return stat.State != "Z" && bytes.Contains(environ, []byte(mark))
	})
	for _, p := range left {
		t.Errorf("pid %d (%q) is left", p.PID, p.Comm)
	}
}

// descendants are the children of a process, and theirs.
func descendants(t *testing.T, pid int) []procfs.ProcStat {
	t.Helper()
	all := processes(t, func(procfs.Proc, procfs.ProcStat) bool { return true })
	var found []procfs.ProcStat
	parents := []int{pid}
	for len(parents) > 0 {
		parent := parents[0]
		parents = parents[1:]
		for _, p := range all {
			if p.PPID == parent {
				found = append(found, p)
				parents = append(parents, p.PID)
			}
		}
	}
	return found
}
