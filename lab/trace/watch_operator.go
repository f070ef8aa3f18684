package trace

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"socketlab/lab/diagram"
)

// note takes down a word about the server.
func (w *watch) note(text string) {
	at := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, item{at: at, rank: aNote, tell: func(d time.Duration) {
		w.add(diagram.Event{At: d, Note: &diagram.Note{Text: text}})
	}})
}

func (w *watch) prints(line string) { w.note(fmt.Sprintf("the server prints %q", line)) }

// operate passes the keyboard on.
func (w *watch) operate(keyboard io.Reader) {
	typed := bufio.NewReader(keyboard)
	for {
		line, err := typed.ReadString('\n')
		if line != "" {
			w.note(fmt.Sprintf("the operator types %q", strings.TrimSuffix(line, "\n")))
			io.WriteString(w.server.Operator(), line)
		}
		if err != nil {
			w.server.Operator().Close()
			return
		}
	}
}

// lines is a writer that is told line by line.
type lines struct {
	half []byte
	tell func(line string)
}

func (l *lines) Write(p []byte) (int, error) {
	l.half = append(l.half, p...)
	for {
		line, rest, found := bytes.Cut(l.half, []byte("\n"))
		if !found {
			return len(p), nil
		}
		l.tell(string(line))
		l.half = rest
	}
}
