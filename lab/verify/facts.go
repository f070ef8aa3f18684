package verify

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
	"socketlab/lab/subject"
)

// A symptom is how a failure looks from the client, whatever the check is about.
type symptom int

const (
	silent     symptom = 1 + iota // nothing more comes
	unaccepted                    // nothing comes, and the server has not accepted the client
	hungUp                        // FIN comes before all that is owed
	reset                         // RST comes
	differs                       // wrong bytes come
	tooMany                       // bytes come that nobody asked for
	lingers                       // FIN does not come
	died                          // the server has ended
	refused                       // the client cannot connect
)

// A source is where wrong bytes come from.
type source int

const (
	nowhere  source = iota // nobody sent them
	repeated               // the client sent them earlier
	skipped                // the client sent them later: what is between is lost
	others                 // another client sent them
	padding                // they are zero
)

// Facts are what was seen when a check failed. Causes are concluded from them,
// never from the words of the story.
type facts struct {
	check   string
	symptom symptom
	phase   string // how far the check had come: "late"
	mark    string // what the check itself found: "spins", "threads"

	at, of    int    // bytes that were right, bytes that were expected
	want, got []byte // from the first difference on, not always all
	before    []byte // what stands before it
	source    source
	clients   int  // who had come by then
	unasked   bool // the server spoke before the client did
	prompted  int  // the answer came when so many bytes more were sent
	atEnd     bool // the answer came when the client had sent FIN

	unread    int  // bytes of this client's that the server has not read
	sure      bool // time was no question: the server slept
	starved   bool // the machine was too busy to decide
	asleep    bool // the server slept
	spins     bool
	zombies   int
	processes int      // besides zombies
	calls     []string // in which its threads sleep
	ending    subject.Ending
	output    string
}

// experiment finds out more of a server that does not echo: does it speak
// unasked, does it wait for more, does it wait for the end?
func (t *T) experiment(f *facts) {
	const more = 256 << 10
	if f.check != "bytes/echo" || f.at > 0 {
		return
	}
	t.attempt(func() {
		switch c := t.Dial(); f.symptom {
		case differs, tooMany:
			if f.unasked = c.speaks(); f.unasked {
				t.Tell("%s said nothing, and yet something came", c.name)
			}
		case silent:
			c.Send(random(more))
			if c.speaks() {
				f.prompted = more
				t.Tell("after so much something came")
			}
			c = t.Dial()
			c.SendString("hello\n")
			c.HalfClose()
			if f.prompted == 0 && c.speaks() {
				f.atEnd = true
				t.Tell("after FIN something came")
			}
		}
	})
}

// speaks reports whether bytes come, and no end.
func (c *Client) speaks() bool {
	if !c.await() {
		return false
	}
	c.conn.SetReadDeadline(time.Now().Add(time.Second))
	n, _ := c.conn.Read(make([]byte, 1))
	return n > 0
}

// died reports whether a signal ended the server.
func (f facts) killedBy(signals ...unix.Signal) bool {
	return f.symptom == died && slices.Contains(signals, unix.Signal(f.ending.Signal))
}

// in reports whether a thread of the server's sleeps in one of these calls.
func (f facts) asleepIn(calls ...string) bool {
	return slices.ContainsFunc(calls, func(call string) bool { return slices.Contains(f.calls, call) })
}

// printed reports whether the server printed one of these.
func (f facts) printed(texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(f.output, text) })
}

// next is the first byte that was expected and did not come; -1: there is none.
func (f facts) next() int {
	if len(f.want) == 0 {
		return -1
	}
	return int(f.want[0])
}

// trace finds out who sent the bytes that should not have come.
func (t *T) trace(c *Client, f *facts) {
	const enough, most = 6, 24
	needle := f.got[:min(len(f.got), most)]
	switch {
	case len(needle) > 0 && len(bytes.Trim(needle, "\x00")) == 0:
		f.source = padding
		return
	case len(needle) < enough:
		return
	}
	t.mu.Lock()
	clients := slices.Clone(t.clients)
	t.mu.Unlock()
	if i := bytes.Index(c.all(), needle); i >= 0 {
		f.source = repeated
		if i > c.right {
			f.source = skipped
		}
		return
	}
	for _, other := range clients {
		if other != c && bytes.Contains(other.all(), needle) {
			f.source = others
			return
		}
	}
}

// all is what the client was to send so far.
func (c *Client) all() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Join(c.said, nil)
}

// look adds what the server's processes are doing.
func (t *T) look(f *facts) {
	f.output = string(t.Server.Output())
	if ending, over := t.Server.Ending(); over {
		f.symptom, f.ending = died, ending
		return
	}
	tree, err := t.Server.Tree()
	if err != nil {
		return
	}
	f.zombies, f.asleep = tree.Zombies, asleep(tree)
	f.processes = len(tree.Processes) - tree.Zombies
	f.calls = calls(tree)
}

// calls are those in which threads of the server's sleep.
func calls(tree proc.Tree) (all []string) {
	for _, p := range tree.Processes {
		threads, _ := proc.Threads(p.Pid)
		for _, thread := range threads {
			if call := sleepsIn(p.Pid, thread); call != "" && !slices.Contains(all, call) {
				all = append(all, call)
			}
		}
	}
	return all
}

// sleepsIn is the call in which a thread sleeps, as far as the kernel tells: by
// the function that waits, which is the same on all machines, wchan in
// proc_pid_wchan(5), and where both directions wait in one, by the call's number.
func sleepsIn(pid int, thread proc.Thread) string {
	wchan, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/wchan", pid, thread.Tid))
	if string(wchan) == "do_wait" { // and not futex_do_wait
		return "wait"
	}
	for part, call := range map[string]string{
		"epoll": "epoll_wait", "ep_poll": "epoll_wait", "poll_schedule": "poll", "csk_accept": "accept",
		"nanosleep": "sleep", "stream_wait_memory": "send", "wait_data": "recv",
		"pipe_read": "pipe", "io_cqring_wait": "io_uring",
	} {
		if strings.Contains(string(wchan), part) {
			return call
		}
	}
	call, _ := thread.Syscall()
	switch call.Number {
	case unix.SYS_SENDTO, unix.SYS_WRITE, unix.SYS_SENDMSG, unix.SYS_WRITEV, unix.SYS_SENDFILE:
		return "send"
	case unix.SYS_RECVFROM, unix.SYS_READ, unix.SYS_RECVMSG, unix.SYS_READV:
		return "recv"
	}
	return ""
}

// startFacts are what is known of a server that could not be started.
func startFacts(s Server, err error) facts {
	f := facts{check: start}
	var ended *subject.EndedError
	var deaf *subject.DeafError
	switch {
	case errors.As(err, &ended):
		f.output, f.ending, f.symptom = string(ended.Output), ended.Ending, died
		if f.mark = "nowhere"; ended.Left {
			f.mark = "background"
		}
	case errors.As(err, &deaf):
		f.output = string(deaf.Output)
		switch f.mark = "nowhere"; deaf.Instead {
		case subject.UDP:
			f.mark = "udp"
		case subject.OtherPort, subject.OtherAddress:
			f.mark = "elsewhere"
		}
	}
	return f
}
