package verify_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"socketlab/lab/certs"
	"socketlab/lab/report"
	"socketlab/lab/verify"
)

// foreign are servers that others might have written: right, on foundations
// that are not ours, testdata/foreign. What they fail all the same is a fault
// of the foundation, and docs/foreign.md tells it. So are those "as is", with
// nothing set that need not be: they are held only to what they fail.
var foreign = []struct {
	name    string
	command func(t *testing.T) []string
	faults  map[string]string // the check, and a part of what it says
	asIs    bool
	tls     bool
}{
	{name: "Go net", command: goIOCopy},
	{name: "Python socketserver", command: python("socketserver_echo.py")},
	{name: "Python asyncio", command: python("asyncio_echo.py")},
	{name: "Python selectors", command: python("selectors_echo.py")},
	{name: "Node net", command: node("net_echo.js"), faults: map[string]string{
		"life/shed": "0 bytes, then FIN", // libuv accepts, and closes at once
	}},
	{name: "C epoll", command: cEpoll},
	{name: "Java threads", command: javaThreads},
	{name: "Rust threads", command: rustThreads},
	{name: "socat", command: socat("-t", "60", "TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=1024", "EXEC:cat"),
		faults: map[string]string{
			"life/term":  "exit code 143",
			"life/ends":  "exit code 143", // and two processes for each client are left
			"life/spawn": "the server has ended",
		}},

	{name: "Python ssl", command: python("ssl_echo.py"), tls: true, faults: map[string]string{
		"tls/alert": "0 bytes", // OpenSSL says nothing to who speaks plain text
	}},
	{name: "Node tls", command: node("tls_echo.js"), tls: true, faults: map[string]string{
		"life/shed":              "0 bytes, then",
		"tls/alert":              "0 bytes",
		"tls/renegotiation":      "a new handshake",
		"tls/client-certificate": "FIN", // it looks at the certificate after the handshake
	}},

	{name: "Python socketserver, as is", command: python("as-is/socketserver_echo.py"), asIs: true, faults: map[string]string{
		"life/descriptors": "% of a core", // accept fails with EMFILE, again and again
		"life/restart":     "Address already in use",
		"life/term":        "signal 15",
	}},
	{name: "Python asyncio, as is", command: python("as-is/asyncio_echo.py"), asIs: true, faults: map[string]string{
		"life/term": "signal 15",
	}},
	{name: "Node net, as is", command: node("as-is/net_echo.js"), asIs: true, faults: map[string]string{
		"close/early": "then RST", // an error that nobody listens to
		"close/reset": "then RST",
		"life/shed":   "0 bytes, then FIN",
		"life/term":   "signal 15",
	}},
	{name: "socat, as is", command: socat("TCP-LISTEN:{port},bind=127.0.0.1,fork", "EXEC:cat"), asIs: true, faults: map[string]string{
		"life/restart": "Address already in use",
		"life/term":    "exit code 143",
	}},
}

// TestForeign holds the foreign servers to the checks: all must pass, except
// the faults, which must fail.
func TestForeign(t *testing.T) {
	t.Parallel()
	for i, f := range foreign {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			command := f.command(t)
			checks := verify.Checks
			switch {
			case f.asIs:
				checks = verify.Select(ids(f.faults))
			case testing.Short(): // a quarter of them, and what must fail
				checks = nil
				for j, c := range verify.Checks {
					if _, has := f.faults[c.ID]; has || (i+j)%4 == 0 {
						checks = append(checks, c)
					}
				}
			}
			server := verify.Server{
				Name: f.name, Kind: "command", Services: []string{"echo"},
				Command: func(string) []string { return command },
			}
			if f.tls {
				server = overTLS(t, server)
			}
			result, err := verify.Verify(t.Context(), []verify.Server{server}, verify.Options{
				Checks: checks, Wait: 5 * time.Second, Together: 2, Rounds: 2,
				Seed: uint64(time.Now().UnixNano()),
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range result.Subjects[0].Checks {
				t.Logf("%-17s %s %5d ms", c.ID, c.Status, c.MS)
				fault, has := f.faults[c.ID]
				switch {
				case strings.HasSuffix(c.Actual, "too busy to decide"): // and told so: it is no verdict
				case !has && c.Status != report.Pass && c.Status != report.Skip:
					t.Errorf("%s: %s: expected %s; actual %s\n%s\nit printed:\n%s",
						c.ID, c.Status, c.Expected, c.Actual, strings.Join(c.Story, "\n"), c.Output)
				case has && (c.Status != report.Fail || !strings.Contains(c.Actual, fault)):
					t.Errorf("%s: %s: %q; want it to fail with %q: has the fault gone? then docs/foreign.md is wrong",
						c.ID, c.Status, c.Actual, fault)
				}
			}
		})
	}
}

