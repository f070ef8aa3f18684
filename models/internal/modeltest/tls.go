package modeltest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"socketlab/models/sys"
)

// TLS is what a server says of itself in tests, and the file that a client
// trusts.
func TLS(t testing.TB) (config *tls.Config, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IsCA:                  true, // so that it can be trusted itself
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, own, own, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	pair := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, ca
}

// A Secured client speaks TLS.
type Secured struct {
	*tls.Conn
	TCP  *net.TCPConn
	Wire *sys.Wire // between the two

	resets bool // when it closes
}

// DialTLS connects one that asks no questions.
func DialTLS(t testing.TB, addr string) *Secured {
	t.Helper()
	tcp := Dial(t, addr)
	wire := &sys.Wire{Conn: tcp}
	c := &Secured{Conn: tls.Client(wire, &tls.Config{InsecureSkipVerify: true}), TCP: tcp, Wire: wire}
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// SetLinger is that of the connection below: with 0 seconds, to close is to
// reset, and nothing is said before.
func (c *Secured) SetLinger(seconds int) error {
	c.resets = seconds == 0
	return c.TCP.SetLinger(seconds)
}

func (c *Secured) Close() error {
	if c.resets {
		return c.TCP.Close()
	}
	return c.Conn.Close()
}
