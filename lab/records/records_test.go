package records

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"socketlab/lab/certs"
)

// A tap reads along what passes a connection, in the order of a lock.
type tap struct {
	net.Conn
	mu     *sync.Mutex
	pieces *[]piece
}

type piece struct {
	fromClient bool
	data       []byte
}

func (t tap) note(fromClient bool, p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*t.pieces = append(*t.pieces, piece{fromClient, bytes.Clone(p)})
}

func (t tap) Write(p []byte) (int, error) {
	t.note(true, p)
	return t.Conn.Write(p)
}

func (t tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.note(false, p[:n])
	return n, err
}

// talk is one conversation of a client with a server that echoes.
func talk(t *testing.T, client, server *tls.Config) (pieces []piece) {
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
		s := tls.Server(c, server)
		io.Copy(s, s)
		s.Close()
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	c := tls.Client(tap{conn, new(sync.Mutex), &pieces}, client)
	io.WriteString(c, "hello\n")
	io.ReadFull(c, make([]byte, 6))
	c.CloseWrite()
	io.ReadAll(c)
	return pieces
}

// read is what a reader finds in a conversation, one line for each record; with
// every byte in a piece of its own if apart.
func read(pieces []piece, keyLog []byte, apart bool) string {
	r := New(keyLog)
	var b strings.Builder
	for _, p := range pieces {
		parts := [][]byte{p.data}
		if apart {
			parts = bytes.SplitAfter(p.data, nil)
		}
		for _, part := range parts {
			for _, record := range r.Feed(p.fromClient, part) {
				way, lock := "<", " "
				if p.fromClient {
					way = ">"
				}
				if record.Locked {
					lock = "*"
				}
				fmt.Fprintf(&b, "%s%s%s\n", way, lock, record.Name)
			}
		}
	}
	return b.String()
}

func configs(t *testing.T) (client, server *tls.Config, keys *bytes.Buffer) {
	t.Helper()
	authority, err := certs.NewAuthority("CA")
	if err != nil {
		t.Fatal(err)
	}
	made, err := authority.Server("localhost")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(made.Certificate, made.Key)
	if err != nil {
		t.Fatal(err)
	}
	keys = new(bytes.Buffer)
	client = &tls.Config{InsecureSkipVerify: true, KeyLogWriter: keys, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	server = &tls.Config{Certificates: []tls.Certificate{pair}}
	return client, server, keys
}

const conversation13 = `> ClientHello
< ServerHello
< ChangeCipherSpec
<*EncryptedExtensions
<*Certificate
<*CertificateVerify
<*Finished
<*NewSessionTicket
> ChangeCipherSpec
>*Finished
>*data, 6 bytes
<*data, 6 bytes
>*alert close_notify
<*alert close_notify
`

func TestTLS13(t *testing.T) {
	client, server, keys := configs(t)
	pieces := talk(t, client, server)
	for _, apart := range []bool{false, true} {
		if got := read(pieces, keys.Bytes(), apart); got != conversation13 {
			t.Errorf("read, apart: %v:\n%s", apart, got)
		}
	}
}

// Without the keys it is what an eavesdropper sees: how long, and no more.
func TestEavesdropper(t *testing.T) {
	client, server, _ := configs(t)
	got := read(talk(t, client, server), nil, false)
	for _, name := range []string{"Certificate", "Finished", "data", "close_notify"} {
		if strings.Contains(got, name) {
			t.Errorf("it sees %s:\n%s", name, got)
		}
	}
	if n := strings.Count(got, "encrypted bytes"); n != strings.Count(conversation13, "*") {
		t.Errorf("%d encrypted records:\n%s", n, got)
	}
}

func TestMutualAndResumed(t *testing.T) {
	client, server, keys := configs(t)
	server.ClientAuth = tls.RequestClientCert
	client.Certificates = server.Certificates

	first := read(talk(t, client, server), keys.Bytes(), false)
	for _, name := range []string{"<*CertificateRequest\n", ">*Certificate\n", ">*CertificateVerify\n"} {
		if !strings.Contains(first, name) {
			t.Errorf("no %q in\n%s", name, first)
		}
	}
	second := read(talk(t, client, server), keys.Bytes(), false)
	if !strings.Contains(second, "ServerHello (resumes)") || strings.Contains(second, "Certificate\n") {
		t.Errorf("the second one:\n%s", second)
	}
}

// Of TLS 1.2 the certificate passes in the clear.
func TestTLS12(t *testing.T) {
	client, server, keys := configs(t)
	client.MaxVersion = tls.VersionTLS12
	want := `> ClientHello
< ServerHello
< Certificate
< ServerKeyExchange
< ServerHelloDone
> ClientKeyExchange
> ChangeCipherSpec
>*handshake
< NewSessionTicket
< ChangeCipherSpec
<*handshake
>*data
<*data
>*alert
<*alert
`
	if got := read(talk(t, client, server), keys.Bytes(), false); got != want {
		t.Errorf("read:\n%s", got)
	}
}

func TestOtherSuites(t *testing.T) {
	// Package tls does not let us choose one of TLS 1.3; so the lock is tried
	// with its own key: what it sealed, it opens.
	for suite, size := range map[uint16]int{0x1301: 32, 0x1302: 48, 0x1303: 32} {
		secret := bytes.Repeat([]byte{7}, size)
		seal, e := newLock(suite, secret), end{open: newLock(suite, secret)}
		for i := range byte(3) {
			header := []byte{applicationData, 3, 3, 0, 3 + 16}
			nonce := bytes.Clone(seal.iv)
			nonce[11] ^= i
			record := seal.aead.Seal(header, nonce, []byte{2, 40, alert}, header)
			if kind, content := e.unlock(record); kind != alert || alertName(content) != "alert handshake_failure" {
				t.Errorf("suite %x, record %d: type %d, %x", suite, i, kind, content)
			}
		}
	}
	if newLock(0x1304, []byte{1}) != nil {
		t.Error("a lock for a suite that it does not know")
	}
}

func TestNoTLS(t *testing.T) {
	r := New(nil)
	if got := r.Feed(false, []byte("Welcome to the server!\n")); len(got) != 1 || got[0].Name != "no TLS" {
		t.Errorf("plain text is %v", got)
	}
	if got := r.Feed(false, []byte("and more\n")); got != nil {
		t.Errorf("and then %v", got)
	}
}

// Whatever comes, the reader goes on.
func FuzzFeed(f *testing.F) {
	f.Add(true, []byte{22, 3, 1, 0, 5, 1, 0, 0, 1, 0}, []byte{20, 3, 3, 0, 1, 1})
	f.Add(false, []byte{22, 3, 3, 0, 4, 2, 0, 0, 0}, []byte{23, 3, 3, 0, 0})
	f.Fuzz(func(t *testing.T, fromClient bool, first, second []byte) {
		r := New([]byte("CLIENT_HANDSHAKE_TRAFFIC_SECRET 00 00\n"))
		total := 0
		for _, p := range [][]byte{first, second} {
			for _, record := range r.Feed(fromClient, p) {
				total += record.Len
			}
		}
		if total > len(first)+len(second) {
			t.Errorf("%d bytes of records in %d", total, len(first)+len(second))
		}
	})
}
