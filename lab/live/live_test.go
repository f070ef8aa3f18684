//go:build linux

package live

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"socketlab/lab/subject"
	"socketlab/lab/trace"
)

var four = []subject.Spec{model("blocking"), model("process"), model("goroutine"), model("select")}

// All that is done with the mouse is done to every server, and what comes of it
// is seen in every column.
func TestEveryActionInEveryColumn(t *testing.T) {
	c := begin(t, Options{Servers: four, Title: "four", Sources: sources(t, "blocking", "process", "goroutine", "select")})
	v := open(t, browser(t), c.Teacher, 1280, 720)
	v.says(`document.querySelectorAll(".column").length === 4`)
	v.click("#new")
	v.says(`[...lab.state().servers.values()].every((s) => s.clients.get(1)?.here)`)
	v.click("#send")
	v.says(`[...lab.state().servers.values()].every((s) => s.clients.get(1).got === 6)`)
	v.says(`document.querySelector("#verdict").innerText.includes("answered by")`)
	v.click("#new")
	v.says(`document.querySelector("#client-2")?.ariaPressed === "true"`)
	v.click("#send") // blocking is busy with client 1
	v.says(`["process", "goroutine", "select"].every((n) => lab.state().servers.get(n)?.clients.get(2)?.got === 6)`)
	v.says(`document.querySelector('[data-server="blocking"] .kernel').innerText.includes("not accepted")`)
	v.says(`document.querySelector('[data-server="blocking"] .clients .waits') !== null`)
	v.says(`document.querySelector('[data-server="blocking"]').classList.contains("different")`)
	v.says(`document.querySelector('[data-server="blocking"] .source .here').innerText.includes("sys.Read")`)
	v.click("#client-1")
	v.click("#half")
	v.says(`[...lab.state().servers.values()].every((s) => s.clients.get(1).got === 9)`)
	v.click("#reading")
	v.says(`lab.state().servers.get("select")?.clients.get(1).reading === false`)
	v.click("#reading")
	v.says(`lab.state().servers.get("select")?.clients.get(1).reading === true`)
	v.click("#fin")
	v.says(`[...lab.state().servers.values()].every((s) => s.clients.get(1).ended === "FIN")`)
	v.says(`lab.state().servers.get("blocking")?.clients.get(2).got === 6`)
	v.click("#client-2")
	v.click("#rst")
	v.says(`lab.state().servers.get("process")?.bands.flat().some((r) => r.kind === "segment" && r.flags.includes("RST"))`)
	v.click("#new")
	v.says(`document.querySelector("#client-3") !== null`)
	v.click("#leave")
	v.says(`[...lab.state().servers.values()].every((s) => !s.clients.get(3).here)`)
	if lost := value[int](v, `lab.state().lost`); lost > 0 {
		t.Errorf("%d events are lost", lost)
	}
}

// With step, one call of each server is made; then they wait again.
func TestStep(t *testing.T) {
	c := begin(t, Options{Servers: []subject.Spec{model("select"), model("poll")}, Step: true})
	v := open(t, browser(t), c.Teacher, 1280, 720)
	held := `lab.state().servers.size === 2 && [...lab.state().servers.values()].every((s) => [...s.actors.values()].some((a) => a.call?.phase === "held"))`
	v.says(held)
	v.press("n") // the kernel accepts it alone; the servers do not
	v.says(`[...lab.state().servers.values()].every((s) => [...s.conns.values()].some((c) => c.here === "ESTABLISHED"))`)
	calls := value[int](v, `lab.state().servers.get("select")?.calls`)
	v.press(".")
	v.says(fmt.Sprintf(`[...lab.state().servers.values()].every((s) => s.calls === %d)`, calls+1))
	v.says(held)
	v.press("g") // and on, as fast as they can
	v.says(`[...lab.state().servers.values()].every((s) => [...s.conns.values()].every((c) => c.fd))`)
}

