//go:build linux

package main

import (
	"errors"
	"os"
	"time"

	"socketlab/lab/certs"
	"socketlab/lab/chat"
)

type chatCmd struct {
	Addr      string        `arg:"" optional:"" default:"127.0.0.1:7000" help:"The server: HOST:PORT, [IPV6]:PORT, or only a host or a port (${default})."`
	Heartbeat time.Duration `placeholder:"TIME" help:"Say \"waiting…\" after each silence of this length, such as 5s."`
	Turns     bool          `help:"Take turns: send one line, wait for one line of answer, send the next."`
	TLS       string        `name:"tls" placeholder:"CA" help:"Speak TLS with a server that this authority has signed: a file in PEM."`
	Cert      string        `placeholder:"FILE" help:"TLS: the certificate that says who you are, if the server asks; with --key."`
	Key       string        `placeholder:"FILE" help:"TLS: the key of --cert."`
	Insecure  bool          `help:"TLS, but do not check who the server is: anybody could be in between."`
}

func (chatCmd) Help() string {
	return `You and the server may both speak at any time. Ctrl-D finishes: the server is told
so, and what it still has to say is shown. Ctrl-C ends it at once.

On a terminal, control bytes from the server are shown as escapes, such as \x1b.
Into a file or a pipe every byte goes as it came.

With --turns the next line, and the end, wait until an answer has come: one line.

Examples:
  lab chat                              talk to lab run on this machine
  lab chat 7001 --heartbeat=5s          another port, and a sign of life
  printf 'a\nb\n' | lab chat            two lines, their answers, and back
  lab chat --turns <questions >answers  one answer to each question
  lab chat --tls=tls/ca.pem             over TLS; lab certs tls made the file

Exit codes: 0 the server closed the connection, whoever finished first; 1 it reset
the connection, or cut off TLS; 2 nobody answered there, or TLS failed; 80 wrong
command line; 130 Ctrl-C.`
}

// Validate refuses what the grammar lets pass.
func (cmd *chatCmd) Validate() error {
	if cmd.Heartbeat < 0 {
		return errors.New("--heartbeat is a silence, such as 5s; it cannot be negative")
	}
	if cmd.Cert != "" && cmd.TLS == "" && !cmd.Insecure {
		return errors.New("--cert is for TLS: say --tls=CA too")
	}
	return together(cmd.Cert, cmd.Key)
}

// together refuses a certificate without its key.
func together(cert, key string) error {
	if (cert == "") != (key == "") {
		return errors.New("--cert and --key belong together: give both; lab certs DIR makes them")
	}
	return nil
}

func (cmd *chatCmd) Run() error {
	var secure *certs.Client
	if cmd.TLS != "" || cmd.Insecure {
		secure = &certs.Client{CA: cmd.TLS, Cert: cmd.Cert, Key: cmd.Key, Insecure: cmd.Insecure}
	}
	return chat.Chat{
		Addr:      cmd.Addr,
		Heartbeat: cmd.Heartbeat,
		Turns:     cmd.Turns,
		TLS:       secure,
		Stdin:     os.Stdin,
		Stdout:    os.Stdout,
		Stderr:    os.Stderr,
	}.Run()
}
