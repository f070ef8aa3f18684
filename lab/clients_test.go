//go:build linux

package main

import (
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/models/all"
)

// Every client gets back from every model what it sent, byte for byte.
func TestRealClients(t *testing.T) {
	noise := make([]byte, 512<<10)
	rand.NewChaCha8([32]byte{}).Read(noise)
	const words = "hello\n\ngrüße\r\n\ttabs, \x00 and \xff\nno end"
	clients := []struct {
		name    string
		command string // ADDR, HOST and PORT are replaced
		says    string
		stays   bool // when its input ends; it leaves with the server
	}{
		{name: "nc", command: "nc -N HOST PORT", says: string(noise)},
		{name: "socat", command: "socat -t20 - TCP:ADDR", says: string(noise)},
		{name: "curl", command: "curl -sS --no-buffer telnet://ADDR", says: words, stays: true},
		{name: "lab chat", command: "lab chat ADDR", says: string(noise)},
		{name: "lab chat --turns", command: "lab chat --turns ADDR", says: "one\n\ntwo\nthree\n"},
	}
	for _, m := range all.Models {
		for _, c := range clients {
			t.Run(m.Name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				needsModel(t, m.Name)
				needs(t, strings.Fields(c.command)[0])
				server, addr := serve(t, "--model="+m.Name, "--grace=100ms")
				host, port, _ := strings.Cut(addr, ":")
				command := strings.NewReplacer("ADDR", addr, "HOST", host, "PORT", port).Replace(c.command)
				args := strings.Fields(command)
				client := enters(t, exec.Command(args[0], args[1:]...))
				go func() { // the answer begins before it has said all
					client.keyboard.Write([]byte(c.says))
					client.keyboard.Close()
				}()
				client.shows(c.says)
				if !c.stays {
					client.leaves(0)
				}
				server.gets(unix.SIGINT)
				server.leaves(0)
				client.leaves(0)
				if got := client.screen.all(); got != c.says {
					t.Errorf("%d bytes came back, want %d", len(got), len(c.says))
				}
			})
		}
	}
}
