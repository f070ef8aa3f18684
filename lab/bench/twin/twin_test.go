package twin_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"socketlab/lab/bench/twin"
	"socketlab/lab/report"
	"socketlab/lab/subject"
	"socketlab/lab/verify"
	"socketlab/models/all"
)

// limit is how many clients a twin serves at once by design, as its model's.
func limit(name string) int {
	for _, m := range all.Models {
		if m.Name == name {
			return m.Limit
		}
	}
	return 0
}

// The twins are held to the same checks as the pages beside them.
func TestTwinsPassTheChecks(t *testing.T) {
	var servers []verify.Server
	for _, name := range twin.Names() {
		program := built(t, name)
		servers = append(servers, verify.Server{
			Name: name, Kind: "command", Limit: limit(name), Services: []string{"echo"},
			Command: func(string) []string { return []string{program, "{port}"} },
		})
	}
	checks, least := verify.Checks, 20
	if testing.Short() { // what differs most between models
		checks, least = verify.Select([]string{"bytes", "close", "many/*-reader", "life/descriptors", "life/idle", "life/term"}), 10
	}
	result, err := verify.Verify(t.Context(), servers, verify.Options{
		Checks: checks, Wait: 5 * time.Second, Together: 4, Rounds: 2,
		Seed: uint64(time.Now().UnixNano()), Progress: func(verify.Progress) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range result.Subjects {
		passed := 0
		for _, c := range s.Checks {
			switch c.Status {
			case report.Pass:
				passed++
			case report.Skip: // of another service
			default:
				t.Errorf("%s: %s: %s: expected %s; actual %s\n%s\nit printed:\n%s",
					s.Name, c.ID, c.Status, c.Expected, c.Actual, strings.Join(c.Story, "\n"), c.Output)
			}
		}
		if passed < least {
			t.Errorf("%s: only %d checks passed", s.Name, passed)
		}
	}
}

// The generator tells what it did, in one line, and notices a wrong server.
func TestGenerator(t *testing.T) {
	generator, server := built(t, twin.Generator), start(t, built(t, "epoll"))
	for _, size := range []string{"64", "300000"} {
		out, err := exec.CommandContext(t.Context(), generator, server, "3", size, "0.1").Output()
		if err != nil {
			t.Fatal(err)
		}
		var told struct {
			Clients, Size, Requests int
			CPU                     float64 `json:"cpu_us_per_request"`
		}
		if err := json.Unmarshal(out, &told); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if strconv.Itoa(told.Size) != size || told.Clients != 3 || told.Requests < 3 || told.CPU <= 0 {
			t.Errorf("it tells %s", out)
		}
	}
	cmd := exec.CommandContext(t.Context(), generator, wrongServer(t), "1", "64", "0.1")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "a wrong byte came back") {
		t.Errorf("of a wrong server it tells %v: %s", err, out)
	}
}

// wrongServer changes a bit of all it returns but the first byte, on a free port.
func wrongServer(t *testing.T) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.CopyN(conn, conn, 1)
		var buf [64]byte
		n, _ := conn.Read(buf[:])
		buf[n/2] ^= 1
		conn.Write(buf[:n])
	}()
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port
}

// start starts a server on a free port, which it returns.
func start(t *testing.T, program string) (port string) {
	t.Helper()
	s, err := subject.Start(t.Context(), subject.Spec{Command: []string{program, "{port}"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return strconv.Itoa(int(s.Addr().Port()))
}

// Pages of a family repeat each other word for word where they do the same, so
// that diff shows the model and nothing else.
func TestRepeatedText(t *testing.T) {
	for _, r := range []struct {
		pages     []string
		functions []string
	}{
		{[]string{"blocking", "process", "prefork", "thread", "pool"}, []string{"converse"}},
		{[]string{"select", "poll", "epoll"}, []string{
			"on_ready", "on_connection", "on_readable", "on_writable", "settle",
		}},
		{[]string{"epoll", "reactors"}, []string{"on_readable", "on_writable"}},
		{[]string{"epoll", "offload"}, []string{"on_writable"}},
	} {
		for _, name := range r.functions {
			want := function(t, r.pages[0], name)
			for _, page := range r.pages[1:] {
				if got := function(t, page, name); got != want {
					t.Errorf("%s of %s.c has drifted from %s.c:\n%s\n%s", name, page, r.pages[0], got, want)
				}
			}
		}
	}
}

// function is its text on a page, with its comment.
func function(t *testing.T, page, name string) string {
	t.Helper()
	text, err := os.ReadFile("c/" + page + ".c")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?ms)^/\* ` + name + ` .*?^}$`).Find(text)
	if found == nil {
		t.Fatalf("c/%s.c has no %s", page, name)
	}
	return string(found)
}

func TestPagesFitSideBySide(t *testing.T) {
	const columns, lines = 100, 170 // a tab counts 4
	files, err := filepath.Glob("c/*")
	if err != nil || len(files) < len(twin.Names()) {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > lines {
			t.Errorf("%s has %d lines, at most %d fit in the head", file, n, lines)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if wide := len(strings.ReplaceAll(line, "\t", "    ")); wide > columns {
				t.Errorf("%s:%d has %d columns, %d fit", file, i+1, wide, columns)
			}
		}
	}
}

// Every model that has a twin is in the order of the catalogue, and the others
// are known to have none.
func TestFind(t *testing.T) {
	for _, m := range all.Models {
		for _, name := range twin.Find(m.Name) {
			if !slices.Contains(twin.Names(), name) {
				t.Errorf("the twin of %s is %s, which is none", m.Name, name)
			}
		}
		if len(twin.Find(m.Name)) == 0 && m.Name != "roles" && !m.TLS {
			t.Errorf("%s has no C twin", m.Name)
		}
	}
}

func TestBuildOnce(t *testing.T) {
	needsCompiler(t)
	dir := t.TempDir()
	first, err := twin.Build(t.Context(), dir, "blocking")
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	again, err := twin.Build(t.Context(), dir, "blocking")
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(again)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("it was built twice")
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(first), "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("beside the program there is %v, %v", left, err)
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	if _, err := twin.Build(t.Context(), t.TempDir(), "server"); err == nil || !strings.Contains(err.Error(), "there are blocking, process") {
		t.Errorf("an unknown name: %v", err)
	}
	t.Setenv("CC", "no-such-compiler")
	if _, err := twin.Build(t.Context(), t.TempDir(), "poll"); err == nil || !strings.Contains(err.Error(), "install gcc") {
		t.Errorf("no compiler: %v", err)
	}
	t.Setenv("CC", "false")
	if _, err := twin.Build(t.Context(), t.TempDir(), "poll"); err == nil || !strings.Contains(err.Error(), "does not build the C twin poll") {
		t.Errorf("a compiler that fails: %v", err)
	}
	t.Setenv("CC", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := twin.Build(ctx, t.TempDir(), "poll"); err == nil {
		t.Error("it was built although nobody wants it any more")
	}
}

// built is a program of this package's, built where it does not stay.
func built(t *testing.T, name string) string {
	t.Helper()
	needsCompiler(t)
	program, err := twin.Build(t.Context(), cache, name)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var cache string

func TestMain(m *testing.M) {
	subject.Child()
	var err error
	if cache, err = os.MkdirTemp("", "twin"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(cache)
	os.Exit(code)
}

// needsCompiler skips a test where there is none; in CI it fails.
func needsCompiler(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("cc"); err == nil {
		return
	}
	const sentence = "cc is not installed; make setup installs what the tests need"
	if os.Getenv("CI") != "" {
		t.Fatal(sentence)
	}
	t.Skip(sentence)
}
