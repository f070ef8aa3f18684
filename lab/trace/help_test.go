package trace

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/subject"
	"socketlab/models"
	"socketlab/models/all"
	"socketlab/models/session"
	"socketlab/models/sys"
)

// patience is how long an event may take on the slowest machine.
const patience = 20 * time.Second

// TestMain is also what this binary is when it is started as something else:
// roles has what, by the first argument.
func TestMain(m *testing.M) {
	subject.Child()
	all.Child()
	Child()
	if len(os.Args) > 1 {
		if role, found := roles[os.Args[1]]; found {
			if err := role(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(2)
			}
			os.Exit(0)
		}
	}
	flag.Parse()
	flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0))) // they wait more than they work
	os.Exit(m.Run())
}

var roles = map[string]func(args []string) error{
	"serve":  serve,
	"record": recordForever,
	"best":   printBest,
	"forbid": forbidNamespaces,
}

// self is this binary under a path that a process without rights can execute,
// too: its own folder may be closed to others.
const self = "/proc/self/exe"

// serve is a server: a model, or "deaf", which never accepts, or "spinning",
// which does not even sleep, or "ending", which ends when a client has come.
func serve(args []string) error {
	backlog, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	addr, err := netip.ParseAddrPort(args[3])
	if err != nil {
		return err
	}
	lfd, err := sys.Listen(addr, backlog)
	if err != nil {
		return err
	}
	switch args[0] {
	case "spinning":
		for spins := true; spins; {
			spins = time.Now().After(time.Time{})
		}
	case "deaf":
		select {}
	case "ending":
		_, err := sys.Accept(lfd, 0)
		time.Sleep(100 * time.Millisecond) // after the first step
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	job := models.Job{Listener: lfd, Service: session.Service{Name: args[1]}, Keyboard: -1, Screen: -1}
	if args[1] == "talk" {
		job.Keyboard, job.Screen = 0, 1
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, unix.SIGTERM)
	go func() {
		<-term
		os.Exit(0)
	}()
	return modelNamed(args[0]).Serve(job)
}

func modelNamed(name string) (found models.Model) {
	for _, m := range all.Models {
		if m.Name == name {
			found = m
		}
	}
	return found
}

// serverOf is how to start a model for a scene.
func serverOf(model string, scene Scene) subject.Spec {
	backlog := 20
	if scene.Backlog > 0 {
		backlog = scene.Backlog
	}
	return subject.Spec{
		Name:    model,
		Kind:    "model",
		Limit:   modelNamed(model).Limit,
		Env:     []string{"GORACE=atexit_sleep_ms=0"}, // a child ends when it ends
		Command: []string{self, "serve", model, scene.Service, strconv.Itoa(backlog), "127.0.0.1:{port}"},
	}
}

// play records a scene with a model.
func play(t *testing.T, scene, model string, rung diagram.Rung) Recording {
	t.Helper()
	found, ok := Find(scene)
	if !ok {
		t.Fatalf("no scene %q", scene)
	}
	r, err := Record(t.Context(), Options{Scene: scene, Server: serverOf(model, found), Rung: rung, Calls: "proc", Timeout: 3 * patience})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// seeing is a rung on which packets are seen, or the end of the test: in CI
// that is a failure.
func seeing(t *testing.T) diagram.Rung {
	t.Helper()
	best := Best(t.Context())
	if best.Rung == diagram.Inferred {
		lacking(t, best.Why+"; "+best.Climb)
	}
	return best.Rung
}

func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// within fails the test if happened does not become true.
func within(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for start := time.Now(); !happened(); time.Sleep(time.Millisecond) { // nobody tells us
		if time.Since(start) > patience {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// segmentsOf tells a connection's segments in short: "> SYN, < SYN+ACK, > ACK".
func segmentsOf(tr diagram.Trace, conn int) string {
	var all []string
	for _, e := range tr.Events {
		if s := e.Segment; s != nil && s.Conn == conn {
			text := "<"
			if s.FromClient {
				text = ">"
			}
			text += " " + s.Flags
			if s.Len > 0 {
				text += " " + strconv.Itoa(s.Len)
			}
			if s.Retransmit {
				text += " again"
			}
			all = append(all, text)
		}
	}
	return strings.Join(all, ", ")
}

// statesOf tells the states of one end of a connection, from the first.
func statesOf(tr diagram.Trace, conn int, client bool) string {
	var all []string
	for _, e := range tr.Events {
		if s := e.State; s != nil && s.Conn == conn && s.Client == client {
			all = append(all, s.To)
		}
	}
	return strings.Join(all, " ")
}
