//go:build linux

// Package server runs a page as a server: it listens, says where, has the page
// serve, and stops it. The program serve is this and flags; lab run is the same
// where that program is not there.
package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/models"
	"socketlab/models/guests"
	"socketlab/models/session"
	"socketlab/models/sys"
)

// A Server is a page and how it is to serve.
type Server struct {
	Model     models.Model
	Addr      netip.AddrPort // see Address
	Backlog   int            // connections that may wait for accept
	Service   session.Service
	Grace     time.Duration // how long clients may finish after the first signal
	Reuseport bool          // a listening socket for each worker
	TLS       TLS           // for a page that speaks it
}

// Validate refuses what cannot be served.
func (s *Server) Validate() error {
	switch {
	case min(s.Service.Work, s.Service.Sleep, s.Grace) < 0:
		return Wrong("--work, --sleep and --grace are times, such as 2ms; they cannot be negative")
	case s.Backlog < 0:
		return Wrong("--backlog is a number of connections; it cannot be negative")
	case s.Service.Greeting != "" && s.Service.Name != "talk":
		return Wrong("--greeting is said by --service=talk; an echo says only what it was sent")
	case s.Reuseport && s.Model.Name != "prefork":
		return Wrong("--reuseport gives each worker a listening socket of its own; only --model=prefork has workers")
	case !slices.Contains(session.Services, s.Service.Name):
		return Wrong("no service %q; there are %s", s.Service.Name, strings.Join(session.Services, ", "))
	}
	return s.validateTLS()
}

// Flags are the command line of the program serve that asks for this server.
func (s *Server) Flags() []string {
	return []string{
		"--model=" + s.Model.Name, "--listen=" + s.Addr.String(), "--open=" + strconv.FormatBool(!s.Addr.Addr().IsLoopback()),
		"--backlog=" + strconv.Itoa(s.Backlog), "--service=" + s.Service.Name,
		"--work=" + s.Service.Work.String(), "--sleep=" + s.Service.Sleep.String(),
		"--greeting=" + s.Service.Greeting, "--grace=" + s.Grace.String(), "--reuseport=" + strconv.FormatBool(s.Reuseport),
		"--cert=" + s.TLS.Cert, "--key=" + s.TLS.Key, "--client-ca=" + s.TLS.ClientCA, "--ca=" + s.TLS.CA,
	}
}

// Run serves until a signal comes and the clients have left. Its error may have
// an exit code of its own, see Exit; other errors mean 2.
func (s *Server) Run() error {
	if err := s.Model.Runs(); err != nil {
		return err
	}
	secure, err := s.secure()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	sys.ReportCalls() // if somebody watches
	lfds, addr, err := s.listen()
	for _, lfd := range lfds {
		defer sys.Close(lfd)
	}
	if err != nil {
		return explainListen(addr, err)
	}
	job := models.Job{Listener: lfds[0], Siblings: lfds[1:], Service: s.Service, TLS: secure, Grace: s.Grace * 9 / 10}
	operator := guests.OperatorOf(s.Service)
	job.Keyboard, job.Screen = operator.Keyboard, operator.Screen
	// The Go runtime opens its epoll(7) at the first timer, and ends the process
	// if no descriptor is left for it. So it is opened now, and not when the
	// clients have all descriptors. (A NewTimer that nobody waits for does not count.)
	time.AfterFunc(time.Hour, func() {}).Stop()
	s.announce(addr)
	served := make(chan error, 1)
	go func() { served <- s.Model.Serve(job) }()
	select {
	case err := <-served:
		return explainServe(err)
	case <-signals:
		return s.stop(lfds, signals, served)
	}
}

