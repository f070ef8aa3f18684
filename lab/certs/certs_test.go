package certs

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func folder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tls")
	made, err := Folder(Local)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, made); err != nil {
		t.Fatal(err)
	}
	return dir
}

// OpenSSL, which did not make them, judges the certificates the way their names
// say.
func TestOpenSSLVerifies(t *testing.T) {
	dir := folder(t)
	for _, test := range []struct{ name, purpose, want string }{
		{"server", "sslserver", "OK"},
		{"client", "sslclient", "OK"},
		{"client-only", "sslclient", "OK"},
		{"expired", "sslserver", "certificate has expired"},
		{"other-name", "sslserver", "hostname mismatch"},
		{"unknown-ca", "sslserver", "unable to get local issuer"},
		{"client-only", "sslserver", "unsuitable certificate purpose"},
	} {
		args := []string{"verify", "-CAfile", filepath.Join(dir, "ca.pem"), "-purpose", test.purpose}
		if test.purpose == "sslserver" {
			args = append(args, "-verify_hostname", "localhost")
		}
		out, err := exec.Command("openssl", append(args, filepath.Join(dir, test.name+".pem"))...).CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") == "" {
			t.Skip("openssl is missing; install it: scripts/setup")
		}
		if !strings.Contains(strings.ToLower(string(out)), strings.ToLower(test.want)) {
			t.Errorf("openssl says of %s.pem as %s: %s; want %q", test.name, test.purpose, out, test.want)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := folder(t)
	keys, _ := filepath.Glob(filepath.Join(dir, "*.key"))
	if len(keys) != 6 {
		t.Errorf("there are %d keys, want 6", len(keys))
	}
	for _, key := range keys {
		info, err := os.Stat(key)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s may be read by others: %v", key, mode)
		}
	}
	if err := Write(dir, []Made{{Name: "ca"}}); err == nil || !strings.Contains(err.Error(), "not replaced") {
		t.Errorf("a second time: %v", err)
	}
}

// Each error names the file, and the cure.
func TestReadErrors(t *testing.T) {
	dir := folder(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	text := at("text")
	os.WriteFile(text, []byte("hello\n"), 0o600)
	for _, test := range []struct{ cert, key, want string }{
		{at("server.pem"), at("server.key"), ""},
		{at("none.pem"), at("server.key"), "there is no file " + at("none.pem")},
		{at("server.pem"), text, text + " is not in PEM"},
		{at("server.key"), at("server.pem"), "are --cert and --key swapped?"},
		{at("server.pem"), at("client.pem"), "holds no private key but certificate"},
		{at("server.pem"), at("client.key"), "is not the key of"},
	} {
		_, err := ReadPair(test.cert, test.key)
		if got := said(err); (test.want == "") != (err == nil) || !strings.Contains(got, test.want) {
			t.Errorf("%s and %s: %q, want %q", test.cert, test.key, got, test.want)
		}
	}
	if _, err := ReadAuthorities(at("server.key")); !strings.Contains(said(err), "no certificate of an authority but private key") {
		t.Errorf("a key for a CA: %v", err)
	}
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A client is told what is wrong with which certificate.
func TestExplain(t *testing.T) {
	dir := folder(t)
	for _, test := range []struct{ server, doubt, want string }{
		{"server", "", ""},
		{"expired", "it expired on", "the server's certificate expired on " + time.Now().AddDate(0, 0, -1).Format("2006-01")},
		{"other-name", "", "is for other.example, not for 127.0.0.1"},
		{"unknown-ca", "", `is signed by "lab CA", which is not the authority that you trust`},
		{"client-only", "it is not for servers", "is not for servers, only for clients"},
	} {
		pair, err := ReadPair(filepath.Join(dir, test.server+".pem"), filepath.Join(dir, test.server+".key"))
		if err != nil {
			t.Fatal(err)
		}
		if doubt := Doubts(pair); (doubt == "") != (test.doubt == "") || !strings.HasPrefix(doubt, test.doubt) {
			t.Errorf("%s is doubted: %q, want %q", test.server, doubt, test.doubt)
		}
		err = handshake(t, dir, &tls.Config{Certificates: []tls.Certificate{pair}}, "")
		if got := said(err); (test.want == "") != (err == nil) || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", test.server, got, test.want)
		}
	}
}

// A server's alert about the client's certificate is explained too.
func TestExplainAlert(t *testing.T) {
	dir := folder(t)
	pair, err := ReadPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := ReadAuthorities(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	server := &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	for _, test := range []struct{ client, want string }{
		{"client", ""},
		{"client-only", ""},
		{"", "give --cert and --key"},
		{"unknown-ca", "give another --cert and --key"},
		{"server", "give another --cert and --key"},
	} {
		err := handshake(t, dir, server, test.client)
		if got := said(err); (test.want == "") != (err == nil) || !strings.Contains(got, test.want) {
			t.Errorf("client %q: %q, want %q", test.client, got, test.want)
		}
	}
	old := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if err := handshake(t, dir, old, ""); !strings.Contains(said(err), "no version of TLS from 1.2 on") {
		t.Errorf("an old server: %v", err)
	}
}

// handshake is one of a client that trusts ca.pem, and a byte to hear what the
// server thinks of the client: in TLS 1.3 it says so after the handshake.
func handshake(t *testing.T, dir string, server *tls.Config, client string) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if s := tls.Server(c, server); s.Handshake() == nil {
			s.Write([]byte("."))
		}
	}()
	pool, err := ReadAuthorities(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	if client != "" {
		pair, err := ReadPair(filepath.Join(dir, client+".pem"), filepath.Join(dir, client+".key"))
		if err != nil {
			t.Fatal(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	c, err := tls.Dial("tcp", l.Addr().String(), config)
	if err != nil {
		return Explain(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = c.Read(make([]byte, 1))
	return Explain(err)
}
