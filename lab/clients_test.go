//go:build linux

package main

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"socketlab/models/all"
)

// Every client gets back, byte for byte, what it sent to every model.
func TestRealClients(t *testing.T) {
	anything := make([]byte, 512<<10)
	rand.NewChaCha8([32]byte{}).Read(anything)
	words := []byte("hello\n\ngrüße\r\n\ttabs and \x00 and \xff\nno end")
	clients := []struct {
		name string
		says []byte
		talk func(t *testing.T, addr string, says []byte) (answer []byte)
	}{
		{"nc", anything, func(t *testing.T, addr string, says []byte) []byte {
			host, port, _ := net.SplitHostPort(addr)
			return filtered(t, says, "nc", "-N", host, port)
		}},
		{"socat", anything, func(t *testing.T, addr string, says []byte) []byte {
			return filtered(t, says, "socat", "-t20", "-", "TCP:"+addr)
		}},
		{"lab chat", anything, func(t *testing.T, addr string, says []byte) []byte {
			return filtered(t, says, "lab", "chat", addr)
		}},
		{"lab chat --turns", []byte("one\ntwo\n\nthree\n"), func(t *testing.T, addr string, says []byte) []byte {
			return filtered(t, says, "lab", "chat", "--turns", addr)
		}},
		{"curl", words, func(t *testing.T, addr string, says []byte) []byte {
			needs(t, "curl")
			// It leaves when its input ends, answered or not.
			curl := enters(t, exec.Command("curl", "-sS", "--no-buffer", "telnet://"+addr))
			curl.types(string(says))
			curl.shows(string(says))
			curl.keyboard.Close()
			curl.leaves(0)
			return []byte(curl.screen.all())
		}},
	}
	for _, m := range all.Models {
		for _, c := range clients {
			t.Run(m.Name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				server, addr := serve(t, "--model="+m.Name)
				if got := c.talk(t, addr, c.says); !bytes.Equal(got, c.says) {
					t.Errorf("%d bytes came back, changed; want %d", len(got), len(c.says))
				}
				server.gets(unix.SIGINT)
				server.leaves(0)
			})
		}
	}
}

// filtered is what a client prints that is given its input at once.
func filtered(t *testing.T, input []byte, program string, args ...string) []byte {
	t.Helper()
	needs(t, program)
	client := enters(t, exec.Command(program, args...))
	go func() {
		client.keyboard.Write(input)
		client.keyboard.Close()
	}()
	client.leaves(0)
	return []byte(client.screen.all())
}
