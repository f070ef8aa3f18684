//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"socketlab/lab/proc"
	"socketlab/lab/step"
	"socketlab/models"
	"socketlab/models/session"
	"socketlab/models/sys"
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
	Step      bool          `help:"Stop before each system call of the page, show it, and wait for Enter."`
}

func (runCmd) Help() string {
	return `Ctrl-C and SIGTERM stop accepting and let the clients finish for --grace; a second
one ends the server at once.

With --service=talk you are the operator: what clients say appears on standard
output, and the lines that you type go to all of them, or with "@3 " in front to
client 3 alone. The end of your input does not end the server.

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

Exit codes: 0 stopped; 2 could not listen, or the server failed; 80 wrong command
line; 130 ended at once by a second signal.`
}

// Validate refuses what the grammar lets pass.
func (cmd *runCmd) Validate() error {
	switch {
	case min(cmd.Work, cmd.Sleep, cmd.Grace) < 0:
		return errors.New("--work, --sleep and --grace are times, such as 2ms; they cannot be negative")
	case cmd.Backlog < 0:
		return errors.New("--backlog is a number of connections; it cannot be negative")
	case cmd.Greeting != "" && cmd.Service != "talk":
		return errors.New("--greeting is said by --service=talk; an echo says only what it was sent")
	case cmd.Reuseport && cmd.Model.Name != "prefork":
		return errors.New("--reuseport gives each worker a listening socket of its own; only --model=prefork has workers")
	}
	return nil
}

func (cmd *runCmd) Run() error {
	if cmd.Model.Serve == nil {
		return wrong("which model? say --model=NAME; there are %s", strings.Join(modelNames(), ", "))
	}
	if err := runs(cmd.Model.Model); err != nil {
		return err
	}
	addr, err := cmd.address()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	var stepper *step.Stepper
	if cmd.Step {
		quit := func() { signals <- unix.SIGINT }
		stepper, err = step.Begin(step.Options{Model: cmd.Model.Name, Talk: cmd.Service == "talk", Quit: quit})
		if err != nil {
			return err
		}
		defer stepper.End()
	}
	sys.ReportCalls() // if somebody watches
	lfds, addr, err := cmd.listen(addr)
	for _, lfd := range lfds {
		defer sys.Close(lfd)
	}
	if err != nil {
		return explainListen(addr, err)
	}
	job := models.Job{
		Listener: lfds[0],
		Siblings: lfds[1:],
		Service:  session.Service{Name: cmd.Service, Work: cmd.Work, Sleep: cmd.Sleep, Greeting: cmd.Greeting},
		Keyboard: -1,
		Screen:   -1,
	}
	if cmd.Service == "talk" {
		job.Keyboard, job.Screen = 0, 1
	}
	// The Go runtime opens its epoll(7) at the first timer, and ends the process
	// if no descriptor is left for it. So: now, not when the clients have them all.
	time.AfterFunc(time.Hour, func() {}).Stop() // a NewTimer nobody waits for does not count
	cmd.announce(addr)
	served := make(chan error, 1)
	go func() { served <- cmd.Model.Serve(job) }()
	select {
	case err := <-served:
		return explainServe(err)
	case <-signals:
		stepper.LetGo()
		return cmd.stop(lfds, signals, served)
	}
}

// listen opens the listening socket, and for --reuseport one for each worker,
// all on the address that it returns. It returns those too that are open when
// one cannot be opened.
func (cmd *runCmd) listen(addr netip.AddrPort) (lfds []int, at netip.AddrPort, err error) {
	sockets, options := 1, []int(nil)
	if cmd.Reuseport {
		sockets, options = cmd.Model.Limit, []int{unix.SO_REUSEPORT}
	}
	for len(lfds) < sockets {
		lfd, err := sys.Listen(addr, cmd.Backlog, options...)
		if errors.Is(err, unix.EAFNOSUPPORT) && addr.Addr() == netip.IPv6Unspecified() {
			addr = netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port()) // no IPv6 here
			continue
		}
		if err != nil {
			return lfds, addr, err
		}
		lfds = append(lfds, lfd)
		if addr, err = sys.LocalAddr(lfd); err != nil {
			return lfds, addr, err
		}
	}
	return lfds, addr, nil
}

