//go:build linux

package roles_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/internal/modeltest"
	"socketlab/models/roles"
	"socketlab/models/session"
	"socketlab/models/sys"
)

// serve starts the page, and has it stop at the end of the test. Each client
// that the screen greets is one more in here.
func serve(t *testing.T) (addr string, operator io.Writer, here <-chan bool) {
	t.Helper()
	lfd, addr := modeltest.Listen(t, 20)
	keyboard, operatorsEnd := pipe(t)
	shown, screen := pipe(t)
	job := models.Job{Listener: lfd, Service: session.Service{Name: "talk"}, Keyboard: int(keyboard.Fd()), Screen: int(screen.Fd())}
	ended := make(chan error, 1)
	go func() { ended <- roles.Serve(job) }()
	greeted := make(chan bool, 100)
	go func() {
		for lines := bufio.NewScanner(shown); lines.Scan(); {
			if strings.HasSuffix(lines.Text(), " is here") {
				greeted <- true
			}
		}
	}()
	t.Cleanup(func() {
		sys.Shutdown(lfd, unix.SHUT_RDWR)
		operatorsEnd.Close()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Serve returns %v", err)
			}
		case <-time.After(modeltest.Patience):
			t.Errorf("after %v Serve has not returned", modeltest.Patience)
		}
		modeltest.NobodyReads(t)
		sys.Close(lfd)
	})
	return addr, operatorsEnd, greeted
}

func pipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		reader.Close()
		writer.Close()
	})
	return reader, writer
}

// Every client hears every line of the operator's once, in order, while the
// receiver is busy with what all of them say.
func TestEveryLineOnce(t *testing.T) {
	const clients, lines = 4, 2000 // so few that nobody misses one for not reading
	addr, operator, here := serve(t)
	var conns []net.Conn
	for range clients {
		c := modeltest.Dial(t, addr)
		conns = append(conns, c)
		select {
		case <-here:
		case <-time.After(modeltest.Patience):
			t.Fatalf("after %v it is not on the screen that client %d is here", modeltest.Patience, len(conns))
		}
	}
	heard := make(chan []int)
	for _, c := range conns {
		go chatter(c)
		go func() { heard <- listen(c) }()
	}
	for n := range lines {
		fmt.Fprintf(operator, "%d\n", n)
	}
	for left := clients; left > 0; {
		fmt.Fprint(operator, "end\n") // again, lest it be lost
		select {
		case numbers := <-heard:
			left--
			if lost, again := account(numbers, lines); lost > 0 || again > 0 {
				t.Errorf("of %d lines a client lost %d, and heard %d again", lines, lost, again)
			}
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// chatter says something again and again, until nobody listens.
func chatter(c net.Conn) {
	for err := error(nil); err == nil; {
		_, err = fmt.Fprint(c, "bla\n")
	}
}

// listen returns the numbers that a client hears, until the end.
func listen(c net.Conn) (numbers []int) {
	for lines := bufio.NewScanner(c); lines.Scan() && lines.Text() != "end"; {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			n = -1 // not even a line that anybody said
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// account counts how many of the numbers below n are missing, and how many
// come where a later one should.
func account(numbers []int, n int) (lost, again int) {
	next := 0
	for _, number := range numbers {
		if number < next {
			again++
			continue
		}
		lost += number - next
		next = number + 1
	}
	return lost + n - next, again
}

// Without its lock, the page fails the same test. docs/models/roles.md tells it.
func TestWithoutTheLock(t *testing.T) {
	unguarded := map[string]string{
		"roles.go": replaced(t, "roles.go", "defer l.mu.Unlock()", "", "l.mu.Unlock()", "", "l.mu.Lock()", ""),
	}
	// What takes nanoseconds is to take a millisecond, so that what happens once in a
	// long while happens all the time.
	slow := map[string]string{
		"../session/talk.go": replaced(t, "../session/talk.go",
			"t.out = t.out[n:]", "out := t.out[n:]; time.Sleep(time.Millisecond); t.out = out",
			`"bytes"`, `"bytes"; "time"`),
	}
	t.Run("race detector", func(t *testing.T) {
		if out, err := testWith(t, unguarded, "-race"); err == nil || !strings.Contains(out, "WARNING: DATA RACE") {
			t.Errorf("it finds nothing (%v): %s", err, out)
		}
	})
	t.Run("lines lost", func(t *testing.T) {
		maps.Copy(unguarded, slow)
		if out, err := testWith(t, unguarded, "-count=20", "-failfast"); err == nil {
			t.Errorf("no line is lost: %s", out)
		} else {
			t.Logf("%s", out)
		}
	})
	t.Run("with the lock", func(t *testing.T) {
		if out, err := testWith(t, slow); err != nil {
			t.Errorf("it fails too: %s", out)
		}
	})
}

// replaced is a file's text with something else in it.
func replaced(t *testing.T, file string, oldnew ...string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), oldnew[0]) {
		t.Fatalf("%s does not have %q", file, oldnew[0])
	}
	return strings.NewReplacer(oldnew...).Replace(string(text))
}

// testWith runs TestEveryLineOnce on other texts of some files: go help build,
// -overlay.
func testWith(t *testing.T, files map[string]string, flags ...string) (out string, err error) {
	t.Helper()
	folder := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range files {
		path, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		other := filepath.Join(folder, filepath.Base(file))
		overlay.Replace[path] = other
		if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "overlay.json"), list, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"test", "-overlay=" + folder + "/overlay.json", "-count=1", "-run=^TestEveryLineOnce$"}, flags...)
	text, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	return string(text), err
}
