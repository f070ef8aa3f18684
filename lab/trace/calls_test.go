package trace

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/diagram"
	"socketlab/lab/proc"
	"socketlab/lab/subject"
	"socketlab/models/sys"
)

func init() {
	roles["watched"] = func(args []string) error {
		sys.ReportCalls()
		return serve(args)
	}
}

// recordCalls records a scene, and the model's calls.
func recordCalls(t *testing.T, scene, model, calls string) Recording {
	t.Helper()
	found, _ := Find(scene)
	server := serverOf(model, found)
	server.Command[1] = "watched"
	r, err := Record(t.Context(), Options{Scene: scene, Server: server, Rung: seeing(t), Calls: calls, Timeout: 3 * patience})
	if err != nil {
		t.Fatal(err)
	}
	if missing := r.Trace.Missing; len(missing) > 0 && calls != "proc" {
		t.Errorf("missing: %q", missing)
	}
	if err := r.Trace.JSON(new(strings.Builder)); err != nil {
		t.Errorf("the trace cannot be drawn: %v", err)
	}
	for _, wrong := range slices.Concat(causal(r.Trace), causal(r.Trace.Normalise())) {
		t.Error(wrong)
	}
	return r
}

// didOf tells what an actor did, without what differs from run to run: numbers
// of descriptors, and when it happened.
func didOf(tr diagram.Trace, actor string) string {
	var b strings.Builder
	for _, e := range tr.Events {
		switch {
		case e.Call != nil && e.Call.Actor == actor:
			c := e.Call
			b.WriteString(c.Name)
			if _, data, found := strings.Cut(c.Args, ", "); found && data[0] == '"' {
				b.WriteString(" " + data)
			}
			fmt.Fprintf(&b, " = %s", regexp.MustCompile(`^[1-9]\d*$|\b\d+([rw]+)`).ReplaceAllString(c.Result, "fd$1"))
			if c.Conn > 0 {
				fmt.Fprintf(&b, ", client %d", c.Conn)
			}
			if c.Slept && c.Name != "write" { // that may have waited for a lock in the kernel
				b.WriteString(", slept")
			}
			b.WriteString("\n")
		case e.Life != nil && e.Life.Actor == actor:
			fmt.Fprintln(&b, strings.Join(strings.Fields(e.Life.Event+" "+e.Life.By+" "+e.Life.How), " "))
		}
	}
	return b.String()
}