// Everything can be done with the keyboard alone.
func TestKeyboard(t *testing.T) {
	c := begin(t, Options{Servers: []subject.Spec{model("blocking"), model("select")}})
	v := open(t, browser(t), c.Teacher, 1280, 720)
	v.shows(2)
	v.press("n")
	v.says(`lab.state().actions.length === 1`)
	v.press("t")
	v.says(`document.activeElement.id === "type"`)
	value[bool](v, `document.activeElement.select() === undefined`) // the browser's own key would not have typed a t
	v.press("you" + kb.Enter)
	v.says(`[...lab.state().servers.values()].every((s) => s.clients.get(1).got === 4)`)
	v.press(kb.Escape)
	v.press("n")
	v.says(`lab.state().actions.length === 3`)
	v.press("1")
	v.press("f")
	v.says(`[...lab.state().servers.values()].every((s) => s.clients.get(1).ended === "FIN")`)
	v.press(kb.ArrowLeft)
	v.says(`document.querySelector("#where").innerText.includes("3")`)
	v.press(kb.ArrowRight)
	v.press("?")
	v.says(`document.querySelector("#about").open`)
	v.press(kb.Escape)
	v.says(`!document.querySelector("#about").open`)
	v.press("z")
	v.says(`document.querySelector(".kernel h3")?.innerText === "内核"`)
	if got := value[string](v, `document.documentElement.lang`); got != "zh" {
		t.Errorf("the page says that it speaks %q", got)
	}
}

// A scene asks before an action, and the action waits for a prediction. The
// class votes from a page that cannot act.
func TestPredictThenTruth(t *testing.T) {
	c := begin(t, Options{Servers: four, Scene: "two-clients", Sources: sources(t, "blocking", "process", "goroutine", "select")})
	b := browser(t)
	teacher := open(t, b, c.Teacher, 1280, 720)
	pupil := open(t, b, c.Class[0], 390, 844)
	teacher.says(`document.querySelector("#next") && !document.querySelector("#next").disabled`)
	for n := range 2 {
		teacher.press(" ")
		teacher.says(fmt.Sprintf(`lab.state().actions.length === %d`, n+1))
	}
	teacher.press(" ")
	teacher.says(`!document.querySelector("#question").hidden && document.querySelector("#next").disabled`)
	pupil.says(`document.querySelector("#question input[value=select]") !== null`)
	if n := value[int](pupil, `document.querySelectorAll("#new, #send, #fin, #step").length`); n != 0 {
		t.Errorf("the class's page has %d buttons that act", n)
	}
	pupil.click("#question input[value=select]")
	pupil.click("#vote")
	teacher.says(`document.querySelector("#question").innerText.includes("select (1/1)")`)
	teacher.press(" ")
	teacher.says(`lab.state().actions.length === 3`)
	teacher.says(`document.querySelector("#question").innerText.includes("In truth: process, goroutine, select")`)
	teacher.picture("../../docs/live/two-clients-light.png")
	teacher.press("d")
	teacher.picture("../../docs/live/two-clients-dark.png")
	if got := value[bool](teacher, `document.documentElement.scrollWidth <= innerWidth`); !got {
		t.Error("at 1280 the page is wider than the screen")
	}
	if got := value[bool](pupil, `document.documentElement.scrollWidth <= innerWidth`); !got {
		t.Error("at 390 the page is wider than the screen")
	}
	visible := value[int](pupil, `[...document.querySelectorAll(".column")].filter((c) => c.offsetParent).length`)
	if visible != 1 {
		t.Errorf("at 390 %d columns are seen, want one at a time", visible)
	}
	small := value[[]string](teacher, `[...document.querySelectorAll("body *")].filter((e) => e.offsetParent && e.textContent.trim() && parseFloat(getComputedStyle(e).fontSize) < 18).map((e) => e.tagName)`)
	if len(small) > 0 {
		t.Errorf("text is smaller than 18 px in %v", small)
	}
}

