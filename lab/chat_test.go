//go:build linux

package main

import (
	"testing"

	"github.com/alecthomas/kong"

	"socketlab/lab/chat"
)

// The default that --help shows is the one that a bare port is completed with.
func TestChatDefault(t *testing.T) {
	var cmd chatCmd
	parser, err := kong.New(&cmd)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(nil); err != nil {
		t.Fatal(err)
	}
	if cmd.Addr != chat.DefaultAddr {
		t.Errorf("lab chat talks to %s, want %s", cmd.Addr, chat.DefaultAddr)
	}
}

func TestChatExitCodes(t *testing.T) {
	for _, test := range []struct {
		args []string
		want int
	}{
		{[]string{"chat", "127.0.0.1:99999"}, 2},
		{[]string{"chat", "--heartbeat=-1s"}, 80},
		{[]string{"chat", "--heartbeat=often"}, 80},
		{[]string{"chat", "one", "two"}, 80},
	} {
		if got := lab(test.args); got != test.want {
			t.Errorf("lab %q exits with %d, want %d", test.args, got, test.want)
		}
	}
}
