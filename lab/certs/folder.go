package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Made is one certificate in a folder.
type Made struct {
	Name string // "server": server.pem, and server.key if there is a key
	Says string // what it is for
	Pair
}

// Folder makes an authority, what it signs for a server and a client, and wrong
// ones: each of them shows one reason to be refused. hosts are the names of the
// server.
func Folder(hosts []string) ([]Made, error) {
	authority, err := NewAuthority("lab CA")
	stranger, err2 := NewAuthority("lab CA") // of the same name, but another key
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	made := []Made{{"ca", "whom to trust", Pair{Certificate: authority.Certificate}}}
	for _, want := range []struct {
		name, says string
		by         *Authority
		Wanted
	}{
		{"server", "for the server", authority, Wanted{Name: "lab server", Hosts: hosts, For: forServer}},
		{"client", "for a client, if the server asks", authority, Wanted{Name: "lab client", For: forClient}},
		{"expired", "wrong: it was valid until yesterday", authority,
			Wanted{Name: "lab server", Hosts: hosts, For: forServer, From: time.Now().AddDate(0, 0, -Days-1)}},
		{"other-name", "wrong: it is of the server other.example", authority,
			Wanted{Name: "lab server", Hosts: []string{"other.example"}, For: forServer}},
		{"unknown-ca", "wrong: another authority signed it", stranger,
			Wanted{Name: "lab server", Hosts: hosts, For: append(forServer, forClient...)}},
		{"client-only", "wrong for a server: it is only for clients", authority,
			Wanted{Name: "lab client", Hosts: hosts, For: forClient}},
	} {
		pair, err := want.by.Sign(want.Wanted)
		if err != nil {
			return nil, err
		}
		made = append(made, Made{want.name, want.says, pair})
	}
	return made, nil
}

// Write writes certificates into a folder, which is made if it is missing. It
// replaces nothing: what a server still uses must not change under it.
func Write(dir string, made []Made) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the folder %s: %w", dir, errors.Unwrap(err))
	}
	for _, m := range made {
		if err := write(filepath.Join(dir, m.Name+".pem"), m.Certificate, 0o644); err != nil {
			return err
		}
		if m.Key == nil {
			continue
		}
		if err := write(filepath.Join(dir, m.Name+".key"), m.Key, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func write(name string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and is not replaced; name another folder", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
