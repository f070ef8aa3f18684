package chat

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultAddr is where a server of the lab listens unless it is told otherwise.
const DefaultAddr = "127.0.0.1:7000"

// connectTime is how long connecting may take, the search for the name
// included. The kernel alone would try for two minutes: tcp(7),
// tcp_syn_retries.
const connectTime = 5 * time.Second

// connect opens a connection to addr. Package net finds the address of a name,
// tries one after the other if there are several, and sets TCP_NODELAY, so that
// a short line does not wait for the acknowledgement of the one before.
func connect(addr string) (*net.TCPConn, error) {
	addr = complete(addr)
	conn, err := net.DialTimeout("tcp", addr, connectTime)
	if err != nil {
		return nil, &Error{2, explain(addr, err)}
	}
	return conn.(*net.TCPConn), nil
}

// complete makes HOST:PORT of what a person types: 7000, localhost, :7000, ::1.
func complete(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil { // it is only one of the two
		host, port = strings.Trim(addr, "[]"), ""
		if _, err := strconv.Atoi(addr); err == nil {
			host, port = "", addr
		}
	}
	defaultHost, defaultPort, _ := net.SplitHostPort(DefaultAddr)
	if host == "" {
		host = defaultHost
	}
	if port == "" {
		port = defaultPort
	}
	return net.JoinHostPort(host, port)
}

// explain adds the cure to an error of connect.
func explain(addr string, err error) error {
	var (
		slow    net.Error
		wrong   *net.AddrError
		unknown *net.DNSError
	)
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("nobody listens on %s; start a server: lab run --model=select%s", addr, options(addr, err))
	case errors.As(err, &slow) && slow.Timeout():
		return fmt.Errorf("%s does not answer within %v; is the address right, and no firewall in between?", addr, connectTime)
	case errors.As(err, &wrong):
		return fmt.Errorf("cannot connect to %s: %s; want HOST:PORT, such as %s", addr, wrong.Err, DefaultAddr)
	case errors.As(err, &unknown):
		return fmt.Errorf("cannot connect to %s: %s; want HOST:PORT, such as %s", addr, unknown.Err, DefaultAddr)
	}
	return fmt.Errorf("cannot connect to %s: %w", addr, errors.Unwrap(err))
}

// options are the flags that lab run needs to listen on addr.
func options(addr string, err error) string {
	if addr == DefaultAddr {
		return ""
	}
	var failed *net.OpError
	if errors.As(err, &failed) {
		if peer, ok := failed.Addr.(*net.TCPAddr); ok && !peer.IP.IsLoopback() {
			return " --listen=" + addr + " --open"
		}
	}
	return " --listen=" + addr
}
