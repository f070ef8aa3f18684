//go:build linux

package server

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// What the scripts cannot bring about on every machine: root may have any port.
func TestExplainListen(t *testing.T) {
	for _, test := range []struct {
		errno unix.Errno
		want  string
	}{
		{unix.EACCES, "port 80 needs root; choose one from 1024 upwards with --listen"},
		{unix.ENOBUFS, "cannot listen on 127.0.0.1:80: bind: no buffer space available"},
	} {
		err := explainListen(netip.MustParseAddrPort("127.0.0.1:80"), fmt.Errorf("bind: %w", test.errno))
		if err.Error() != test.want {
			t.Errorf("%v is explained as %q, want %q", test.errno, err, test.want)
		}
	}
}