// serverActors are the columns of the server's.
func serverActors(tr diagram.Trace) (ids []string) {
	for _, a := range tr.Actors {
		if a.Kind == diagram.ServerThread {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

const listens = "socket = fd\nbind = 0\nlisten = 0\n"

// What each model does for a client that says hello and leaves.
var did = map[string]map[string]string{
	"blocking": {"server": listens + `accept = fd, client 1, slept
read = 6 bytes, client 1, slept
write "hello\n" = 6 bytes, client 1
read = 0, client 1, slept
close = 0, client 1
accept = , slept
`},
	"goroutine": {
		"server": listens + `accept = fd, client 1, slept
accept = , slept
`,
		"server/converse 1": `read = 6 bytes, client 1, slept
write "hello\n" = 6 bytes, client 1
read = 0, client 1, slept
close = 0, client 1
`,
	},
	"select": {"server": listens + strings.ReplaceAll(loop, "WAIT", "select")},
	"poll":   {"server": listens + strings.ReplaceAll(loop, "WAIT", "poll")},
}

const loop = `WAIT = {fdr}, slept
accept = fd, client 1
accept = EAGAIN
WAIT = {fdr}, slept
read = 6 bytes, client 1
write "hello\n" = 6 bytes, client 1
WAIT = {fdr}, slept
read = 0, client 1
close = 0, client 1
WAIT = , slept
`

func TestProbes(t *testing.T) {
	for model, want := range did {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			r := recordCalls(t, "close-client", model, "probes")
			actors := serverActors(r.Trace)
			if len(actors) != len(want) || actors[0] != "server" {
				t.Errorf("the server's columns are %q", actors)
			}
			for _, actor := range actors {
				if got := didOf(r.Trace, actor); got != want[actor] {
					t.Errorf("%s did\n%s\nwant\n%s", actor, got, want[actor])
				}
			}
		})
	}
}

// Children are told of too: who started one, what it did, who collected it. It
// is child 1 that is looked at, which has gone before the scene is over.
func TestProbesOfChildren(t *testing.T) {
	r := recordCalls(t, "two-clients", "process", "probes")
	for actor, want := range map[string]string{
		"server": listens + `accept = fd, client 1, slept
fork = child 1
close = 0, client 1
accept = fd, client 2, slept
fork = child 2
close = 0, client 2
accept = , slept
`,
		"child 1": `begins server
read = 6 bytes, client 1, slept
write "hello\n" = 6 bytes, client 1
read = 0, client 1, slept
ends
reaped server/reap exit code 0
`,
		"server/reap": `waitpid = child 1
`,
	} {
		got := didOf(r.Trace, actor)
		if actor == "server/reap" { // it may have collected child 2 as well
			got = got[:min(len(got), len(want))]
		}
		if got != want {
			t.Errorf("%s did\n%s\nwant\n%s", actor, got, want)
		}
	}
}

// A server that reports nothing is not taken for one that does nothing.
func TestProbesOfAStranger(t *testing.T) {
	found, _ := Find("open")
	r, err := Record(t.Context(), Options{Scene: "open", Server: serverOf("blocking", found), Rung: seeing(t), Calls: "probes"})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Trace.Missing) != 1 || !strings.Contains(r.Trace.Missing[0], "strace") {
		t.Errorf("missing: %q", r.Trace.Missing)
	}
}

// Seen from outside, the blocking page makes the calls that its probes tell of.
func TestStrace(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		lacking(t, "strace is not installed; make setup installs what the tests need")
	}
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	r := recordCalls(t, "two-clients", "blocking", "strace")
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	var got []string
	for _, e := range r.Trace.Events { // of whichever of Go's threads
		if c := e.Call; c != nil && slices.Contains(serverActors(r.Trace), c.Actor) && !isFork(c.Name) {
			got = append(got, strings.TrimSpace(fmt.Sprint(c.Name, " ", c.Conn)))
		}
	}
	want := []string{
		"socket 0", "bind 0", "listen 0",
		"accept4 1", "read 1", "write 1", "read 1", "close 1",
		"accept4 2", "read 2", "write 2", "read 2", "close 2", "accept4 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("strace saw %q, want %q", got, want)
	}
}

// A server of many threads can be held under strace, which must go on for that.
func TestStraceHolds(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		lacking(t, "strace is not installed; make setup installs what the tests need")
	}
	r := recordCalls(t, "close-late", "thread", "strace")
	if got, want := inTime(segmentsOf(r.Trace, 1), ""), inTime(shown["close-late"].segments, ""); got != want {
		t.Errorf("segments %s, want %s", got, want)
	}
}

// Without strace there are samples.
func TestBestCalls(t *testing.T) {
	if got := BestCalls(subject.Spec{Kind: "model"}); got != "probes" {
		t.Errorf("a model is seen by %q", got)
	}
	t.Setenv("PATH", t.TempDir())
	if got := BestCalls(subject.Spec{Kind: "command"}); got != "proc" {
		t.Errorf("without strace a command is seen by %q", got)
	}
	err := watchStrace().Prepare(&subject.Spec{Command: []string{"./server"}})
	if err == nil || !strings.Contains(err.Error(), "apt-get install strace") {
		t.Errorf("without strace: %v", err)
	}
}

// Sampling sees where the server sleeps while client 1 thinks.
func TestSampling(t *testing.T) {
	r := recordCalls(t, "two-clients", "blocking", "proc")
	if missing := r.Trace.Missing; len(missing) != 1 || !strings.Contains(missing[0], "strace") {
		t.Errorf("missing: %q", missing)
	}
	for _, e := range r.Trace.Events {
		if c := e.Call; c != nil && c.Name == "read" && c.Conn == 1 && c.Slept && c.Took > 0 {
			return
		}
	}
	t.Errorf("nobody sleeps in read for client 1:\n%s", didOf(r.Trace, "server"))
}