// listen opens the listening socket, and with Reuseport one for each worker,
// all on the address that it returns. If one cannot be opened, it returns those
// that are open too.
func (s *Server) listen() (lfds []int, at netip.AddrPort, err error) {
	addr, sockets, options := s.Addr, 1, []int(nil)
	if s.Reuseport {
		sockets, options = s.Model.Limit, []int{unix.SO_REUSEPORT}
	}
	for len(lfds) < sockets {
		lfd, err := sys.Listen(addr, s.Backlog, options...)
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
func (s *Server) stop(lfds []int, signals <-chan os.Signal, served <-chan error) error {
	for _, lfd := range lfds {
		if err := sys.Shutdown(lfd, unix.SHUT_RDWR); err != nil {
			return err
		}
	}
	grace := time.NewTimer(s.Grace)
	hurry := time.AfterFunc(100*time.Millisecond, func() {
		Complain("no new clients; those who are here have %v; once more ends it now", s.Grace)
	})
	defer hurry.Stop()
	select {
	case err := <-served:
		return explainServe(err)
	case <-grace.C:
		Complain("%v are over; the clients that are left are cut off", s.Grace)
		return nil
	case <-signals:
		return Exit{130, errors.New("")}
	}
}

// announce says what is served where, with which limits, and how to try it.
func (s *Server) announce(addr netip.AddrPort) {
	limit := "no limit of clients"
	switch s.Model.Limit {
	case 0:
	case 1:
		limit = "one client at a time"
	case 1000: // that many descriptors, and a few that are not clients
		limit = "about 1000 clients"
	default:
		limit = fmt.Sprintf("%d clients at a time", s.Model.Limit)
	}
	options := ""
	if s.Service.Work > 0 {
		options += fmt.Sprintf(", %v of work a message", s.Service.Work)
	}
	if s.Service.Sleep > 0 {
		options += fmt.Sprintf(", %v of sleep a message", s.Service.Sleep)
	}
	fmt.Fprintf(os.Stderr, "%s on %s, service %s%s, %s. Ctrl-C stops it.\n", s.Model.Name, addr, s.Service.Name, options, limit)
	if addr.Addr().IsUnspecified() {
		fmt.Fprintf(os.Stderr, "others reach it at: %s\n", strings.Join(reachable(addr.Port()), " "))
	}
	_, err := unix.IoctlGetTermios(2, unix.TCGETS)
	switch terminal := err == nil; {
	case s.Model.TLS && (terminal || s.TLS.CA != ""):
		fmt.Fprintf(os.Stderr, "try:  %s      read:  %s\n", s.TLS.invites(addr), s.Model.Page())
	case terminal:
		fmt.Fprintf(os.Stderr, "try:  lab chat %s      read:  %s\n", addr, s.Model.Page())
	}
}

// reachable are the addresses under which other machines may reach a port.
func reachable(port uint16) []string {
	var found []string
	for _, ip := range Addresses() {
		found = append(found, net.JoinHostPort(ip, fmt.Sprint(port)))
	}
	if len(found) == 0 {
		return []string{"no network is up"}
	}
	return found
}

// Addresses are those under which other machines reach this one.
func Addresses() (found []string) {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if network, ok := a.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
			found = append(found, network.IP.String())
		}
	}
	return found
}

// Hosts are the names and addresses under which the server will be reached.
func (s *Server) Hosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	switch at := s.Addr.Addr(); {
	case at.IsUnspecified():
		name, _ := os.Hostname()
		hosts = append(hosts, append(Addresses(), name)...)
	case !slices.Contains(hosts, at.String()):
		hosts = append(hosts, at.String())
	}
	return hosts
}

// Address is what --listen means: a name is looked up, and an address that
// other machines reach is allowed only if it is to be open.
func Address(listen string, open bool) (netip.AddrPort, error) {
	where := listen
	if _, err := strconv.Atoi(where); err == nil {
		where = "127.0.0.1:" + where // a port alone
	}
	found, err := net.ResolveTCPAddr("tcp", where)
	if err == nil && (where == "" || strings.HasSuffix(where, ":")) { // package net takes it for 0
		err = errors.New("the port is missing")
	}
	if err != nil {
		return netip.AddrPort{}, Wrong("--listen=%s: %v; want HOST:PORT, such as 127.0.0.1:7000 or [::1]:7000", listen, cause(err))
	}
	addr := netip.AddrPortFrom(found.AddrPort().Addr().Unmap(), found.AddrPort().Port())
	if !addr.Addr().IsValid() { // ":7000" is every address there is
		addr = netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())
	}
	if !addr.Addr().IsLoopback() && !open {
		return netip.AddrPort{}, Wrong("--listen=%s would let other machines in; say --open if you mean it, or use 127.0.0.1:%d", listen, addr.Port())
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
		return InUse(addr, "")
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("port %d needs root; choose one from 1024 upwards with --listen", addr.Port())
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine; ip addr lists those", addr.Addr())
	}
	return fmt.Errorf("cannot listen on %s: %w", addr, err)
}

// InUse is the error for a port that somebody has: " (pid 12, "nc")".
func InUse(addr netip.AddrPort, by string) error {
	return fmt.Errorf("port %d is in use%s; choose another with --listen, or 0 for any", addr.Port(), by)
}

// explainServe adds the cure to an error of a model.
func explainServe(err error) error {
	if err != nil && sys.Full(err) {
		return fmt.Errorf("%w: not even one client fits; raise the limit with ulimit -n", err)
	}
	return err
}

// An Exit is an error with an exit code of its own; without text it is not shown.
type Exit struct {
	Code int
	error
}

func (e Exit) ExitCode() int { return e.Code }

// Wrong is a mistake on the command line.
func Wrong(format string, args ...any) error { return Exit{80, fmt.Errorf(format, args...)} }

// Complain prints one line on standard error, behind the name of the program.
func Complain(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", filepath.Base(os.Args[0]), fmt.Sprintf(format, args...))
}
