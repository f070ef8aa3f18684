package experiment

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"socketlab/lab/proc"
	"socketlab/lab/subject"
	"socketlab/models/all"
	"socketlab/models/sys"
)

// A Server is a process with a port: one of our models, or any program.
type Server struct {
	*subject.Subject
	Name string
	r    *Run
}

// Serve starts a model, with flags of lab run.
func (r *Run) Serve(model string, flags ...string) *Server {
	return r.Start(r.model(model, append([]string{"--backlog=1024"}, flags...)...))
}

// model says how to start a model.
func (r *Run) model(name string, flags ...string) subject.Spec {
	m, err := all.Named(name)
	r.Check(err)
	spec, err := subject.Model(m, append([]string{"--grace=10ms"}, flags...)...)
	r.Check(err)
	return spec
}

// Broken starts a server of the collection with one bug each.
func (r *Run) Broken(name string) *Server {
	return r.Start(subject.Spec{Name: name, Kind: "command", Command: []string{r.Lab, "broken", name, "{port}"}})
}

// Servers starts the server of each column, one after the other, and calls see with
// it. Models get the flags, which are those of lab run.
func (r *Run) Servers(flags []string, see func(s *Server)) {
	for _, model := range r.Models {
		s := r.Serve(model, flags...)
		see(s)
		s.Stop()
	}
	if len(r.Command) > 0 {
		s := r.Start(subject.Spec{Name: filepath.Base(r.Command[0]), Kind: "command", Command: r.Command})
		see(s)
		s.Stop()
	}
}

// Start starts a server. It ends with the run at the latest.
func (r *Run) Start(spec subject.Spec) *Server {
	s, err := subject.Start(r.ctx, spec)
	r.Check(err)
	r.finally(func() { s.Stop() })
	return &Server{s, spec.Name, r}
}

// CPU waits for some time, and says how much of a core the server and its children
// used meanwhile: 1 is a whole core. wanted adds the time in which they were ready
// to run and had no core.
func (s *Server) CPU(during time.Duration) (used, wanted float64) {
	before, waited, start := s.Tree().CPU, s.Starved(), time.Now()
	s.r.Sleep(during)
	took := float64(time.Since(start))
	used = float64(s.Tree().CPU-before) / took
	return used, used + float64(s.Starved()-waited)/took
}

// Tree is the server with all its descendants, now.
func (s *Server) Tree() proc.Tree {
	tree, err := s.Subject.Tree()
	s.r.Check(err)
	return tree
}

// End is the server's end of a client's connection. ok is false if there is none.
func (s *Server) End(c *Client) (end proc.Socket, ok bool) {
	all, err := s.Sockets()
	s.r.Check(err)
	for _, socket := range all {
		if socket.Remote == c.Name() {
			return socket, true
		}
	}
	return proc.Socket{}, false
}

// Holds is the descriptor under which a process of the server has a socket; −1 if
// no process has it.
func (s *Server) Holds(inode uint64) int {
	for _, p := range s.Tree().Processes {
		if fd, _ := proc.Descriptor(p.Pid, inode); fd >= 0 && inode != 0 {
			return fd
		}
	}
	return -1
}

// Dial connects a client to the server.
func (s *Server) Dial() *Client { return s.r.Dial(s.Addr().String()) }

// A Client is one end of a connection, in this process.
type Client struct {
	*net.TCPConn
	r *Run
}

// client is the client at one end of a new connection, which ends with the run.
func (r *Run) client(conn net.Conn, err error) *Client {
	r.Check(err)
	r.finally(func() { conn.Close() })
	return &Client{conn.(*net.TCPConn), r}
}

// Dial connects a client.
func (r *Run) Dial(addr string) *Client {
	dialer := net.Dialer{Timeout: patience}
	return r.client(dialer.DialContext(r.ctx, "tcp4", addr))
}

// DialNarrow connects a client with a very small receive buffer, so that a server
// soon cannot send more to it: SO_RCVBUF, socket(7).
func (r *Run) DialNarrow(addr string) *Client {
	dialer := net.Dialer{Timeout: patience, Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
		})
	}}
	return r.client(dialer.DialContext(r.ctx, "tcp4", addr))
}

// Send sends all of the text.
func (c *Client) Send(text string) {
	c.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.Write([]byte(text))
	c.r.Check(err)
}

