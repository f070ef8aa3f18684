//go:build linux

package certs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A Memory has an authority and a server's certificate in memory: no key lies
// on a disk, and nothing has to be cleared away. They have names all the same,
// which this user's programs can open as long as this process lives: proc(5),
// /proc/pid/fd.
type Memory struct {
	CA, Cert, Key string
	authority     *Authority
	fds           []int // open as long as they are needed: an os.File would be closed as garbage
}

// InMemory makes them for a server that is reached under these names. A program
// that this process becomes, execve(2), keeps them.
func InMemory(hosts ...string) (*Memory, error) {
	return InMemoryOf(ECDSA, hosts...)
}

// InMemoryOf makes them with keys of a kind.
func InMemoryOf(kind KeyKind, hosts ...string) (*Memory, error) {
	authority, err := newAuthority("lab CA", kind)
	if err != nil {
		return nil, err
	}
	pair, err := authority.Server(hosts...)
	if err != nil {
		return nil, err
	}
	m := &Memory{authority: authority}
	for _, f := range []struct {
		name string
		text []byte
		path *string
	}{{"ca.pem", authority.Certificate, &m.CA}, {"server.pem", pair.Certificate, &m.Cert}, {"server.key", pair.Key, &m.Key}} {
		if *f.path, err = m.hold(f.name, f.text); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// hold makes a file that is nowhere but in memory: memfd_create(2).
func (m *Memory) hold(name string, text []byte) (path string, err error) {
	fd, err := unix.MemfdCreate(name, 0)
	if err != nil {
		return "", fmt.Errorf("memfd_create: %w", err)
	}
	m.fds = append(m.fds, fd)
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return "", err
	}
	_, err = unix.Write(fd, text) // all of it: nothing else is done with memory
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), err
}

// Client holds the certificate of a client too, and its key.
func (m *Memory) Client(name string) (cert, key string, err error) {
	pair, err := m.authority.Client(name)
	if err != nil {
		return "", "", err
	}
	if cert, err = m.hold("client.pem", pair.Certificate); err != nil {
		return "", "", err
	}
	key, err = m.hold("client.key", pair.Key)
	return cert, key, err
}

// Close forgets them.
func (m *Memory) Close() {
	for _, fd := range m.fds {
		unix.Close(fd)
	}
}