// A recording that is played shows what the lesson has shown; so does the page
// that was exported, from a file and without a network.
func TestReplayEqualsLive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lesson")
	c := begin(t, Options{Servers: []subject.Spec{model("blocking"), model("goroutine")}, Title: "two", Record: file, Sources: sources(t, "blocking")})
	b := browser(t)
	v := open(t, b, c.Teacher, 1280, 720)
	v.shows(2)
	v.press("n")
	v.press("s")
	v.says(`[...lab.state().servers.values()].every((s) => s.clients.get(1)?.got === 6)`)
	v.press("l")
	v.says(`[...lab.state().servers.values()].every((s) => s.clients.get(1).here === false)`)
	c.stop()

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, cut, err := Read(bytes.NewReader(text))
	if err != nil || cut {
		t.Fatal(err, cut)
	}
	v.says(fmt.Sprintf(`lab.events.length === %d`, len(r.Events)))
	want := value[string](v, seen)
	page := filepath.Join(t.TempDir(), "page.html")
	out, err := os.Create(page)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Export(out); err != nil {
		t.Fatal(err)
	}
	out.Close()
	exported := open(t, b, "file://"+page, 1280, 720)
	exported.says(`document.querySelectorAll(".column").length > 0`)
	exported.do("go offline", chromedp.Evaluate[chromedp.Void](`window.fetch = window.EventSource = undefined`))
	for range 9 {
		exported.press(kb.ArrowRight)
	}
	exported.says(`document.querySelector("#where").innerText.startsWith("action 3")`)
	exported.says(seen + " === " + fmt.Sprintf("%q", want))
	exported.says(`document.querySelector(".kernel h3")?.innerText === "KERNEL"`)
	var again bytes.Buffer
	if err := r.Write(&again); err != nil || !bytes.Equal(again.Bytes(), text) {
		t.Errorf("written again, the recording is another one (%v)", err)
	}
	if r, cut, err := Read(bytes.NewReader(text[:len(text)-3])); err != nil || !cut || len(r.Events) == 0 {
		t.Errorf("of a file that was cut off: %d events, cut %v, %v", len(r.Events), cut, err)
	}
	if _, _, err := Read(strings.NewReader("hello\n")); err == nil {
		t.Error("any file is taken for a recording")
	}
}

// What a server says reaches the page as text. It cannot be held, and says so.
// When it dies, the others go on.
func TestHostileAndDying(t *testing.T) {
	c := begin(t, Options{Servers: []subject.Spec{model("select"), foreign(t)}})
	v := open(t, browser(t), c.Teacher, 1280, 720)
	v.shows(2)
	v.press("n")
	v.press("s")
	v.says(`[...lab.state().servers.values()].every((s) => s.clients.get(1)?.got >= 6)`)
	v.says(`document.querySelector("#honest").innerText.includes("foreign: cannot be held")`)
	if got := value[bool](v, `document.title.includes("owned") || document.querySelector("#columns img, #columns script") !== null`); got {
		t.Error("what the server said became part of the page")
	}
	c.post(c.Teacher, "act", `{"client":1,"do":"send","data":"die\n"}`)
	v.says(`document.querySelector('[data-server="foreign"]').innerText.includes("ended")`)
	v.press("n")
	v.press("s")
	v.says(`lab.state().servers.get("select")?.clients.get(2)?.got === 6`)
}

// A page that is closed, and one that never reads, hold up nobody, and the end
// of the lesson leaves nothing behind.
func TestClosedTabAndDeafPage(t *testing.T) {
	c := begin(t, Options{Servers: []subject.Spec{model("select")}})
	b := browser(t)
	one, two := open(t, b, c.Teacher, 1280, 720), open(t, b, c.Teacher, 1280, 720)
	one.shows(1)
	one.close()
	u, _ := url.Parse(c.Teacher)
	deaf, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	fmt.Fprintf(deaf, "GET %sevents HTTP/1.1\r\nHost: %s\r\n\r\n", u.Path, u.Host)
	two.shows(1)
	two.press("n")
	two.press("s")
	two.says(`lab.state().servers.get("select")?.clients.get(1)?.got === 6`)
	r := c.stop()
	two.says(`document.querySelector("#caption").innerText.includes("lost")`)
	pid := 0
	for _, e := range decode(t, r.Events) {
		if e.Start != nil {
			pid = e.Start.Pid
		}
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); pid == 0 || err == nil {
		t.Errorf("the server, pid %d, is still there", pid)
	}
}

