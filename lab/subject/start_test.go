package subject

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"socketlab/lab/proc"
)

func TestListensWhereItSays(t *testing.T) {
	for role, ip := range map[string]string{
		"listen": "127.0.0.1", "anywhere": "127.0.0.1", "listen6": "::1", "v6only": "::1",
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			if ip == "::1" && !hasIPv6() {
				t.Skip("this machine has no ::1; enable IPv6 on lo to run this")
			}
			s := begin(t, spec(role))
			if s.Addr() != netip.AddrPortFrom(netip.MustParseAddr(ip), s.Spec.Port) {
				t.Errorf("it listens on %v, want %s and port %d", s.Addr(), ip, s.Spec.Port)
			}
			dial(t, s)
		})
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

// Nobody connects before Start returns: a server for one client would take us
// for it.
func TestStartDoesNotConnect(t *testing.T) {
	s := begin(t, spec("deaf"))
	for _, socket := range socketsOf(t, s) {
		if socket.State != proc.Listen || socket.Unread != 0 {
			t.Errorf("a connection is there already: %+v", socket)
		}
	}
}

func TestCommandGetsItsPort(t *testing.T) {
	for _, test := range []struct{ command, want []string }{
		{[]string{"a", "--port={port}", "b"}, []string{"a", "--port=7", "b"}},
		{[]string{"a", "{port}{port}"}, []string{"a", "77"}},
		{[]string{"a", "b"}, []string{"a", "b", "7"}},
		{[]string{"a{port}"}, []string{"a7"}},
	} {
		if got := WithPort(test.command, 7); !slices.Equal(got, test.want) {
			t.Errorf("%q becomes %q, want %q", test.command, got, test.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	s := begin(t, Spec{
		Command: []string{"/bin/sh", "-c", `echo "$PORT" "$COLOUR"; exec "$0" "$1"`, os.Args[0]},
		Env:     []string{"PORT=1", "COLOUR=blue", helper + "=listen"},
	})
	prints(t, s, strconv.Itoa(int(s.Spec.Port))+" blue\n")
	if s.Spec.Name != "sh" {
		t.Errorf("its name is %q, want the command's own, sh", s.Spec.Name)
	}
}

func TestCannotBeExecuted(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct {
		command []string
		says    []string
	}{
		"nothing":        {nil, []string{"no command was given"}},
		"unknown":        {[]string{"no-such-server"}, []string{`"no-such-server"`, "check the spelling"}},
		"no such file":   {[]string{folder + "/none"}, []string{"no such file", "check the path"}},
		"not executable": {[]string{write("plain", "#!/bin/sh\n", 0o644)}, []string{"permission denied", "chmod +x"}},
		"no format":      {[]string{write("text", "listen\n", 0o755)}, []string{"exec format error", "#!/bin/sh"}},
		"no interpreter": {[]string{write("script", "#!/no/such/thing\n", 0o755)}, []string{"interpreter is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Start(t.Context(), Spec{Command: test.command})
			if _, ok := errors.AsType[*CommandError](err); !ok {
				t.Fatalf("the error is %T %v, want a *CommandError", err, err)
			}
			mustSay(t, err, test.says...)
		})
	}
}

func TestEndsBeforeItListens(t *testing.T) {
	_, err := Start(t.Context(), spec("exit"))
	ended, ok := errors.AsType[*EndedError](err)
	if !ok || ended.Ending.Code != 3 {
		t.Fatalf("the error is %T %v, want an *EndedError with code 3", err, err)
	}
	mustSay(t, err, "exit", "exit code 3", "before it listened", "    | bad luck", "    | on standard output")

	_, err = Start(t.Context(), spec("suicide"))
	mustSay(t, err, "signal 9 (killed)")

	_, err = Start(t.Context(), spec("daemon"))
	mustSay(t, err, "exit code 0", "foreground")
}

func TestNeverListens(t *testing.T) {
	instead := map[string]Instead{"elsewhere": OtherPort, "apart": OtherAddress, "udp": UDP}
	for role, says := range map[string][]string{
		"silent":    {"did not listen on 127.0.0.1:", "listens nowhere", "{port}", "PORT", "printed nothing"},
		"elsewhere": {"it listens on 127.0.0.1:", "not on the port it was given: use {port} or the PORT", "    | Server running"},
		"apart":     {"it listens on 127.0.0.2:", "bind to 127.0.0.1"},
		"udp":       {"it has a UDP socket on 127.0.0.1:", "SOCK_STREAM"},
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := Start(ctx, spec(role))
			deaf, ok := errors.AsType[*DeafError](err)
			if !ok || deaf.Instead != instead[role] {
				t.Fatalf("the error is %T %v, want a *DeafError", err, err)
			}
			mustSay(t, err, says...)
		})
	}
}

func TestStartIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := Start(ctx, spec("silent")); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, want context.Canceled", err)
	}
	if _, err := Start(ctx, spec("silent")); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, want context.Canceled", err)
	}
}

func TestPortTaken(t *testing.T) {
	first := begin(t, spec("listen"))
	second := spec("busy")
	second.Port = first.Spec.Port
	_, err := Start(t.Context(), second)
	taken, ok := errors.AsType[*PortError](err)
	if !ok || taken.Pid != first.Pid() {
		t.Fatalf("the error is %T %v, want a *PortError with pid %d", err, err, first.Pid())
	}
	mustSay(t, err, "port "+strconv.Itoa(int(first.Spec.Port)), "in use", "pid "+strconv.Itoa(first.Pid()), "another port")
}

// A port that is taken between the look and the server's bind.
func TestPortTakenMeanwhile(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := begin(t, spec("listen"))
	s.Stop()
	s.Spec.Port = uint16(l.Addr().(*net.TCPAddr).Port)
	if port, ok := errors.AsType[*PortError](s.whyEnded()); !ok || port.Pid != os.Getpid() {
		t.Errorf("the error is %v, want a *PortError with our pid", s.whyEnded())
	}
}

func TestSamePortAgain(t *testing.T) {
	first := begin(t, spec("listen"))
	again := spec("listen")
	again.Port = first.Spec.Port
	if _, err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	if second := begin(t, again); second.Addr() != first.Addr() {
		t.Errorf("it listens on %v, want %v", second.Addr(), first.Addr())
	}
}

func TestLimitOfDescriptors(t *testing.T) {
	limited := spec("files")
	limited.Files = 50
	answer, err := io.ReadAll(dial(t, begin(t, limited)))
	if string(answer) != "50 50\n" {
		t.Errorf("its limit is %q (%v), want 50 50", answer, err)
	}
}

func mustSay(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the error says\n%v\nand not %q", err, text)
		}
	}
}

func TestPortsAreNotShared(t *testing.T) {
	low, high := portRange()
	taken := map[uint16]bool{}
	for range 50 {
		p, err := FreePort()
		if err != nil {
			t.Fatal(err)
		}
		defer p.Release()
		if taken[p.Number] || int(p.Number) < low || int(p.Number) >= high {
			t.Fatalf("port %d is given again, or not in [%d, %d)", p.Number, low, high)
		}
		taken[p.Number] = true
		if _, err := takePort(Spec{Port: p.Number}); err == nil {
			t.Fatalf("port %d was claimed twice", p.Number)
		}
	}
}

func TestPortIsReleased(t *testing.T) {
	p, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	p.Release()
	again, err := takePort(Spec{Port: p.Number})
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
}