// stop lets the clients finish, but not for ever.
func (cmd *runCmd) stop(lfds []int, signals <-chan os.Signal, served <-chan error) error {
	for _, lfd := range lfds {
		if err := sys.Shutdown(lfd, unix.SHUT_RDWR); err != nil {
			return err
		}
	}
	grace := time.NewTimer(cmd.Grace)
	hurry := time.AfterFunc(100*time.Millisecond, func() {
		fmt.Fprintf(os.Stderr, "lab: no new clients; those who are here have %v; once more ends it now\n", cmd.Grace)
	})
	defer hurry.Stop()
	select {
	case err := <-served:
		return explainServe(err)
	case <-grace.C:
		fmt.Fprintf(os.Stderr, "lab: %v are over; the clients that are left are cut off\n", cmd.Grace)
		return nil
	case <-signals:
		return interrupted{}
	}
}

// announce says what is served where, with which limits, and how to try it.
func (cmd *runCmd) announce(addr netip.AddrPort) {
	limit := "no limit of clients"
	switch cmd.Model.Limit {
	case 0:
	case 1:
		limit = "one client at a time"
	case 1000: // that many descriptors, and a few that are not clients
		limit = "about 1000 clients"
	default:
		limit = fmt.Sprintf("%d clients at a time", cmd.Model.Limit)
	}
	options := ""
	if cmd.Work > 0 {
		options += fmt.Sprintf(", %v of work a message", cmd.Work)
	}
	if cmd.Sleep > 0 {
		options += fmt.Sprintf(", %v of sleep a message", cmd.Sleep)
	}
	fmt.Fprintf(os.Stderr, "%s on %s, service %s%s, %s. Ctrl-C stops it.\n", cmd.Model.Name, addr, cmd.Service, options, limit)
	if addr.Addr().IsUnspecified() {
		fmt.Fprintf(os.Stderr, "others reach it at: %s\n", strings.Join(reachable(addr.Port()), " "))
	}
	if term.IsTerminal(2) {
		fmt.Fprintf(os.Stderr, "try:  lab chat %s      read:  %s\n", addr, page(cmd.Model.Model))
	}
}

// reachable are the addresses under which other machines may reach a port.
func reachable(port uint16) []string {
	var found []string
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if network, ok := a.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
			found = append(found, net.JoinHostPort(network.IP.String(), fmt.Sprint(port)))
		}
	}
	if len(found) == 0 {
		return []string{"no network is up"}
	}
	return found
}

// address is where to listen: --listen, looked up, and allowed by --open.
func (cmd *runCmd) address() (netip.AddrPort, error) {
	where := cmd.Listen
	if _, err := strconv.Atoi(where); err == nil {
		where = "127.0.0.1:" + where // a port alone
	}
	found, err := net.ResolveTCPAddr("tcp", where)
	if err == nil && (where == "" || strings.HasSuffix(where, ":")) { // package net takes it for 0
		err = errors.New("the port is missing")
	}
	if err != nil {
		return netip.AddrPort{}, wrong("--listen=%s: %v; want HOST:PORT, such as 127.0.0.1:7000 or [::1]:7000", cmd.Listen, cause(err))
	}
	addr := netip.AddrPortFrom(found.AddrPort().Addr().Unmap(), found.AddrPort().Port())
	if !addr.Addr().IsValid() { // ":7000" is every address there is
		addr = netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())
	}
	if !addr.Addr().IsLoopback() && !cmd.Open {
		return netip.AddrPort{}, wrong("--listen=%s would let other machines in; say --open if you mean it, or use 127.0.0.1:%d", cmd.Listen, addr.Port())
	}
	return addr, nil
}

// cause is the innermost reason of an error of package net.
func cause(err error) error {
	var addr *net.AddrError
	var dns *net.DNSError
	switch {
	case errors.As(err, &addr):
		return errors.New(addr.Err)
	case errors.As(err, &dns):
		return errors.New(dns.Err)
	}
	return err
}

// explainListen adds the cure to an error of sys.Listen.
func explainListen(addr netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		holder := ""
		if pid, name, ok := proc.Holder(addr); ok {
			holder = fmt.Sprintf(" (pid %d, %q)", pid, name)
		}
		return fmt.Errorf("port %d is in use%s; choose another with --listen, or 0 for any", addr.Port(), holder)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("port %d needs root; choose one from 1024 upwards with --listen", addr.Port())
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine; ip addr lists those", addr.Addr())
	}
	return fmt.Errorf("cannot listen on %s: %w", addr, err)
}

// explainServe adds the cure to an error of a model.
func explainServe(err error) error {
	if err != nil && sys.Full(err) {
		return fmt.Errorf("%w: not even one client fits; raise the limit with ulimit -n", err)
	}
	return err
}

// wrong is a mistake on the command line that the grammar cannot see.
func wrong(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

type usageError struct{ error }

func (usageError) ExitCode() int { return 80 }

// interrupted ends a command that the user does not want to go on.
type interrupted struct{}

func (interrupted) Error() string { return "" }
func (interrupted) ExitCode() int { return 130 }