// A recording by strace -f -yy -ttt -T, shortened: a server that forks, one of
// its children in a thread, a signal, and what a program reads for itself.
const straced = `29862 1795362806.891245 read(3</usr/lib/x (1).so>, "\177ELF\2, \") = 3"..., 832) = 832 <0.000005>
29862 1795362806.894966 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3<TCP:[4234278]> <0.000017>
29862 1795362806.906654 bind(3<TCP:[4234278]>, {sa_family=AF_INET, sin_port=htons(7811), sin_addr=inet_addr("127.0.0.1")}, 16) = 0 <0.000030>
29862 1795362806.911066 listen(3<TCP:[127.0.0.1:7811]>, 128) = 0 <0.000015>
29862 1795362806.912186 accept4(3<TCP:[127.0.0.1:7811]>, {sa_family=AF_INET, sin_port=htons(44440), sin_addr=inet_addr("127.0.0.1")}, [16], SOCK_CLOEXEC) = 4<TCP:[127.0.0.1:7811->127.0.0.1:44440]> <0.026544>
29862 1795362806.941901 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f54877d7e50 <unfinished ...>
29935 1795362806.942394 recvfrom(4<TCP:[127.0.0.1:7811->127.0.0.1:44440]>,  <unfinished ...>
29862 1795362806.942453 <... clone resumed>) = 29935 <0.000421>
29862 1795362806.942842 accept4(3<TCP:[127.0.0.1:7811]>,  <unfinished ...>
29935 1795362806.953394 <... recvfrom resumed>"hi, \"\n", 100, 0, NULL, NULL) = 6 <0.011000>
29935 1795362806.953462 sendto(4<TCP:[127.0.0.1:7811->127.0.0.1:44440]>, "hi, \"\n", 6, 0, NULL, 0) = 6 <0.000049>
29935 1795362806.953500 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0} => {parent_tid=[29936]}, 88) = 29936 <0.000100>
29936 1795362806.953700 epoll_wait(5<anon_inode:[eventpoll]>, [], 8, 0) = 0 <0.000004>
29936 1795362806.953720 +++ exited with 0 +++
29935 1795362806.953800 poll([{fd=4<TCP:[127.0.0.1:7811->127.0.0.1:44440]>, events=POLLIN|POLLOUT}, {fd=-1}], 2, -1) = 1 ([{fd=4, revents=POLLIN}]) <0.002>
29935 1795362806.963532 recvfrom(4<TCP:[127.0.0.1:7811->127.0.0.1:44440]>, 0x5581, 100, 0, NULL, NULL) = -1 ECONNRESET (Connection reset by peer) <0.000009>
29935 1795362807.287156 exit_group(0)   = ?
29935 1795362807.290648 +++ killed by SIGSEGV (core dumped) +++
29862 1795362807.290747 <... accept4 resumed>0x7ffc6b5e5300, [16], SOCK_CLOEXEC) = ? ERESTARTSYS (To be restarted if SA_RESTART is set) <0.347879>
29862 1795362807.297611 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=29935} ---
29862 1795362807.297700 wait4(-1, [{WIFSIGNALED(s)}], WNOHANG, NULL) = 29935 <0.000010>
29862 1795362807.297720 wait4(-1, 0x7ffc6b5e5300, WNOHANG, NULL) = -1 ECHILD (No child processes) <0.000003>
29862 1795362807.297859 accept4(3<TCP:[127.0.0.1:7811]>, 0x7ffc6b5e5300, [16], SOCK_CLOEXEC) = ? ERESTARTSYS (To be restarted if SA_RESTART is set) <0.010000>
29862 1795362807.501136 accept4(3<TCP:[127.0.0.1:7811]>, `

