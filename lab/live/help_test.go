//go:build linux

package live

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"socketlab/lab/subject"
	"socketlab/lab/trace"
	"socketlab/models"
	"socketlab/models/all"
	"socketlab/models/serve/server"
	"socketlab/models/session"
)

// wait is how long an event may take on the slowest machine.
const wait = 30 * time.Second

// TestMain is also a model as a server, when it is started as one.
func TestMain(m *testing.M) {
	all.Child()
	trace.Child()
	subject.Child()
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		if err := serve(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		os.Exit(0)
	}
	code := m.Run()
	endBrowser()
	os.Exit(code)
}

func serve(model, listen string) (err error) {
	s := server.Server{Backlog: 20, Service: session.Service{Name: "echo"}, Grace: time.Second}
	if s.Model, err = all.Named(model); err != nil {
		return err
	}
	if s.Addr, err = server.Address(listen, false); err != nil {
		return err
	}
	return s.Run()
}

func model(name string) subject.Spec {
	return subject.Spec{Name: name, Kind: "model", Command: []string{"/proc/self/exe", "serve", name, "127.0.0.1:{port}"}}
}

// python is a small server in another language: it is no page, so it cannot be
// held. What it says is hostile.
const python = `
import socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("<img src=x onerror=alert(1)>\x1b[31m", flush=True)
while True:
    c, _ = s.accept()
    while d := c.recv(100):
        c.sendall(b"<script>document.title='owned'</script>\xff\x00" + d)
        if d == b"die\n":
            sys.exit(3)
    c.close()
`

func foreign(t *testing.T) subject.Spec {
	t.Helper()
	need(t, "python3", "python3")
	return subject.Spec{Name: "foreign", Kind: "command", Command: []string{"python3", "-c", python, "{port}"}}
}

// need is a program that a test needs. In CI it has to be there.
func need(t *testing.T, pkg string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "%s is not installed: apt-get install %s"
	if os.Getenv("CI") != "" {
		t.Fatalf(missing, names[0], pkg)
	}
	t.Skipf(missing, names[0], pkg)
	return ""
}

// A class is a lesson that goes on, and its addresses.
type class struct {
	*testing.T
	Addresses
	stop  func() Recording // ends the lesson
	ended chan struct{}
}

// begin begins a lesson.
func begin(t *testing.T, o Options) *class {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &class{T: t, ended: make(chan struct{})}
	began := make(chan Addresses, 1)
	var r Recording
	var err error
	go func() {
		defer close(c.ended)
		r, err = Watch(ctx, o, Place{Listen: "127.0.0.1:0"}, func(a Addresses) { began <- a })
	}()
	c.stop = func() Recording {
		cancel()
		select {
		case <-c.ended:
		case <-time.After(wait):
			t.Fatal("the lesson does not end")
		}
		return r
	}
	t.Cleanup(func() { c.stop() })
	select {
	case c.Addresses = <-began:
	case <-c.ended:
		t.Fatal(err)
	}
	return c
}

// post asks for something, as a page does.
func (c *class) post(address, path, body string) (status int, answer string) {
	c.Helper()
	r, err := http.Post(address+path, "application/json", strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(text)
}

// A tab is a page in a browser.
type tab struct {
	*testing.T
	ctx   context.Context
	close func()
}

// chromium is one browser for all tests: to start it takes longer than most of
// them. It ends with the program.
var chromium = sync.OnceValues(func() (context.Context, error) {
	options := slices.Clone(chromedp.DefaultExecAllocatorOptions[:])
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			options = append(options, chromedp.ExecPath(path))
			break
		}
	}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to run as root with one
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	endBrowser = end
	return ctx, chromedp.Do(ctx)
})

var (
	browsers   = []string{"chromium", "chromium-browser", "google-chrome"}
	endBrowser = func() {}
)

// browser is the Chromium.
func browser(t *testing.T) context.Context {
	t.Helper()
	need(t, "chromium", browsers...)
	ctx, err := chromium()
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// open opens a page as wide and high as a screen.
func open(t *testing.T, browser context.Context, address string, width, height int64) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	v := &tab{T: t, ctx: ctx, close: cancel}
	t.Cleanup(cancel)
	chromedp.Listen(ctx, func(event any) {
		if e, thrown := event.(*runtime.EventExceptionThrown); thrown && e.ExceptionDetails.Exception != nil {
			t.Errorf("the page's script fails: %s", e.ExceptionDetails.Exception.Description)
		}
	})
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height), chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	v.Helper()
	if err := chromedp.Do(v.ctx, steps...); err != nil {
		v.Fatalf("%s: %v", what, err)
	}
}

// click clicks what the page calls so.
func (v *tab) click(selector string) {
	v.Helper()
	v.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// press presses a key, with nothing in focus.
func (v *tab) press(keys string) {
	v.Helper()
	v.do("press "+keys, chromedp.KeyEvent(keys))
}

// says waits until an expression is true in the page.
func (v *tab) says(expression string) {
	v.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, wait)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(30*time.Millisecond)))
	if err != nil {
		shown, _ := chromedp.Run(v.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		v.Fatalf("the page never has %s: %v\n%s", expression, err, shown)
	}
}

// shows waits until the page has so many servers that listen, and can be used.
func (v *tab) shows(servers int) {
	v.Helper()
	v.says(fmt.Sprintf(`document.querySelector("#new") !== null && [...lab.state().servers.values()].filter((s) => s.start).length === %d`, servers))
}

// value is what an expression is in the page.
func value[T any](v *tab, expression string) T {
	v.Helper()
	got, err := chromedp.Run(v.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		v.Fatalf("%s: %v", expression, err)
	}
	return got
}

// seen is what the page's state is made of, without what passes with time.
const seen = `JSON.stringify([...lab.state().servers.values()].map((s) => [s.name, [...s.clients.values()].map((c) => [c.number, c.got, c.ended]),
	s.calls, s.bands.map((b) => b.length)]))`

// picture writes what the page shows to a file of docs, if it is asked to.
func (v *tab) picture(path string) {
	v.Helper()
	if os.Getenv("UPDATE_SCREENSHOTS") == "" {
		return
	}
	png, err := chromedp.Run(v.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		v.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		v.Fatal(err)
	}
}

func sources(t *testing.T, names ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range names {
		m, err := all.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := models.Source.ReadFile(strings.TrimPrefix(m.Page(), "models/"))
		if err != nil {
			t.Fatal(err)
		}
		found[m.Page()] = string(text)
	}
	return found
}

func decode(t *testing.T, events [][]byte) (all []Event) {
	t.Helper()
	for _, text := range events {
		var e Event
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}