// Recv returns what arrives until there are n bytes, the connection ends, or the
// time is over.
func (c *Client) Recv(n int, within time.Duration) (text string, err error) {
	c.SetReadDeadline(time.Now().Add(within))
	var got []byte
	buf := make([]byte, 64<<10)
	for len(got) < n {
		var k int
		k, err = c.Read(buf[:min(len(buf), n-len(got))])
		got = append(got, buf[:k]...)
		if err != nil {
			break
		}
	}
	return string(got), err
}

// Ask sends a line and waits for its echo. answered is false if the echo does not
// come in time.
func (c *Client) Ask(text string, within time.Duration) (took time.Duration, answered bool) {
	start := time.Now()
	c.Send(text)
	got, _ := c.Recv(len(text), within)
	return time.Since(start), got == text
}

// Call makes one system call on the client's socket, to see its errno.
func (c *Client) Call(call func(fd int) (int, error)) (n int, err error) {
	raw, e := c.SyscallConn()
	c.r.Check(e)
	e = raw.Control(func(fd uintptr) { n, err = call(int(fd)) })
	c.r.Check(e)
	return n, err
}

// Try says what one recv returns. It waits no longer than within.
func (c *Client) Try(within time.Duration) (said string) {
	buf := make([]byte, 4096)
	var n int
	var err error
	c.r.Until(within, func() bool {
		n, err = c.Call(func(fd int) (int, error) { return unix.Read(fd, buf) })
		return err != unix.EAGAIN
	})
	switch {
	case err != nil:
		return "−1 " + cause(err)
	case n == 0:
		return "0"
	}
	return fmt.Sprintf("%d bytes", n)
}

// Name is the client's own address.
func (c *Client) Name() netip.AddrPort { return c.LocalAddr().(*net.TCPAddr).AddrPort() }

// Finish sends FIN, and still receives.
func (c *Client) Finish() { c.r.Check(c.CloseWrite()) }

// Reset sends RST.
func (c *Client) Reset() {
	c.SetLinger(0)
	c.Close()
}

// Listen opens a listening socket of this process, on loopback.
func (r *Run) Listen(backlog int) (lfd int, addr netip.AddrPort) {
	lfd, err := sys.Listen(netip.MustParseAddrPort("127.0.0.1:0"), backlog)
	r.Check(err)
	r.finally(func() { sys.Close(lfd) })
	addr, err = sys.LocalAddr(lfd)
	r.Check(err)
	return lfd, addr
}

// list joins names with commas, and the last one with "and".
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// accept takes a connection out of the queue.
func (r *Run) accept(lfd int) *Client {
	cfd, err := sys.Accept(lfd, 0)
	r.Check(err)
	file := os.NewFile(uintptr(cfd), "client")
	defer file.Close()
	return r.client(net.FileConn(file)) // FileConn makes a copy of the descriptor
}

// Shows waits until the server has printed a text.
func (s *Server) Shows(text string, within time.Duration) bool {
	return s.r.Until(within, func() bool { return strings.Contains(string(s.Stdout()), text) })
}

// Hold stops the server (SIGSTOP), as if it were busy. Its kernel goes on.
func (s *Server) Hold() {
	s.r.Check(s.Signal(syscall.SIGSTOP))
	s.r.Until(patience, func() bool {
		threads, err := proc.Threads(s.Pid())
		return err != nil || !slices.ContainsFunc(threads, func(t proc.Thread) bool { return t.State() != 'T' })
	})
}

// Release lets the server go on.
func (s *Server) Release() { s.r.Check(s.Signal(syscall.SIGCONT)) }

// Children are all processes of the server except the first one, zombies included.
func (s *Server) Children() (all []proc.Process) {
	for _, p := range s.Tree().Processes {
		if p.Pid != s.Pid() {
			all = append(all, p)
		}
	}
	return all
}

// sleepsIn is the system call that the first thread of a process sleeps in. Its
// number is -1 if it sleeps in none, or has ended.
func (r *Run) sleepsIn(pid int) proc.Syscall {
	call, err := proc.ThreadOf(pid, pid).Syscall()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.Lacks("the kernel does not show in which call a process sleeps: %v", err)
	}
	return call
}

// sleeps waits until a process sleeps in a system call.
func (r *Run) sleeps(pid, call int) bool {
	return r.Until(patience, func() bool { return r.sleepsIn(pid).Number == call })
}