// seenAsleep has the kernel seen to have all asleep who are in such a call.
func seenAsleep(p *straceParser) {
	for _, c := range p.calls {
		if c.end.IsZero() && waitFamily(c.Name) != "" && len(c.Actor) > 0 {
			p.sleeping(c, c.begin)
		}
	}
}

// toldBy is what is told of the calls that were read, with one client.
func toldBy(p *straceParser, client netip.AddrPort) diagram.Trace {
	source := &strace{straceParser: p}
	w := &watched{begin: time.Unix(1795362806, 0), calls: "strace", source: source, merger: newMerger(0)}
	w.number[client] = 1
	r := recorder{}
	w.tell(1<<60, r.add)
	return r.trace
}

func TestStraceIsReadRight(t *testing.T) {
	p := newStraceParser("./srv")
	for line := range strings.SplitSeq(straced, "\n") {
		if strings.HasSuffix(line, ">, ") {
			line += unfinished
		}
		if entry, _, whole := strings.Cut(line, ") = "); whole && lasted(line) > time.Millisecond && !strings.Contains(line, "<...") {
			p.line(entry + unfinished) // so long was it in the call, asleep
			seenAsleep(p)
		}
		p.line(line)
		seenAsleep(p)
	}
	p.nameForks()
	read := slices.Clone(p.calls)
	tr := toldBy(p, netip.MustParseAddrPort("127.0.0.1:44440"))
	for actor, want := range map[string]string{
		"server": listens + `accept4 = fd, client 1, slept
clone = child 1
accept4 = EINTR, slept
wait4 = child 1
wait4 = ECHILD
accept4 = , slept
`,
		"child 1": `begins server
recvfrom = 6 bytes, client 1, slept
sendto "hi, \"\n" = 6 bytes, client 1
clone3 = thread 1
poll = fd, client 1, slept
recvfrom = ECONNRESET, client 1
ends signal SEGV
reaped server
`,
		"child 1/thread 1": `begins child 1
epoll_wait = 0
ends
`,
	} {
		if got := didOf(tr, actor); got != want {
			t.Errorf("%s did\n%s\nwant\n%s", actor, got, want)
		}
	}
	for call, want := range map[string]string{
		"bind": "3, 127.0.0.1:7811", "listen": "3, 128", "poll": "{4rw}", "accept4": "3", "clone": "",
	} {
		i := slices.IndexFunc(read, func(c *systemCall) bool { return c.Name == call })
		if got := read[i].Args; got != want {
			t.Errorf("the arguments of %s are %q, want %q", call, got, want)
		}
	}
	if p.actors[0].Name != "./srv" {
		t.Errorf("the server is called %q", p.actors[0].Name)
	}
}

// Whatever a program writes into the output of strace, it is only passed over.
func FuzzStrace(f *testing.F) {
	f.Add(straced)
	for line := range strings.SplitSeq(straced, "\n") {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := newStraceParser("server")
		for line := range strings.SplitSeq(text, "\n") {
			p.line(line)
		}
		p.nameForks()
		actors := slices.Clone(p.actors)
		for _, e := range toldBy(p, netip.AddrPort{}).Events {
			actor := ""
			if e.Call != nil {
				actor = e.Call.Actor
			} else {
				actor = e.Life.Actor
			}
			if !slices.ContainsFunc(actors, func(a diagram.Actor) bool { return a.ID == actor }) {
				t.Errorf("%+v is done by nobody", e)
			}
		}
	})
}

func TestWaitsIn(t *testing.T) {
	for call, want := range map[proc.Syscall]string{
		{Number: -1}: "", {Number: unix.SYS_FUTEX}: "",
		{Number: unix.SYS_ACCEPT4, Args: [6]uint64{3}}: "accept4 3",
		{Number: unix.SYS_PPOLL, Args: [6]uint64{8}}:   "ppoll -1",
	} {
		name, fd, ok := waitsIn(call)
		if got := strings.TrimSpace(fmt.Sprint(name, " ", fd)); ok != (want != "") || ok && got != want {
			t.Errorf("%+v is read as %q, want %q", call, got, want)
		}
	}
}
