//go:build linux

package main

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/term"

	"socketlab/lab/report"
	"socketlab/lab/text"
)

// A colorFlag is the value of --color.
type colorFlag string

// style is how to write on standard output: in colour, if it is wanted and can
// be seen, and as wide as the terminal.
func (when colorFlag) style() report.Style {
	style := report.Style{Width: 80}
	if width, _, err := term.GetSize(1); err == nil {
		style.Width = width
	}
	switch when {
	case "always":
		style.Color = true
	case "auto":
		style.Color = term.IsTerminal(1) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return style
}

// A progress is one line on standard error that says how far a long work has
// come. It is shown only to somebody who watches.
type progress struct {
	mu    sync.Mutex
	shown bool
}

func (p *progress) show(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !term.IsTerminal(2) || os.Getenv("TERM") == "dumb" {
		return
	}
	line := []rune(fmt.Sprintf(format, args...))
	if width, _, err := term.GetSize(2); err == nil && width > 0 {
		line = line[:min(len(line), width-1)] // in the next row nothing would clear it
	}
	fmt.Fprintf(os.Stderr, "\r%s\x1b[K", string(line))
	p.shown = true
}

// above leaves a line above the progress.
func (p *progress) above(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprintf(os.Stderr, "\r%s\x1b[K\n", text.Line(fmt.Sprintf(format, args...)))
	}
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
