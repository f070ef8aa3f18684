//go:build linux

package main

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/models/prefork"
)

// With --reuseport each worker has a listening socket of its own, and all of
// them have the port; one signal stops them all.
func TestReuseport(t *testing.T) {
	server, addr := serve(t, "--model=prefork", "--reuseport", "--grace=1m")
	all, err := sockets()
	if err != nil {
		t.Fatal(err)
	}
	listening := 0
	for _, s := range all {
		if s.state == listen && s.local == uint64(netip.MustParseAddrPort(addr).Port()) {
			listening++
		}
	}
	if listening != prefork.Model.Limit {
		t.Errorf("%d sockets listen on the port, want one for each of %d workers", listening, prefork.Model.Limit)
	}
	for range 3 * prefork.Model.Limit { // the kernel draws lots: whoever it is serves
		c := dial(t, addr)
		echoes(t, c, "hello\n")
		c.CloseWrite()
		hears(t, c, "")
		c.Close()
	}
	server.gets(unix.SIGTERM)
	server.leaves(0)
}