// Nobody acts who has not got the teacher's address.
func TestGuard(t *testing.T) {
	c := begin(t, Options{Servers: []subject.Spec{model("select")}})
	u, _ := url.Parse(c.Teacher)
	class := c.Class[0]
	ask := func(method, address, path, host, origin, kind string) int {
		t.Helper()
		r, _ := http.NewRequest(method, address+path, strings.NewReader(`{"client":1,"do":"connect"}`))
		r.Host = host
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		r.Header.Set("Content-Type", kind)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if csp := answer.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'self'") {
			t.Errorf("%s %s: Content-Security-Policy is %q", method, path, csp)
		}
		return answer.StatusCode
	}
	const json = "application/json"
	for _, test := range []struct {
		says                                      string
		method, address, path, host, origin, kind string
		want                                      int
	}{
		{"the teacher acts", "POST", c.Teacher, "act", u.Host, "http://" + u.Host, json, 204},
		{"the class does not", "POST", class, "act", u.Host, "", json, 403},
		{"nor steps", "POST", class, "step", u.Host, "", json, 403},
		{"the class looks", "GET", class, "meta", u.Host, "", "", 200},
		{"no token", "GET", "http://" + u.Host + "/", "", u.Host, "", "", 403},
		{"a wrong token", "POST", "http://" + u.Host + "/x/", "act", u.Host, "", json, 403},
		{"another name: DNS rebinding", "POST", c.Teacher, "act", "evil.example", "", json, 421},
		{"another page", "POST", c.Teacher, "act", u.Host, "http://evil.example", json, 403},
		{"a form", "POST", c.Teacher, "act", u.Host, "", "text/plain", 415},
		{"no action", "POST", c.Teacher, "step", u.Host, "", json, 400},
	} {
		if got := ask(test.method, test.address, test.path, test.host, test.origin, test.kind); got != test.want {
			t.Errorf("%s: %d, want %d", test.says, got, test.want)
		}
	}
	if status, says := c.post(c.Teacher, "act", `{"client":0,"do":"dance"}`); status != 409 || !strings.Contains(says, "dance") {
		t.Errorf("an action that there is not: %d %q", status, says)
	}
	if status, _ := c.post(c.Teacher, "act", `{"client":1,"do":"send","data":"`+strings.Repeat("x", mostBody)+`"}`); status != 400 {
		t.Errorf("a body that is too large: %d", status)
	}
}

// Four servers and a hundred clients each: nothing is lost, and the page is
// drawn at least 20 times a second.
func TestCrowd(t *testing.T) {
	servers := []subject.Spec{model("process"), model("goroutine"), model("select"), model("epoll")}
	c := begin(t, Options{Servers: servers})
	v := open(t, browser(t), c.Teacher, 1280, 720)
	v.says(`document.querySelectorAll(".column").length === 4`)
	const crowd = 100
	for n := 1; n <= crowd; n++ {
		c.post(c.Teacher, "act", fmt.Sprintf(`{"client":%d,"do":"connect"}`, n))
	}
	began, before := time.Now(), value[float64](v, `lab.frames()`)
	for n := 1; n <= crowd; n++ {
		c.post(c.Teacher, "act", fmt.Sprintf(`{"client":%d,"do":"send","data":"hello\n"}`, n))
	}
	v.says(fmt.Sprintf(`[...lab.state().servers.values()].every((s) => [...s.clients.values()].filter((c) => c.got === 6).length === %d)`, crowd))
	took, frames := time.Since(began), value[float64](v, `lab.frames()`)-before
	t.Logf("the answers to %d lines at each of %d servers are on the screen after %v, in %.0f updates a second", crowd, len(servers), took.Round(time.Millisecond), frames/took.Seconds())
	if lost := value[int](v, `lab.state().lost + (lab.state().watching?.dropped ?? 0)`); lost > 0 {
		t.Errorf("%d events are lost", lost)
	}
}

// Play plays a scene by itself.
func TestPlay(t *testing.T) {
	r, err := Play(t.Context(), Options{Servers: []subject.Spec{model("blocking"), model("select")}, Scene: "two-clients"}, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	acts, received := map[int]bool{}, map[string]bool{}
	for _, e := range decode(t, r.Events) {
		if e.Act != nil {
			acts[e.Act.Number] = true
		}
		if e.Call != nil && e.Call.Phase == trace.Returns && strings.HasPrefix(e.Call.Name, "re") && e.Call.Result == "6 bytes" {
			received[e.Server+" "+e.Call.Actor] = true
		}
	}
	if len(acts) != 6 {
		t.Errorf("%d actions were played, want 6", len(acts))
	}
	for _, who := range []string{"blocking client 2", "select client 2"} {
		if !received[who] {
			t.Errorf("%s was not answered: %v", who, received)
		}
	}
}

// Every line of a recording is as its schema says.
func TestRecordingSchema(t *testing.T) {
	r, err := Play(t.Context(), Options{Servers: []subject.Spec{model("select")}, Scene: "fin-or-rst"}, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.NewCompiler().Compile("../../docs/schema/live-1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text.Bytes()) {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
}
