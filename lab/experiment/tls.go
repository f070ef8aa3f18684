package experiment

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"socketlab/lab/certs"
	"socketlab/lab/records"
)

// classroom is the name of the server in the experiments with TLS.
const classroom = "server.classroom.example"

// identities are a server's and a client's certificate, and whom both trust.
func identities(r *Run) (server, client tls.Certificate, trusted *x509.CertPool) {
	authority, err := certs.NewAuthority("the classroom")
	r.Check(err)
	pair := func(made certs.Pair, err error) tls.Certificate {
		r.Check(err)
		found, err := tls.X509KeyPair(made.Certificate, made.Key)
		r.Check(err)
		return found
	}
	trusted = x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority.Certificate)
	return pair(authority.Server(classroom, "127.0.0.1")), pair(authority.Client("a student")), trusted
}

// A tap is a client's connection, with somebody who listens on the wire.
type tap struct {
	net.Conn
	mu     sync.Mutex // guards what follows
	sent   []byte
	got    []byte
	wrote  bool // since the last read
	trips  int  // how often it waited for the other end after it had sent
	reader *records.Reader
	names  []string // of the records that an eavesdropper can name
}

func newTap(conn net.Conn) *tap { return &tap{Conn: conn, reader: records.New(nil)} }

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wrote {
		t.trips++
		t.wrote = false
	}
	t.got = append(t.got, p[:n]...)
	t.name(false, p[:n])
	return n, err
}

func (t *tap) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.wrote = true
	t.sent = append(t.sent, p...)
	t.name(true, p)
	t.mu.Unlock()
	return t.Conn.Write(p)
}

func (t *tap) name(fromClient bool, p []byte) {
	for _, record := range t.reader.Feed(fromClient, p) {
		if !record.Locked {
			t.names = append(t.names, record.Name)
		}
	}
}

// sees says whether these bytes went over the wire as they are.
func (t *tap) sees(secret []byte) string {
	if bytes.Contains(t.sent, secret) || bytes.Contains(t.got, secret) {
		return "seen"
	}
	return "hidden"
}

// answer serves in this process until the run ends, over TLS if there is a config:
// it calls converse for each client.
func (r *Run) answer(config *tls.Config, converse func(net.Conn)) (addr string) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	r.Check(err)
	r.finally(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if config != nil {
				conn = tls.Server(conn, config)
			}
			go converse(conn)
		}
	}()
	return listener.Addr().String()
}

// echoTLS is an echo server over TLS.
func (r *Run) echoTLS(config *tls.Config) (addr string) {
	return r.answer(config, func(conn net.Conn) {
		defer conn.Close()
		io.Copy(conn, conn)
	})
}

// speaks is a server that sends a message, one write for each part, and closes.
func (r *Run) speaks(config *tls.Config, message []string) (addr string) {
	return r.answer(config, func(conn net.Conn) {
		for _, part := range message {
			io.WriteString(conn, part)
		}
		conn.Close() // with TLS: close_notify first
	})
}

// reads is all that a client reads, and how it ended.
func (r *Run) reads(addr string, config *tls.Config) (got string, err error) {
	var conn net.Conn = r.Dial(addr)
	if config != nil {
		conn = tls.Client(conn, config)
	}
	conn.SetDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(conn)
	return string(text), err
}

// cuts is somebody on the way to a server who lets so many bytes pass from it,
// and sends FIN to both.
func (r *Run) cuts(server string, after int) (addr string) {
	return r.between(server, func(client, server net.Conn) { io.CopyN(client, server, int64(after)) })
}

// cutsRecords is somebody on the way who lets so many of the server's records
// pass, and some bytes of the next: RFC 8446, section 5.1. The last one that
// passed is counted.
func (r *Run) cutsRecords(server string, after, bytes int64, passed *atomic.Int64) (addr string) {
	return r.between(server, func(client, server net.Conn) {
		header := make([]byte, 5)
		passed.Store(0)
		for passed.Load() < after {
			if _, err := io.ReadFull(server, header); err != nil {
				return
			}
			client.Write(header)
			io.CopyN(client, server, int64(header[3])<<8|int64(header[4]))
			passed.Add(1)
		}
		io.CopyN(client, server, bytes)
	})
}

// between is somebody on the way. What the client sends passes.
func (r *Run) between(server string, pass func(client, server net.Conn)) (addr string) {
	return r.answer(nil, func(client net.Conn) {
		behind, err := net.Dial("tcp4", server)
		if err != nil {
			client.Close()
			return
		}
		go io.Copy(behind, client)
		pass(client, behind)
		client.(*net.TCPConn).CloseWrite()
		behind.Close()
	})
}
