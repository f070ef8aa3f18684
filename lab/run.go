//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/certs"
	"socketlab/lab/proc"
	"socketlab/lab/step"
	"socketlab/lab/subject"
	"socketlab/models/all"
	"socketlab/models/serve/server"
	"socketlab/models/session"
)

type runCmd struct {
	Model     modelFlag     `predictor:"model" placeholder:"NAME" help:"Which model; lab models lists them."`
	Listen    string        `default:"127.0.0.1:7000" placeholder:"HOST:PORT" help:"Where to listen (${default}); a port alone is one of 127.0.0.1. Port 0 lets the kernel choose; the real one is printed."`
	Open      bool          `help:"Let other machines in: needed to listen on anything but loopback."`
	Backlog   int           `default:"20" help:"How many finished connections may wait for accept: listen(2) (${default}; the kernel keeps one more)."`
	Service   string        `enum:"echo,talk" default:"echo" help:"What is said: echo returns every byte, talk is you at this terminal."`
	Work      time.Duration `placeholder:"TIME" help:"Burn this much CPU for each message, such as 2ms."`
	Sleep     time.Duration `placeholder:"TIME" help:"Sleep this long for each message, such as 2ms."`
	Greeting  string        `placeholder:"TEXT" help:"With --service=talk: the first line that each client hears."`
	Grace     time.Duration `default:"1s" placeholder:"TIME" help:"How long clients may finish after Ctrl-C or SIGTERM (${default})."`
	Reuseport bool          `help:"Give each worker of prefork a listening socket of its own: SO_REUSEPORT, socket(7)."`
	Cert      string        `placeholder:"FILE" help:"TLS: the server's certificate, in PEM, with --key; without it, one is made for this run."`
	Key       string        `placeholder:"FILE" help:"TLS: the key of --cert."`
	ClientCA  string        `name:"client-ca" placeholder:"FILE" help:"TLS: let in only clients with a certificate that this authority has signed."`
	Step      bool          `help:"Stop before each system call of the page, show it, and wait for Enter."`
}

func (runCmd) Help() string {
	return `Ctrl-C and SIGTERM stop accepting and let the clients finish for --grace; a second
one ends the server at once.

With --service=talk you are the operator: what clients say appears on standard
output, and the lines that you type go to all of them, or with "@3 " in front to
client 3 alone. The end of your input does not end the server.

With --model=tls the server says with which line a client trusts it. The authority
and the keys are made for this run, in memory, unless you give --cert and --key; lab
certs makes such files.

With --step you walk through the page, its source beside you: the server stops
before each system call, shows the line, the call, what each client and thread
is doing and how many wait in the queue, and goes on when you say so:
  Enter  this call      10  ten calls      w        to the next sleep
  r      run; Enter     q   quit, as       > hello  the operator says it
         stops it           Ctrl-C does
Steps and the operator's words share the keyboard; at the end of input it runs.

Examples:
  lab run --model=select                        echo on 127.0.0.1:7000
  lab run --model=blocking --service=talk       a conversation in turns
  lab run --model=poll --listen=[::1]:0         IPv6, and any free port
  lab run --model=goroutine --listen=:7000 --open    for the whole classroom
  lab run --model=select --sleep=500ms          one slow handler, and all wait
  lab run --model=process --step                call by call, children too
  lab run --model=tls                           over TLS, keys for this run
  lab run --model=tls --service=talk --greeting='Welcome to the server!'

Exit codes: 0 stopped; 2 could not listen, or the server failed; 80 wrong command
line; 130 ended at once by a second signal.`
}

// Validate refuses what the grammar lets pass.
func (cmd *runCmd) Validate() error { return cmd.server().Validate() }

func (cmd *runCmd) server() *server.Server {
	return &server.Server{
		Model:     cmd.Model.Model,
		Backlog:   cmd.Backlog,
		Service:   session.Service{Name: cmd.Service, Work: cmd.Work, Sleep: cmd.Sleep, Greeting: cmd.Greeting},
		Grace:     cmd.Grace,
		Reuseport: cmd.Reuseport,
		TLS:       server.TLS{Cert: cmd.Cert, Key: cmd.Key, ClientCA: cmd.ClientCA},
	}
}

// When a thread calls execve(2), the kernel kills all other threads. If that
// includes the first thread, the process looks like a zombie for a moment. So
// the first thread makes the call.
func init() {
	if slices.Contains(os.Args, "run") {
		runtime.LockOSThread()
	}
}

// Run becomes the program serve, or serves itself where that is not there.
func (cmd *runCmd) Run() error {
	if cmd.Model.Serve == nil {
		return wrong("which model? say --model=NAME; there are %s", strings.Join(all.Names(), ", "))
	}
	addr, err := server.Address(cmd.Listen, cmd.Open)
	if err != nil {
		return err
	}
	s := cmd.server()
	s.Addr = addr
	if pid, name, _ := proc.Listener(addr); pid > 0 && addr.Port() > 0 && !cmd.Reuseport {
		return server.InUse(addr, fmt.Sprintf(" (pid %d, %q)", pid, name))
	}
	if cmd.Step {
		return cmd.step()
	}
	if cmd.Model.TLS {
		if err := certify(s); err != nil {
			return err
		}
	}
	if serve := subject.Beside("serve"); serve != "" {
		err := unix.Exec(serve, append([]string{os.Args[0]}, s.Flags()...), os.Environ())
		return fmt.Errorf("%s: %w", serve, err)
	}
	return s.Run()
}

// certify makes an authority and a certificate for this run if none was given.
// If files were given, it checks them before the server does: its errors say
// what to do.
func certify(s *server.Server) error {
	if s.TLS.ClientCA != "" {
		if _, err := certs.ReadAuthorities(s.TLS.ClientCA); err != nil {
			return err
		}
	}
	if s.TLS.Cert != "" {
		pair, err := certs.ReadPair(s.TLS.Cert, s.TLS.Key)
		if err != nil {
			return err
		}
		if doubt := certs.Doubts(pair); doubt != "" {
			server.Complain("clients will refuse %s: %s", s.TLS.Cert, doubt)
		}
		return nil
	}
	made, err := certs.InMemory(s.Hosts()...)
	if err != nil {
		return err
	}
	s.TLS.Cert, s.TLS.Key, s.TLS.CA = made.Cert, made.Key, made.CA
	return nil
}

// step has the person walk through the server, which is this command line's
// without --step.
func (cmd *runCmd) step() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	command := []string{exe}
	for _, arg := range os.Args[1:] {
		if !strings.HasPrefix(arg, "--step") {
			command = append(command, arg)
		}
	}
	code, err := step.Run(step.Options{Model: cmd.Model.Name, Talk: cmd.Service == "talk", Command: command})
	if err != nil || code == 0 {
		return err
	}
	return exit(code) // the server has said why
}

// wrong is a mistake on the command line that the grammar cannot see.
func wrong(format string, args ...any) error {
	return server.Wrong(format, args...)
}