// overTLS gives a server certificates, and clients theirs.
func overTLS(t *testing.T, s verify.Server) verify.Server {
	t.Helper()
	made, err := certs.InMemory("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.Close)
	cert, key, err := made.Client("test")
	if err != nil {
		t.Fatal(err)
	}
	command := append(s.Command("echo"), made.Cert, made.Key)
	s.Command = func(string) []string { return command }
	s.Mutual = append(slices.Clone(command), made.CA)
	if s.TLS, err = (certs.Client{CA: made.CA, Cert: cert, Key: key}).Config("127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestForeignDocumented finds faults that have no row in docs/foreign.md, and
// rows that are no fault.
func TestForeignDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/foreign.md")
	if err != nil {
		t.Fatal(err)
	}
	faults := 0
	for _, f := range foreign {
		for id, says := range f.faults {
			faults++
			if row := "| " + f.name + " | `" + id + "` | " + says + " |"; !strings.Contains(string(text), row) {
				t.Errorf("docs/foreign.md has no row %s", row)
			}
		}
	}
	if rows := strings.Count(string(text), "| `"); rows != faults {
		t.Errorf("docs/foreign.md has %d rows for %d faults", rows, faults)
	}
}

func ids(faults map[string]string) (all []string) {
	for id := range faults {
		all = append(all, id)
	}
	return all
}

func goIOCopy(t *testing.T) []string {
	return []string{built(t, "go", "build", "-o", "{}", "./testdata/foreign/go-iocopy"), "{port}"}
}

func cEpoll(t *testing.T) []string {
	return []string{built(t, "gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", "{}", "testdata/foreign/epoll_echo.c"), "{port}"}
}

func javaThreads(t *testing.T) []string {
	t.Helper()
	needsToo(t, "javac")
	classes := t.TempDir()
	if out, err := exec.Command("javac", "-d", classes, "testdata/foreign/EchoServer.java").CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	return []string{"java", "-cp", classes, "EchoServer", "{port}"}
}

func rustThreads(t *testing.T) []string {
	t.Helper()
	needsToo(t, "rustc")
	return []string{built(t, "rustc", "-O", "-o", "{}", "testdata/foreign/echo.rs"), "{port}"}
}

// needsToo skips a test where a program is missing that is large to install.
func needsToo(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed; it is in a package of its own", program)
	}
}

func python(file string) func(*testing.T) []string {
	return func(t *testing.T) []string {
		t.Helper()
		needs(t, "python3")
		// There may be a shell script in front of it, which would run each time.
		itself, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
		if err != nil {
			t.Fatal(err)
		}
		return []string{strings.TrimSpace(string(itself)), "testdata/foreign/" + file, "{port}"}
	}
}

func node(file string) func(*testing.T) []string {
	return func(t *testing.T) []string {
		t.Helper()
		needs(t, "node")
		return []string{"node", "testdata/foreign/" + file, "{port}"}
	}
}

func socat(args ...string) func(*testing.T) []string {
	return func(t *testing.T) []string {
		t.Helper()
		needs(t, "socat")
		return append([]string{"socat"}, args...)
	}
}

// built is a program that a compiler makes of a source; {} is where.
func built(t *testing.T, compiler string, args ...string) (program string) {
	t.Helper()
	needs(t, compiler)
	program = filepath.Join(t.TempDir(), "server")
	for i, arg := range args {
		if arg == "{}" {
			args[i] = program
		}
	}
	if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", compiler, err, out)
	}
	return program
}

// needs skips a test where a program is missing; in CI it fails.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	sentence := program + " is not installed; make setup installs what the tests need"
	if os.Getenv("CI") != "" {
		t.Fatal(sentence)
	}
	t.Skip(sentence)
}
